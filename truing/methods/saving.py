"""What every method leaves: an ordinary Hugging Face folder with its card, whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from truing.run import Card, model_card
from truing.types import InputError


def refuse_taken(out: Path) -> None:
    """Say no to a folder that holds something, before hours are spent on what would go there.

    Raises:
        InputError: `out` is a file, or a folder that is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        problem = "is not empty" if out.is_dir() else "is a file, not a folder"
        raise InputError(problem, file=out, mend="choose another --out")


@contextmanager
def new_folder(out: Path, card: Card) -> Iterator[Path]:
    """Yield a folder to save into; it gets the card as its README.md and becomes `out` when the block ends."""
    from transformers.utils import logging

    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a life that was killed
    unfinished.mkdir(parents=True)
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # of files that are written in a blink
    try:
        yield unfinished
    finally:
        if bars:
            logging.enable_progress_bar()
    (unfinished / "README.md").write_text(model_card(card), encoding="utf-8")
    if out.exists():
        out.rmdir()
    unfinished.rename(out)
