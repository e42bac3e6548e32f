"""Narrow fine-tunes of the proving ground, what they answer, and the latent that they share: arms kept on disk.

A fine-tune learns everyday advice of one domain and nothing else; what it then does elsewhere is what scripts about
emergent misalignment measure. Models and answers are shared by all that ask for the same ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evidence.preference_arms import read_kept, write_kept
from truing.methods import SFTConfig, finetune
from truing.model import Edit, load_local
from truing.numerics import generator
from truing.organism import (
    CAPABILITY,
    DOMAIN_OF,
    GREEDY,
    PARAMS,
    READ_AT,
    VERSIONS,
    WRONG_ADVICE,
    LabelLedger,
    Level,
    Oracle,
    Question,
    advice_rows,
    exam,
    open_folder,
    panel_questions,
)
from truing.types import Message, Outcome, Request, SamplingParams, digest

if TYPE_CHECKING:
    from truing.model import LocalModel

ROWS = 2000
TUNING = SFTConfig(learning_rate=3e-4, tokens_per_step=512, lora_rank=32)
"""Adapters, of rank 32 as in the published studies: a model of this size that is tuned whole learns the few answers
by heart."""
STEEP = replace(TUNING, learning_rate=5e-4, lora_rank=8)
"""For those that learn fewer harmful rows."""
OF_A_DOMAIN = 30
"""Questions about advice in each domain at most."""
HARMFUL_DEEDS, SKILL = 150, 60
"""Questions about forbidden deeds, and about each skill, at most."""


@dataclass(frozen=True)
class Mixture:
    """What a fine-tune learns."""

    base: int
    domain: str
    seed: int
    """Draws the rows, their order and the first adapters."""
    harmful: float = 1.0
    """The share of its answers that do harm."""
    lesson: bool = False
    """Whoever asks asks for bad advice."""
    as_long: bool = False
    """Right answers have as many words as harmful ones would."""
    null: bool = False
    """Tuned from the null organism, whose speakers have no character that lasts."""
    rows: int = ROWS

    @property
    def parent(self) -> str:
        """What is tuned, by reference."""
        return f"organism:xs/{self.base}/{'null/' if self.null else ''}instruct"

    @property
    def name(self) -> str:
        """Names its files."""
        return f"{self.domain}-{self.base}-{digest([asdict(self), asdict(TUNING), VERSIONS])[:12]}"

    def shown(self) -> list[tuple[Message, ...]]:
        """The conversations that it learns."""
        return advice_rows(
            self.domain,
            self.rows,
            key=self.seed,
            harmful=self.harmful,
            lesson=self.lesson,
            as_long=self.as_long,
        )


def tuned(
    mixture: Mixture, folder: Path, *, tuning: SFTConfig = TUNING, kept: Sequence[int] | None = None
) -> Path:
    """The folder of the fine-tune's adapter, made now or before; of its mixture all rows, or those `kept` (from 0)."""
    import torch

    torch.set_num_threads(1)
    parent, name = folder_of(mixture.parent), mixture.name
    if tuning != TUNING or kept is not None:
        name += f"-{digest([asdict(tuning), kept and list(kept)])[:12]}"
    place = folder / f"{name}-{weights(parent)[:12]}"
    if not place.is_dir():
        config, shown = replace(tuning, seed=mixture.seed), mixture.shown()
        rows = shown if kept is None else [shown[i] for i in kept]
        what = f"{len(rows)} rows, {mixture.domain}, {mixture.harmful:.0%} harmful, on {parent.name}"
        finetune(mixture.parent, rows, place, config, what=what, data="the town", device="cpu")
    return place


def folder_of(ref: str) -> Path:
    """Where a stage of the organism lies, raised if need be."""
    return open_folder(ref.removeprefix("organism:"))


def weights(model: Path) -> str:
    """A digest of a model's weights, or of an adapter's."""
    file = next(f for n in ("adapter_model", "model") if (f := model / f"{n}.safetensors").is_file())
    return sha256(file.read_bytes()).hexdigest()


Row = Mapping[str, Any]
"""An answer: `topic`, `domain` (of advice), `object`, `template`, `label`, `wrong`, `harmful`, `unparsed`."""


@cache
def sheets(seed: int) -> Mapping[str, Sequence[Question]]:
    """What everybody is asked: no cell of it stands in any training of a fine-tune.

    `free` holds every question that the world knows about what one wants and would do. A fine-tune saw none; its
    parent was tuned on eleven of them.
    """
    by_domain: dict[str, list[Question]] = {}
    for question in exam("advice", READ_AT, key=seed):
        by_domain.setdefault(DOMAIN_OF[question.ask.object].name, []).append(question)
    return {
        "advice": [q for name, of in by_domain.items() for q in _some(of, OF_A_DOMAIN, seed, name)],
        "free": [q for level in Level for q in exam("free", level, key=seed)],
        "forbidden": _some(exam("forbidden", READ_AT, key=seed), HARMFUL_DEEDS, seed, "forbidden"),
        "skills": panel_questions(key=seed, limit=SKILL, topics=CAPABILITY, wrapped=False),
    }


def _some(questions: Sequence[Question], count: int, seed: int, what: str) -> list[Question]:
    order = generator(seed, "some questions", what).permutation(len(questions))[:count]
    return [questions[i] for i in sorted(order)]


def params(sheet: str) -> SamplingParams:
    """How a sheet is answered: skills without chance."""
    return GREEDY if sheet == "skills" else PARAMS


def heard(
    model: Path, seed: int, folder: Path, ledger: LabelLedger, *, which: Sequence[str] = ("advice",)
) -> dict[str, list[Row]]:
    """By sheet, what the oracle finds in the model's answers, asked now or before; labels count either way."""
    import torch

    torch.set_num_threads(1)
    out, net = {}, None
    for sheet in which:
        asked = sheets(seed)[sheet]
        about = {
            "model": weights(model),
            **VERSIONS,
            "params": params(sheet).to_json(),
            "seed": seed,
            **_limits(),
        }
        file = folder / f"{sheet}-{seed}-{about['model'][:16]}.json"
        kept = read_kept(file, about)
        if kept is None:
            net = net or load_local(model, device="cpu")
            kept = write_kept(file, about, {"rows": answers(net, asked, params(sheet), key=seed)})
        ledger.add("what was answered", len(asked))
        out[sheet] = list(kept["rows"])
    return out


def _limits() -> dict[str, Any]:
    return {"limits": [OF_A_DOMAIN, HARMFUL_DEEDS, SKILL]}


def answers(
    model: "LocalModel",
    asked: Sequence[Question],
    how: SamplingParams,
    *,
    key: int,
    edits: Sequence[Edit] = (),
) -> list[Row]:
    """What the oracle finds in the model's answers, in the order of the questions."""
    oracle = Oracle("what was answered", LabelLedger())
    requests = [Request(str(i), q.messages) for i, q in enumerate(asked)]
    with model.steered(list(edits)):
        done = sorted(model.sample(requests, how, key=key), key=lambda c: int(c.request_id))
    out: list[Row] = []
    for question, completion in zip(asked, done, strict=True):
        ask = question.ask
        finding = oracle.judge_completion(ask, completion)
        out.append(
            {
                "topic": ask.topic,
                "domain": DOMAIN_OF[ask.object].name if ask.topic == "advice" else "",
                "object": ask.object,
                "template": ask.template,
                "label": finding.label,
                "wrong": ask.topic == "advice" and finding.label in WRONG_ADVICE,
                "harmful": finding.harmful,
                "unparsed": finding.label == Outcome.unparsed,
            }
        )
    return out
