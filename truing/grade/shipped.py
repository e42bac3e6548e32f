"""The calibration cards that come with the package, for the graders that come with it."""

from functools import cache
from pathlib import Path

from truing.grade.calibration import CalibrationCard, read_card

_FOLDER = Path(__file__).parent / "cards"


@cache
def shipped_cards() -> tuple[CalibrationCard, ...]:
    """Every card of this package, by file name. docs/graders.md says what each was made on."""
    return tuple(read_card(file) for file in sorted(_FOLDER.glob("*.json")))
