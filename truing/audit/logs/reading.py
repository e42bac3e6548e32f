"""`read_log`: any log that is known here, recognised by what it holds."""

from pathlib import Path

from truing.audit.logs.base import Log, parse
from truing.audit.logs.inspect_eval import looks_like_inspect, read_inspect
from truing.audit.logs.lm_eval import PATTERNS, looks_like_lm_eval, read_lm_eval
from truing.audit.logs.own_run import find_own_run, read_own_run
from truing.audit.logs.promptfoo import is_promptfoo_row, looks_like_promptfoo, read_promptfoo
from truing.data import reading
from truing.types import InputError

_KNOWN = "give a folder of truing audit, an Inspect log, lm-eval's samples_*.jsonl or promptfoo's output"


def read_log(path: str | Path, *, score: str | None = None) -> Log:
    """Read a log of any tool: one of ours, of Inspect, lm-evaluation-harness or promptfoo.

    A folder of ours holds two sides: `FOLDER/baseline`, and `FOLDER/candidate`, which is meant where
    nothing follows. A folder with lm-eval's `samples_*.jsonl` is all of them. `score` names the score
    that counts where the log has several; our own runs have one.

    Raises:
        InputError: there is no such file, no tool that is known here wrote it, or it is not whole.
    """
    path = Path(path)
    try:
        return _read(path, score)
    except (AttributeError, KeyError, TypeError, ValueError) as why:  # the layouts are other people's
        said = f"is not laid out as its tool writes it ({type(why).__name__}: {why})"
        raise InputError(said, file=path, mend="log it again, or with another version of the tool") from why


def _read(path: Path, score: str | None) -> Log:
    if own := find_own_run(path):
        if score is not None:
            raise InputError("a run of truing has one score", file=path, mend="leave out --score")
        return read_own_run(*own)
    if path.is_dir():
        samples = sorted(file for pattern in PATTERNS for file in path.glob(pattern))
        if not samples:
            raise InputError("is a folder without a log", file=path, mend=_KNOWN)
        return read_lm_eval(samples, score)
    with reading(path) as file:
        start = file.readline()
        if start.startswith(b"PK"):
            return read_inspect(path, score)
        first = _first_value(start)
        if looks_like_lm_eval(first):
            return read_lm_eval([path], score)
        if is_promptfoo_row(first):
            return read_promptfoo(path, score)
        data = first if first is not None else parse(start + file.read(), file=path)
    if looks_like_inspect(data):
        return read_inspect(path, score)
    if looks_like_promptfoo(data):
        return read_promptfoo(path, score)
    if isinstance(data, dict) and isinstance(data.get("results"), dict) and "configs" in data:
        mend = "name the samples_*.jsonl beside it (lm-eval writes them with --log_samples)"
        raise InputError("holds lm-eval's totals, and not one row for each answer", file=path, mend=mend)
    raise InputError("is no log that is known here", file=path, mend=_KNOWN)


def _first_value(line: bytes) -> object:
    """The JSON value on the first line, None where it goes on below."""
    try:
        return parse(line, file=Path())
    except InputError:
        return None
