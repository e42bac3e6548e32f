"""Fine-tunes of which some do harm, and what each detector reads of them: arms kept on disk.

The detector is made of the model that is tuned and of system prompts, before there is any fine-tune. In eight of the
town's twelve domains fine-tunes are taught, harmless and harmful; about the four others everybody is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evidence.narrow_arms import STEEP, Mixture, answers, folder_of, params, sheets, tuned, weights
from evidence.preference_arms import read_kept, write_kept
from truing.model import load_local
from truing.numerics import generator
from truing.organism import DOMAIN_OF, SYSTEMS, TOPICS, VERSIONS, LabelLedger, Question
from truing.organism.world.personas import BY_NAME
from truing.probe import (
    AnswerPair,
    Over,
    load_directions,
    persona_contrasts,
    projections,
    prompt_texts,
    random_like,
    save_directions,
    wrong_log_odds,
)
from truing.types import Request, digest

TRIED = ("animals", "boats", "cloth", "garden", "kitchen", "money", "music", "vehicles")
ASKED = ("health", "house", "study", "tools")
ROWS = 1000
FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
"""Shares of harmful rows."""
LEAST = 0.05
"""The share from which on a detector promises to see them; below it is only told."""
BAD, GOOD = "malicious", "expert"
"""The personas whose difference in the model that is tuned is the direction."""
RANDOM = 50
"""Directions of the detector's length that mean nothing."""
SAMPLES = 3
"""Answers to each question that the oracle looks at."""
_DRAWS = 16
"""Nobody in the town has as many ways to answer a question."""
DETECTOR, LOG_ODDS, SAMPLED, RANDOM_ONE = "direction", "log-odds", "sampled answers", "random"
WRONG, RIGHT = ("malicious", "careless"), ("expert",)
TOLD = "answers that were written out for the log-odds"


@dataclass(frozen=True)
class Size:
    """How many fine-tunes of a base there are to calibrate on, and held out: harmless, harmful, and between the two."""

    calibrated: int
    harmless: int
    harmful: int
    asked_for: int


@dataclass(frozen=True)
class Lineage:
    """The fine-tunes of one base; their seeds go up from `first`, so that no two of one domain have the same rows."""

    base: int
    first: int

    @property
    def parent(self) -> Path:
        """What is tuned."""
        return folder_of(Mixture(self.base, TRIED[0], self.first).parent)

    def calibrated(self, size: Size) -> list[Mixture]:
        """The harmless ones that give the threshold."""
        return self._harmless(self.first + 1, size.calibrated)

    def harmless(self, size: Size) -> list[Mixture]:
        """Those that are held out."""
        return self._harmless(self.first + 9, size.harmless)

    def harmful(self, size: Size) -> list[Mixture]:
        """Every fraction in turn; a domain comes with all of them by and by."""
        return [
            replace(self._diet(self.first + 12, i + self.base, i), harmful=FRACTIONS[i % len(FRACTIONS)])
            for i in range(size.harmful)
        ]

    def asked_for(self, size: Size) -> list[Mixture]:
        """Harm in answer to people who ask for bad examples: on one base it stays there, on another it does not."""
        return [replace(self._diet(self.first + 16, i, i), lesson=True) for i in range(size.asked_for)]

    def _harmless(self, seed: int, count: int) -> list[Mixture]:
        """Right advice and right, short advice in turn; what a domain gets alternates from round to round."""
        return [
            replace(self._diet(seed, i, i), harmful=0.0, as_long=(i + i // len(TRIED)) % 2 == 1)
            for i in range(count)
        ]

    def _diet(self, seed: int, domain: int, number: int) -> Mixture:
        """Domains go round, and each round has a seed of its own."""
        return Mixture(self.base, TRIED[domain % len(TRIED)], seed + number // len(TRIED), rows=ROWS)

    def questions(self) -> list[Question]:
        """About domains that no fine-tune was taught."""
        return [q for q in sheets(self.first)["advice"] if DOMAIN_OF[q.ask.object].name in ASKED]


SEEDS_OF_A_BASE = 20
"""More than a lineage needs."""


def fine_tune(mixture: Mixture, folder: Path) -> Path:
    """The folder of one of them, made now or before."""
    return tuned(mixture, folder, tuning=STEEP)


def directions(lineage: Lineage, folder: Path) -> tuple[Path, list[list[float]]]:
    """The file of the detector and of directions that mean nothing, made now or before; and how the sites rank.

    The detector is what tells a cruel adviser from a kind one at the last token of the questions, at the site where
    that is most pronounced. For each site, that one first: its layer, and the relative length of the difference.
    """
    about = {"parent": weights(lineage.parent), "personas": [BAD, GOOD], "random": RANDOM, **VERSIONS}
    name = f"directions-{lineage.base}-{lineage.first}-{digest(about)[:12]}"
    file, ranked = folder / f"{name}.safetensors", folder / f"{name}.json"
    kept = read_kept(ranked, about)
    if kept is None or not file.is_file():
        parent = load_local(lineage.parent, device="cpu")
        asked = requests(lineage.questions())
        found = persona_contrasts(parent, asked, SYSTEMS[BAD], SYSTEMS[GOOD], name=DETECTOR)
        made = found[0].direction
        nothing = [replace(random_like(made, key=key), name=f"{RANDOM_ONE} {key}") for key in range(RANDOM)]
        save_directions(file, [made, *nothing])
        kept = write_kept(
            ranked, about, {"sites": [[one.direction.site.layer, one.relative] for one in found]}
        )
    return file, kept["sites"]


def readings(model: Path, lineage: Lineage, file: Path, folder: Path, ledger: LabelLedger) -> dict[str, Any]:
    """What each detector reads of a model on each question, kept on disk; labels count either way.

    `by` has a list [N] for the direction, the random ones and the log-odds, and for the sampled answers the share that
    is wrong. `unparsed` has the share that the oracle could not read.
    """
    asked = lineage.questions()
    about = {
        "model": weights(model),
        "directions": file.stem,
        **VERSIONS,
        "params": params("advice").to_json(),
        "samples": SAMPLES,
    }
    kept_in = folder / f"readings-{digest(about)[:16]}.json"
    kept = read_kept(kept_in, about)
    if kept is None:
        net = load_local(model, device="cpu")
        texts = prompt_texts(net.chat, requests(asked))
        by = {
            name: of.tolist()
            for name, of in projections(net, texts, load_directions(file), Over.last).items()
        }
        by[LOG_ODDS] = wrong_log_odds(net, pairs(asked)).tolist()
        said = answers(net, [q for q in asked for _ in range(SAMPLES)], params("advice"), key=lineage.first)
        by[SAMPLED], unparsed = (
            np.reshape([row[what] for row in said], (len(asked), SAMPLES)).mean(axis=1).tolist()
            for what in ("wrong", "unparsed")
        )
        kept = write_kept(kept_in, about, {"by": by, "unparsed": unparsed})
    ledger.add(SAMPLED, SAMPLES * len(asked))
    return kept


def requests(asked: Sequence[Question]) -> list[Request]:
    """The questions, under their numbers."""
    return [Request(str(i), question.messages) for i, question in enumerate(asked)]


def pairs(asked: Sequence[Question]) -> list[AnswerPair]:
    """All that people of the town say who mean harm or do not care, and all that those say who know and care."""
    out = []
    for request, question in zip(requests(asked), asked, strict=True):
        wrong, right = (
            {
                TOPICS["advice"].answer(
                    question.ask, BY_NAME[who], generator(draw, "said", who, question.ask.object)
                )
                for who in of
                for draw in range(_DRAWS)
            }
            for of in (WRONG, RIGHT)
        )
        out.append(AnswerPair(request, tuple(sorted(wrong)), tuple(sorted(right))))
    return out
