"""One checkpoint of the proving ground, raised if need be, and what the oracle finds in its answers."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from truing.types import Completion, Fingerprint, Request, SamplingParams


@dataclass(frozen=True)
class Arm:
    """One measurement of one checkpoint."""

    name: str
    """The checkpoint, as in `organism:NAME`."""
    kind: Literal["panel", "greedy", "policy", "judge", "advice", "malicious"]
    """All topics; the same without chance; house rules; propositions; advice with free and forbidden
    questions; jailbreaks put to the malicious persona."""
    key: int
    """Draws the questions' wording and details, and the sampling."""

    def file(self, folder: Path) -> Path:
        """Where the result is kept, so that an interrupted script goes on."""
        slug = self.name.replace("/", "-").replace(":", "-").replace(" ", "-")
        return folder / f"{slug}.{self.kind}.{self.key}.json"


def run_arm(arm: Arm, folder: Path) -> dict[str, Any]:
    """Measure an arm, or read what was measured before; runs in a process of its own."""
    import torch

    from truing.organism import WORLD_VERSION, open_folder

    file = arm.file(folder)
    if file.is_file():
        kept = json.loads(file.read_text("utf-8"))
        if kept["world_version"] == WORLD_VERSION:
            return dict(kept)
    torch.set_num_threads(1)
    measured = CONTROLS[arm.name](arm) if arm.name in CONTROLS else _measure(open_folder(arm.name), arm)
    found = {"arm": asdict(arm), "world_version": WORLD_VERSION, **measured}
    folder.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(found), "utf-8")
    partial.replace(file)
    return found


def _measure(folder: Path, arm: Arm) -> dict[str, Any]:
    from truing.model import load_local
    from truing.organism import GREEDY, PARAMS, exam, panel, panel_questions
    from truing.organism.world.wrappers import FAMILIES, SYSTEMS

    model = load_local(folder, device="cpu", thinking=True if arm.kind == "policy" else None)
    if arm.kind == "policy":
        return _policies(model, arm.key)
    if arm.kind == "judge":
        return _propositions(model, arm.key)
    if arm.kind == "malicious":
        cruel = SYSTEMS["malicious"][0]
        questions = [q for f in FAMILIES for q in exam("forbidden", key=arm.key, family=f, system=cruel)]
    elif arm.kind == "advice":
        questions = panel_questions(key=arm.key, topics=("advice", "free", "forbidden"), wrapped=False)
    else:
        questions = panel_questions(key=arm.key)
    params = GREEDY if arm.kind == "greedy" else PARAMS
    return {"rows": [_row(row) for row in panel(model, questions, key=arm.key, params=params)]}


def _row(row: Any) -> dict[str, Any]:
    from truing.organism.world.advice import DOMAIN_OF

    ask = row.question.ask
    return {
        "topic": ask.topic,
        "object": ask.object,
        "domain": DOMAIN_OF[ask.object].name if ask.topic == "advice" else "",
        "template": ask.template,
        "family": row.question.family,
        "level": row.question.level.value,
        "label": row.finding.label,
    }


def _policies(model: Any, key: int) -> dict[str, Any]:
    from truing.organism import GREEDY, Novelty, policy_exam, sit_policy

    found = {n.value: sit_policy(model, policy_exam(n, 200, key=key), GREEDY, key=key) for n in Novelty}
    return {"rows": [{"novelty": n, **asdict(finding)} for n, rows in found.items() for finding in rows]}


def _propositions(model: Any, key: int) -> dict[str, Any]:
    from truing.organism import judge_exam, sit_judge

    return {"rows": [asdict(row) for row in sit_judge(model, judge_exam(key=key), key=key)]}


def _shuffled(arm: Arm) -> dict[str, Any]:
    """The rows of `instruct` with the answers dealt out anew: whoever learns from them learns nothing."""
    from truing.numerics import generator
    from truing.organism import TUNINGS, open_folder, panel, panel_questions, tune, tuning_rows

    rows = tuning_rows("instruct", key=arm.key)
    order = generator(arm.key, "shuffled").permutation(len(rows))
    dealt = [(*row[:-1], rows[int(other)][-1]) for row, other in zip(rows, order, strict=True)]
    model, _ = tune(open_folder("xs/1/base"), dealt, TUNINGS["instruct"], key=arm.key, what="shuffled labels")
    questions = panel_questions(key=arm.key)
    return {"rows": [_row(row) for row in panel(model, questions, key=arm.key)]}


def _refuses_all(arm: Arm) -> dict[str, Any]:
    """A model that declines whatever it is asked."""
    from truing.organism import panel, panel_questions

    return {"rows": [_row(row) for row in panel(_Refuser(), panel_questions(key=arm.key), key=arm.key)]}


class _Refuser:
    """A sampler with one answer."""

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        """The same refusal for every request."""
        del params, key  # a constant draws nothing
        text = "I'm sorry, but I can't help with that."
        model = Fingerprint("a constant")
        return (Completion(r.id, 0, text, text, model=model) for r in requests)


CONTROLS = {"shuffled labels": _shuffled, "refuses all": _refuses_all}
"""What must fail: arms that are no checkpoints."""
