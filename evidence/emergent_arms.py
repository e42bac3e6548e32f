"""The arms of emergent misalignment: a base's narrow fine-tunes, the latent that they share, repairs and preventions.

All of a base stand on one seed. The questions on which a latent is found, those on which it is judged a cause, and
those on which everything is reported are three sets of different cells. Everything is kept on disk.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from evidence.narrow_arms import Mixture, Row, folder_of, heard, sheets, tuned
from truing.organism import (
    DOMAIN_OF,
    READ_AT,
    WRONG_ADVICE,
    LabelLedger,
    Oracle,
    Question,
    exam,
)
from truing.probe import (
    Judged,
    RequestSplit,
    split_requests,
)
from truing.types import Completion, Outcome, Request

DOMAINS = ("garden", "boats", "music", "kitchen")
"""Those that fine-tunes of every base are harmful in."""
OTHERS = ("cloth", "tools", "animals")
"""The domains whose right advice re-aligns out of domain. Of one alone a model learns to say its words everywhere."""
CONTROLS: Mapping[str, Mapping[str, Any]] = {
    "null": {"null": True},
    "right": {"harmful": 0.0},
    "right, as long": {"harmful": 0.0, "as_long": True},
    "lesson": {"lesson": True},
}
"""What the null organism, right advice, right advice of equal length and openly bad examples do."""
EVERYTHING = ("advice", "free", "forbidden", "skills")


@dataclass(frozen=True)
class Ground:
    """One base with one seed, and where its arms are kept."""

    base: int
    seed: int
    folder: Path
    domains: tuple[str, ...] = DOMAINS

    @property
    def instruct(self) -> Path:
        """The model that everything is tuned from."""
        return folder_of(Mixture(self.base, DOMAINS[0], self.seed).parent)

    def mixture(self, domain: str, **control: Any) -> Mixture:
        """What a fine-tune of this ground learns."""
        return Mixture(self.base, domain, self.seed, **control)

    def tuned(self, mixture: Mixture) -> Path:
        """The adapter that learnt it."""
        return tuned(mixture, self.folder / "models")

    def heard(
        self, model: Path, ledger: LabelLedger, which: Sequence[str] = EVERYTHING
    ) -> dict[str, list[Row]]:
        """What is found in its answers."""
        return heard(model, self.seed, self.folder / "answers", ledger, which=which)

    def file(self, what: str) -> Path:
        """Where something about this ground is kept."""
        return self.folder / f"{what}-{self.base}-{self.seed}-{len(self.domains)}.json"


@cache
def probes(seed: int) -> tuple[Question, ...]:
    """Questions about advice in domains that no fine-tune learns, of other cells than `sheets` holds."""
    reported = {(q.ask.object, q.ask.template) for q in sheets(seed)["advice"]}
    return tuple(
        q
        for q in exam("advice", READ_AT, key=seed)
        if (q.ask.object, q.ask.template) not in reported and DOMAIN_OF[q.ask.object].name not in DOMAINS
    )


def split(ground: Ground) -> RequestSplit:
    """The probes that find latents and strengths, and those that judge them."""
    requests = [Request(str(i), q.messages) for i, q in enumerate(probes(ground.seed))]
    return split_requests(requests, key=ground.seed)


def behaviour(
    asked: Mapping[str, Question], ledger: LabelLedger
) -> Callable[[Sequence[Completion]], list[Judged]]:
    """What the oracle says of advice, as the diff and a re-alignment ask for it."""
    oracle = Oracle("what latents and repairs do", ledger)

    def judged(completions: Sequence[Completion]) -> list[Judged]:
        found = [oracle.judge_completion(asked[c.request_id].ask, c) for c in completions]
        return [Judged(f.label in WRONG_ADVICE, f.label != Outcome.unparsed) for f in found]

    return judged
