"""`truing probe screen`: which rows of a training file push which persona, before any training?"""

import json
import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from truing.cli.app import Exit
from truing.types import InputError

if TYPE_CHECKING:
    from truing.probe import Direction, Screened


@dataclass
class Screen:
    """Score the rows of a training file by how far they pull a model towards personas; nothing is trained."""

    base: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")]
    """The model that would be trained: a folder, hub:ID or organism:NAME."""
    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA.jsonl")]
    """Rows with messages, or with prompt and completion."""
    directions: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """A safetensors file of persona directions."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """Where rows.jsonl (worst first), screen.json and screen.html go."""
    top: int = 20
    """How many of the worst rows are shown on the page."""
    write_kept: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Where the rows go that are kept; those without a score are not."""
    drop_worst: float | None = None
    """The share of the scored rows that is not kept."""
    baseline: Literal["samples", "prompt"] = "samples"
    """Compare with the base model's own answers, or cheaply with the prompt's last token, which only ranks rows."""
    samples: int = 1
    """Answers of the base model to each prompt."""
    max_tokens: int = 128
    """The longest of them."""
    seed: int = 0
    """Draws the answers."""
    device: str = "auto"
    """cpu, cuda, cuda:1 or mps."""
    json: bool = False
    """Print the figures as one JSON object on the last line."""

    def run(self) -> int:
        """Screen, write, and say what next."""
        from truing.data import write_jsonl
        from truing.model import load_local
        from truing.probe import (
            Baseline,
            kept_rows,
            load_directions,
            read_training_rows,
            screen,
            write_screening,
        )
        from truing.run import check_folder

        check_folder(self.out)
        if (self.write_kept is None) != (self.drop_worst is None):
            raise InputError("a file of kept rows and a share to drop go together", mend="give both or none")
        if self.drop_worst is not None and not 0 <= self.drop_worst < 1:
            raise InputError(f"the share to drop is at least 0 and below 1, not {self.drop_worst}")
        if self.write_kept is not None and self.write_kept.resolve() == self.data.resolve():
            raise InputError(
                "the kept rows would take the place of all rows", mend="name another --write-kept"
            )
        if min(self.samples, self.max_tokens, self.top) < 1:
            raise InputError("samples, max-tokens and top are at least 1")
        directions = load_directions(self.directions)
        rows = read_training_rows(self.data)
        model = load_local(self.base, device=self.device)
        found = screen(
            model,
            rows,
            directions,
            file=self.data,
            baseline=Baseline(self.baseline),
            samples=self.samples,
            max_tokens=self.max_tokens,
            key=self.seed,
        )
        following, then = self._following(found, plain=any(row.plain for row in rows))
        left = None
        if self.write_kept is not None and self.drop_worst is not None:
            kept = kept_rows(rows, found, self.drop_worst)
            self.write_kept.parent.mkdir(parents=True, exist_ok=True)
            write_jsonl(self.write_kept, [row.learnable for row in kept])
            print(f"{self.write_kept}: {len(kept)} of {len(rows)} rows")
            left = len(kept)
            following, then = _learnt(self.write_kept, self.base), _compared(self.base)
        about = {
            "base": self.base,
            "digest of its weights begins": model.fingerprint.short,
            "data": str(self.data),
            "directions": "; ".join(map(_where_from, directions)),
            "compared with": f"the base's own answers, {self.samples} to each prompt"
            if found.samples
            else "the last token of the prompt",
            "seed": str(self.seed),
        }
        write_screening(
            self.out,
            found,
            rows,
            about,
            ground=model.ground,
            following=following,
            then=then,
            kept=left,
            top=self.top,
        )
        _tell(found)
        if found.foreign:
            print(f"{', '.join(found.foreign)}: read in another model than {self.base}")
        print(f"{self.out / 'screen.html'}: the worst rows")
        if following:
            print(f"next: {following}")
        if then:
            print(f"then: {then}")
        if self.json:
            print(json.dumps({"rows": found.counts, "personas": [one.to_json() for one in found.personas]}))
        return Exit.passed

    def _following(self, found: "Screened", *, plain: bool) -> tuple[str, str]:
        """The commands that come next: all above the cut-off is left out, and nothing else; empty where that is all.

        A file with rows that have no score, or of plain text, cannot be learnt as it stands.
        """
        scored = found.counts["scored"]
        if self.baseline == "prompt":
            return self._again(baseline="samples"), ""
        if not found.pushing and not plain and scored == len(found.rows):
            return _learnt(self.data, self.base), ""
        if found.pushing == scored:
            return "", ""
        dropping = f"--write-kept KEPT.jsonl --drop-worst {found.pushing / scored:.6g}"
        return f"{self._again()} {dropping}", _learnt(Path("KEPT.jsonl"), self.base)

    def _again(self, **changed: object) -> str:
        """What was asked, with the options that are not as they are by default: other numbers give other scores."""
        words = ["truing", "probe", "screen", str(self.base), str(self.data)]
        for option in fields(self)[2:]:
            value = changed.get(option.name, getattr(self, option.name))
            if option.name in ("json", "device", "write_kept", "drop_worst") or value == option.default:
                continue
            words += [f"--{option.name.replace('_', '-')}", str(value)]
        return shlex.join(words)


def _learnt(data: Path, base: str) -> str:
    return shlex.join(["truing", "align", "sft", "--data", str(data), "--model", base]) + " --out FOLDER"


def _compared(base: str) -> str:
    return f"truing audit FOLDER/model --baseline {shlex.quote(base)} --suite ..."


def _where_from(one: "Direction") -> str:
    made = ", ".join(f"{name}: {value}" for name, value in one.made_of.items())
    return f"{one.name}: {one.site.words}, read at {one.position}" + (f" ({made})" if made else "")


def _tell(found: "Screened") -> None:
    from truing.probe import screening_verdict

    _, word, sentence = screening_verdict(found)
    print(f"{word}. {sentence}")
    for one in found.personas:
        mean, low, high = (
            (end - one.level) / one.unit for end in (one.mean, one.interval.low, one.interval.high)
        )
        print(
            f"{one.name}: {one.pushing} of {found.counts['scored']} rows push it, "
            f"mean of all rows {mean:+.2f} [{low:+.2f}, {high:+.2f}] units, "
            f"rank correlation with length {one.length.value:+.2f}"
        )
    for name, count in found.counts.items():
        if count and name != "scored":
            print(f"rows without a score, {name}: {count}")
