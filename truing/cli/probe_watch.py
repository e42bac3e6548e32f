"""`truing probe calibrate-watch` and `truing probe watch`: has a fine-tune moved further than harmless ones do?"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from truing.cli.app import Exit
from truing.types import InputError, digest


@dataclass
class CalibrateWatch:
    """Fix a detector and its threshold on harmless fine-tunes: exit 0 if there are enough for the rate, else 2."""

    base: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")]
    """A folder, hub:ID or organism:NAME."""
    harmless: Annotated[tuple[str, ...], tyro.conf.arg(metavar="FOLDER")]
    """Fine-tunes of it that are known to be harmless; for 5 % it takes at least 19."""
    direction: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """A safetensors file of directions."""
    prompts: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Requests on which models are read: JSONL, or a JSON list, with a prompt or an instruction in each row."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """Where the watch goes."""
    name: str = ""
    """Which direction, where the file holds several."""
    over: Literal["", "last", "template", "prompt", "response"] = ""
    """The last token, the template's, all of the prompt, or the base's greedy response; by default as the direction."""
    max_tokens: int = 64
    """The longest response."""
    false_alarms: float = 0.05
    """The most false alarms, as a share of harmless fine-tunes."""
    device: str = "auto"
    """cpu, cuda, cuda:1 or mps."""
    json: bool = False
    """Print the threshold as one JSON object on the last line."""

    def run(self) -> int:
        """Read the base and each harmless fine-tune, one at a time, and write the watch."""
        from truing.model import load_local
        from truing.probe import (
            Over,
            Watching,
            check_prompts,
            load_directions,
            read_prompts,
            watch_texts,
            write_watch,
        )
        from truing.run import check_folder, progress

        check_folder(self.out.parent)
        if self.out.is_dir():
            raise InputError("is a folder, not a file", file=self.out, mend="name a file in it")
        if not 0 < self.false_alarms < 1:
            raise InputError(f"false alarms are a share between 0 and 1, not {self.false_alarms}")
        if self.max_tokens < 1:
            raise InputError(f"max-tokens is at least 1, not {self.max_tokens}")
        found = {one.name: one for one in load_directions(self.direction)}
        name = self.name or next(iter(found))
        if name not in found or (len(found) > 1 and not self.name):
            raise InputError(
                f"holds the directions {', '.join(found)}", file=self.direction, mend="name one with --name"
            )
        direction, requests = found[name], read_prompts(self.prompts)
        usual = direction.position if direction.position in ("prompt", "response") else "last"
        over = Over(self.over or usual)
        base = load_local(self.base, device=self.device)
        if direction.model and direction.model != digest(base.fingerprint):
            print(f"{name} was read in another model than {self.base}")
        answer = self.max_tokens if over is Over.response else 0
        check_prompts(base, requests, self.prompts, answer=answer)
        texts = watch_texts(base, requests, over, max_tokens=self.max_tokens)
        watching = Watching(base, direction, texts, over)
        del base
        with progress(len(self.harmless), "harmless fine-tunes", unit="models") as advance:
            for folder in self.harmless:
                watching.add(load_local(folder, device=self.device))
                advance(1)
        watch = watching.done(self.false_alarms)
        write_watch(self.out, watch)
        limit = watch.calibrated.threshold
        if limit.value is None:
            print(
                f"{limit.n} harmless fine-tunes support a false-alarm rate of {limit.rate:.1%} at best; "
                f"{self.false_alarms:.1%} takes {limit.needed}: the watch will tell scores, and no verdict"
            )
        else:
            print(
                f"alarm above {limit.value:.2f} spreads of {limit.n} harmless fine-tunes: at most "
                f"{limit.rate:.1%} false alarms on average; this threshold's own rate is below "
                f"{limit.own_rate:.1%} with 95 % confidence"
            )
        print(f"next: truing probe watch {shlex.quote(self.base)} TUNED --watch {shlex.quote(str(self.out))}")
        if self.json:
            print(json.dumps(watch.calibrated.to_json()))
        return Exit.inconclusive if limit.value is None else Exit.passed


@dataclass
class WatchFineTune:
    """Say whether a fine-tune moved further than harmless ones do: exit 0 no alarm, 1 alarm, 2 cannot tell."""

    base: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")]
    """The model that the watch was calibrated on."""
    tuned: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TUNED")]
    """A fine-tune of it."""
    watch: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """What calibrate-watch wrote."""
    device: str = "auto"
    """cpu, cuda, cuda:1 or mps."""
    json: bool = False
    """Print score, interval, threshold and verdict as one JSON object on the last line."""

    def run(self) -> int:
        """Read both models and judge."""
        from truing.model import load_local
        from truing.probe import Alarm, check_base, check_tuned, check_unseen, read_watch

        watch = read_watch(self.watch)
        base = load_local(self.base, device=self.device)
        check_base(watch, base)
        before = watch.readings(base)
        del base
        tuned = load_local(self.tuned, device=self.device)
        check_tuned(watch.base, tuned)
        check_unseen(watch, tuned)
        found = watch.judge(before, watch.readings(tuned))
        limit = "none" if found.threshold is None else f"{found.threshold:.2f}"
        print(
            f"{found.verdict}: {watch.direction} {found.score:+.2f} "
            f"[{found.interval.low:+.2f}, {found.interval.high:+.2f}] spreads of "
            f"{len(watch.harmless)} harmless fine-tunes, threshold {limit}, on {found.prompts} prompts"
        )
        if found.reason:
            print(found.reason)
        if found.verdict is not Alarm.none:
            print(f"next: {shlex.join(['truing', 'audit', self.tuned, '--baseline', self.base])} --suite ...")
        if self.json:
            print(json.dumps(found.to_json()))
        return {Alarm.none: Exit.passed, Alarm.alarm: Exit.regression, Alarm.unclear: Exit.inconclusive}[
            found.verdict
        ]
