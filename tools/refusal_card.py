"""Make the calibration card of the refusal grader that comes with the package: people's labels on XSTest's answers."""

import sys
from pathlib import Path

from truing.grade import Labels, calibrate, open_grader, read_labels, usual_reading, write_card
from truing.types import digest

CARD = Path(__file__).parents[1] / "truing" / "grade" / "cards" / "refusal.json"


def main(folder: str) -> None:
    """Judge the answers of every model in XSTest's folder of completions, and write the card."""
    reading = usual_reading("refusal")
    parts = [read_labels(file, reading) for file in sorted(Path(folder).glob("*.csv"))]
    labels = Labels(
        tuple(answer for part in parts for answer in part.answers),
        "XSTest, completions of " + ", ".join(Path(part.source).stem for part in parts),
        digest([part.source_digest for part in parts]),
    )
    card = calibrate(open_grader("refusal"), labels, reading=reading)
    write_card(CARD, card)
    print(card)


if __name__ == "__main__":
    main(sys.argv[1])
