"""What every method begins with and leaves: a whole model, and an ordinary folder with its card."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from truing.model import find_folder, load_local, save_net
from truing.run import Card, model_card, rank, world_size
from truing.types import InputError

if TYPE_CHECKING:
    from torch import dtype

    from truing.model import LocalModel


def load_policy(
    ref: str, *, whole: bool, device: str, quantize: Literal["4bit"] | None = None
) -> "LocalModel":
    """A model to train: in float32 if all of its weights are (`whole`), else as it is stored, or in four bits.

    Raises:
        InputError: it cannot be loaded, is an adapter, or is to be sharded in four bits.
    """
    place = place_to_load(device)
    if quantize and place != device:
        mend = "launch without FSDP: each process has the whole model in four bits"
        raise InputError("a model in four bits is not sharded here", mend=mend)
    model = load_local(ref, device=place, dtype="float32" if whole else "auto", quantize=quantize)
    folder = find_folder(ref)
    if (folder / "adapter_config.json").is_file():
        mend = f"make it one: truing align merge --model {ref} --out FOLDER"
        raise InputError("is an adapter, not a whole model", file=folder, mend=mend)
    return model


def place_to_load(device: str) -> str:
    """Where the weights go first: into the machine's memory, where each GPU then takes its part of them."""
    from truing.train import sharding

    return "cpu" if sharding() else device


def save_policy(model: "LocalModel", adapter: Any | None, ref: str, folder: Path) -> None:
    """Save the adapter, or the whole model in the numbers that `ref` is stored in, and the tokenizer."""
    if adapter is not None:
        save_net(adapter, folder)
    else:
        save_net(model.net, folder, stored_type(model, ref))
    model.chat.tokenizer.save_pretrained(folder)


def stored_type(model: "LocalModel", ref: str) -> "dtype":
    """The numbers that the weights of `ref` are stored in; where its configuration has none, those of `model`."""
    from transformers import AutoConfig

    stored: dtype | None = AutoConfig.from_pretrained(find_folder(ref)).dtype
    return stored or model.net.dtype


def refuse_taken(out: Path) -> None:
    """Say no to a folder that holds something, before hours are spent on what would go there.

    Raises:
        InputError: `out` is a file, or a folder that is not empty.
    """
    if rank() == 0 and out.exists() and (not out.is_dir() or any(out.iterdir())):
        problem = "is not empty" if out.is_dir() else "is a file, not a folder"
        raise InputError(problem, file=out, mend="choose another --out")


@contextmanager
def new_folder(out: Path, card: Card) -> Iterator[Path]:
    """Yield a folder to save into; it gets the card as its README.md and becomes `out` when the block ends.

    Of several processes the first makes it, and the others wait until it is there.
    """
    from transformers.utils import logging

    if rank():
        with tempfile.TemporaryDirectory(prefix="truing-rank-") as own:
            yield Path(own)
        _wait()
        return

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
    _wait()


def _wait() -> None:
    if world_size() > 1:
        from truing.train import meet

        meet()
