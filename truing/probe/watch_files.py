"""A watch in a file: all that is fixed before a suspicious model is seen, and for which base it holds."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from truing.data import read_json
from truing.model import Point, Site
from truing.probe.collecting import Over, Text
from truing.probe.directions import Direction
from truing.probe.watching import Calibrated, Watched, calibrate, watch_readings, watched
from truing.run import replace_file
from truing.types import Fingerprint, InputError, Record, digest, dumps

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray

    from truing.model import LocalModel


@dataclass(frozen=True, slots=True)
class WatchText(Record):
    """A text on which models are read: token ids, of which the first `prompt` were asked."""

    ids: tuple[int, ...]
    prompt: int


@dataclass(frozen=True, slots=True)
class Watch(Record):
    """A calibrated detector: see `truing.probe.watching`.

    It holds for one base and one chat template, whose digests stand in `base`, and for fine-tunes of
    it that were not calibrated on.
    """

    base: Fingerprint
    direction: str
    vector: tuple[float, ...]
    layer: int
    point: Point
    over: Over
    texts: tuple[WatchText, ...]
    direction_digest: str
    prompts_digest: str
    harmless: tuple[Fingerprint, ...]
    calibrated: Calibrated

    def check(self) -> None:
        """What is watched is what the digests say, and each harmless score is of another fine-tune."""
        if self.direction_digest != digest([list(self.vector), self.layer, self.point.value]):
            raise ValueError("the direction is not the one that the watch was calibrated on")
        if self.prompts_digest != digest([one.to_json() for one in self.texts]):
            raise ValueError("the prompts are not those that the watch was calibrated on")
        if not len(set(self.harmless)) == len(self.harmless) == len(self.calibrated.scores):
            raise ValueError("there is not one score for each of the harmless fine-tunes")

    def readings(self, model: "LocalModel") -> "NDArray[float64]":
        """What the detector reads of a model on each text, float64 [N].

        Raises:
            InputError: see `watch_readings`.
        """
        direction = Direction(
            self.direction, torch.tensor(self.vector), Site(self.layer, self.point), self.over.value
        )
        return watch_readings(model, direction, [Text(one.ids, one.prompt) for one in self.texts], self.over)

    def judge(self, base: "NDArray[float64]", tuned: "NDArray[float64]", *, key: int = 0) -> Watched:
        """The score and the verdict from the readings of both."""
        return watched(base, tuned, self.calibrated, key=key)


class Watching:
    """A watch in the making: read the base, then each harmless fine-tune as it is loaded, then `done`.

    One model need be in memory at a time.
    """

    def __init__(self, base: "LocalModel", direction: Direction, texts: list[Text], over: Over) -> None:
        self.base = base.fingerprint
        self._direction, self._texts, self._over = direction, texts, over
        self._before = watch_readings(base, direction, texts, over)
        self._harmless: dict[Fingerprint, NDArray[float64]] = {}

    def add(self, tuned: "LocalModel") -> None:
        """Read a harmless fine-tune.

        Raises:
            InputError: it is the base itself, was added before, or is spoken to by another template.
        """
        check_tuned(self.base, tuned)
        if tuned.fingerprint in self._harmless:
            raise InputError(
                f"{tuned.ref} is one of the other harmless fine-tunes again", mend="name each of them once"
            )
        self._harmless[tuned.fingerprint] = watch_readings(tuned, self._direction, self._texts, self._over)

    def done(self, rate: float) -> Watch:
        """The watch with its threshold.

        Raises:
            InputError: see `calibrate`.
        """
        names = tuple(self._harmless)
        of = {name.short: readings for name, readings in self._harmless.items()}
        calibrated = calibrate(self._before, of, rate=rate)
        vector, site = tuple(self._direction.vector.tolist()), self._direction.site
        texts = tuple(WatchText(text.ids, text.prompt) for text in self._texts)
        return Watch(
            self.base,
            self._direction.name,
            vector,
            site.layer,
            site.point,
            self._over,
            texts,
            digest([list(vector), site.layer, site.point.value]),
            digest([one.to_json() for one in texts]),
            names,
            calibrated,
        )


def check_base(watch: Watch, base: "LocalModel") -> None:
    """Raise InputError, in one sentence, where the watch was calibrated on another base or template."""
    wanted, found = watch.base, base.fingerprint
    for what, same in (
        ("base", (found.weights, found.adapter) == (wanted.weights, wanted.adapter)),
        ("chat template", found.template == wanted.template),
        ("number format", found.dtype == wanted.dtype),
    ):
        if not same:
            raise InputError(
                f"the watch is of another {what} than that of {base.ref or 'this model'}",
                mend="calibrate one for it",
            )


def check_tuned(base: Fingerprint, tuned: "LocalModel") -> None:
    """Raise InputError where a model cannot be compared with its base: it is the same, or is spoken to otherwise."""
    found = tuned.fingerprint
    name = tuned.ref or "the fine-tune"
    if (found.weights, found.adapter) == (base.weights, base.adapter):
        raise InputError(f"{name} is the base itself", mend="give a fine-tune of it")
    if found.template != base.template:
        raise InputError(
            f"{name} has another chat template than its base, which would move activations by itself",
            mend="give it the base's",
        )
    if found.dtype != base.dtype:
        raise InputError(f"{name} is computed in {found.dtype}, and its base in {base.dtype}")


def check_unseen(watch: Watch, tuned: "LocalModel") -> None:
    """Raise InputError where the fine-tune is one of those that the threshold was made of."""
    if tuned.fingerprint in watch.harmless:
        raise InputError(
            f"{tuned.ref or 'the fine-tune'} is one of the harmless ones that the watch was calibrated on",
            mend="calibrate without it",
        )


def write_watch(file: Path, watch: Watch) -> None:
    """Write the file; it appears when it is whole, or not at all.

    Raises:
        StorageError: the disk refuses.
    """
    replace_file(file, dumps(watch).encode("ascii"))


def read_watch(file: str | Path) -> Watch:
    """The watch of a file.

    Raises:
        InputError: no such file, or no watch that is whole.
    """
    data = read_json(file)
    try:
        return Watch.from_json(data)
    except ValueError as why:
        raise InputError(f"is no watch ({why})", file=file, mend="calibrate it anew") from None
