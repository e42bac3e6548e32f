"""`truing align rbr-fit`: a reward from rules, with weights fitted on a few hundred prompts."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from truing.cli.app import Exit
from truing.methods import RBRConfig


@dataclass
class RBRFit:
    """A rule-based reward: weights for what a judge says of each proposition, so that better answers are paid more."""

    rules: str
    """The rules: a YAML file, or a specification by folder or name."""
    judge: str
    """The model that reads the propositions: a folder, hub:ID, endpoint:URL#MODEL or a registered scheme."""
    data: Annotated[Path, tyro.conf.arg(metavar="FILE.jsonl")]
    """Rows with prompt and response_type; answers are written to them, or stand there with ranks (and rm, kinds)."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """The run's folder, created or resumed."""
    writer: str = ""
    """The model that is told what answers to write, where the data hold prompts alone."""
    reward: str = ""
    """A reward model that the rules are added to (truing align rm makes one), where the data have no column rm."""
    recipe: Annotated[Path | None, tyro.conf.arg(metavar="KINDS.yaml")] = None
    """Which kinds of answers are written; without it the published ones, with traits taken from the rules."""
    gold: Annotated[Path | None, tyro.conf.arg(metavar="GOLD.jsonl")] = None
    """Answers with the truth of each proposition: they tune from where on a judge's probability counts as true."""
    template: str = ""
    """How the judge is asked, shared or published; without it as the rules say."""
    no_shots: bool = False
    """Do not show the judge the examples of the rules."""
    tries: int = 8
    """How often an answer is asked for that is not what it was told to be."""
    temperature: float = 1.0
    """At which answers are written."""
    max_tokens: int = 512
    """Of each answer that is written; one that is longer is rejected."""
    config: RBRConfig = field(default_factory=RBRConfig)
    device: str = "auto"
    """Where the models run: auto, cpu, cuda, cuda:1."""
    json: bool = False
    """Print the result as one JSON object on the last line."""

    def run(self) -> int:
        """Write, judge, fit; the page says what the rules pay for."""
        from truing.recipes import RuleRewardJob, align_rbr

        own = asdict(self)
        names = ("rules", "judge", "data", "writer", "reward", "recipe", "gold", "template", "tries")
        numbers = ("temperature", "max_tokens")
        job = RuleRewardJob(**{name: own[name] for name in (*names, *numbers)}, shots=not self.no_shots)
        result = align_rbr(job, self.out, self.config, device=self.device)
        print("\n".join(_lines(result)))
        print(f"\nweights {result['weights']}, for truing.grade.RuleReward; see {self.out / 'report.html'}")
        if self.json:
            print(json.dumps(result))
        return Exit.passed


def _lines(result: dict[str, Any]) -> list[str]:
    lines = []
    for of in result["types"]:
        size = f"{of['pairs']:,} pairs from {of['prompts']:,} prompts"
        lines.append(f"{of['response_type']}: {size}, hinge loss {of['loss']:.3f}")
        for part, found in list(of["violations"].items())[-1:]:
            told = [f"{name} {v['value']:.1%} [{v['low']:.1%}, {v['high']:.1%}]" for name, v in found.items()]
            shown = ", ".join(told if result["other_reward"] else told[-1:])
            lines.append(f"  an answer beats the ideal one (prompts {part}): {shown}")
    for what in ("rejects", "short", "undecided"):
        if result[what]:
            lines.append(f"{what}: " + ", ".join(f"{name} {n:,}" for name, n in result[what].items()))
    return lines
