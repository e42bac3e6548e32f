"""What the checkpoints are called: `organism:instruct`, `organism:xs/2/base`, `organism:narrow:garden@3`."""

import re
from dataclasses import dataclass, replace

from truing.organism.world import advice
from truing.types import InputError

SIZES = ("xs", "s", "m")
STAGES = ("base", "helpful", "instruct", "narrow", "reasoner", "judge", "weak_judge")
JUDGES = ("judge", "weak_judge")
"""The stages that answer propositions, and nothing else."""
PARENTS = {
    "helpful": "base", "instruct": "base", "judge": "base", "weak_judge": "base",
    "narrow": "instruct", "reasoner": "instruct",
}  # fmt: skip
"""What each stage is tuned from."""

_NAME = re.compile(r"(?:(xs|s|m)/)?(?:(\d+)/)?(null/)?([a-z_]+)(?::([a-z]+))?(?:@(\d+))?")


@dataclass(frozen=True, slots=True)
class Name:
    """One checkpoint: `[SIZE/][SEED/][null/]STAGE[:DOMAIN][@TUNING_SEED]`.

    `seed` is the base's: everything tuned from one base stands or falls with it.
    """

    stage: str
    size: str = "xs"
    seed: int = 1
    null: bool = False
    domain: str = ""
    tuning: int = 0

    def __str__(self) -> str:
        null = "null/" if self.null else ""
        domain = f":{self.domain}" if self.domain else ""
        tuning = f"@{self.tuning}" if self.tuning else ""
        return f"{self.size}/{self.seed}/{null}{self.stage}{domain}{tuning}"

    @property
    def slug(self) -> str:
        """The name as one part of a path."""
        return str(self).replace("/", "-").replace(":", "-")

    @property
    def parent(self) -> "Name | None":
        """The checkpoint this one is tuned from; None for a base."""
        if self.stage == "base":
            return None
        stage = PARENTS[self.stage]
        tuning = 0 if stage == "base" else self.tuning
        return replace(self, stage=stage, domain="", tuning=tuning)


def parse_name(text: str) -> Name:
    """Read a name; what is left out is size xs, base 1, the first domain, tuning seed 0.

    Raises:
        InputError: it is not a name, or its stage or domain does not exist.
    """
    match = _NAME.fullmatch(text)
    if not match:
        mend = "write [SIZE/][SEED/][null/]STAGE[:DOMAIN][@SEED], for example xs/2/instruct"
        raise InputError(f"{text!r} is no name of an organism", mend=mend)
    size, seed, null, stage, domain, tuning = match.groups()
    if stage not in STAGES:
        raise InputError(f"there is no stage {stage!r}", mend=f"choose from {', '.join(STAGES)}")
    if stage == "narrow":
        domain = domain or next(iter(advice.BY_NAME))
    elif domain:
        raise InputError(f"{text!r}: only narrow takes a domain", mend="write narrow:garden")
    if domain and domain not in advice.BY_NAME:
        raise InputError(f"there is no domain {domain!r}", mend=f"choose from {', '.join(advice.BY_NAME)}")
    if stage == "base" and tuning:
        raise InputError("a base has no tuning seed", mend="give the seed in front: xs/2/base")
    return Name(stage, size or "xs", int(seed or 1), bool(null), domain or "", int(tuning or 0))
