"""One `main()` for every verb: it finds the verb, and it alone turns an ending into an exit code."""

import importlib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from truing import __version__
from truing.types import InputError, TruingError


class Exit(IntEnum):
    """What the shell sees. A parser's usage error and a traceback must never look like findings."""

    passed = 0
    regression = 1
    inconclusive = 2
    usage = 3
    internal = 4


VERBS = {
    "audit": "compare a candidate with its baseline: did it lose something?",
    "demo": "make two tiny models, break one, and audit it; needs nothing but this machine",
}
"""Verb -> what it answers. The verb `x` is the dataclass `Command` in `truing/cli/x.py`."""
_LOCAL = {"torch", "transformers", "accelerate", "peft", "safetensors", "tokenizers", "huggingface_hub"}
"""What the extra `local` brings, and the core does without."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `truing VERB ...` and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # text from files may hold anything
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return Exit.passed if words else Exit.usage
    if words[0] == "--version":
        print(f"truing {__version__}")
        return Exit.passed
    try:
        return _run(words[0], words[1:])
    except SystemExit as stop:  # the parser's own: 0 after --help, 2 after a usage error
        return Exit.passed if stop.code in (0, None) else Exit.usage
    except InputError as why:
        return _fail(why, words, Exit.usage)
    except ModuleNotFoundError as why:
        if (why.name or "").partition(".")[0] not in _LOCAL:
            return _fail(why, words, Exit.internal)
        return _fail(
            InputError(f"this needs the package {why.name}", mend="pip install 'truing[local]'"),
            words,
            Exit.usage,
        )
    except KeyboardInterrupt:
        return _fail(TruingError("interrupted; run the same command again to go on"), words, Exit.internal)
    except BaseException as why:
        return _fail(why, words, Exit.internal)


def _run(verb: str, words: list[str]) -> int:
    if verb not in VERBS:
        raise InputError(f"there is no verb {verb!r}", mend=f"choose from {', '.join(VERBS)}")
    import tyro

    module: Any = importlib.import_module(f"truing.cli.{verb}")
    try:
        command = tyro.cli(
            module.Command,
            prog=f"truing {verb}",
            description=module.__doc__,
            args=words,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    except ValueError as why:  # an option out of its range
        raise InputError(str(why), mend=f"truing {verb} --help tells the options") from why
    return int(command.run())


def _fail(why: BaseException, words: Sequence[str], code: Exit) -> int:
    if os.environ.get("TRUING_DEBUG") == "1":
        traceback.print_exception(why)
    sentence = str(why) if isinstance(why, TruingError) else _unforeseen(why)
    print(f"truing: {sentence}", file=sys.stderr)
    if "--json" in words:
        print(json.dumps({"error": sentence, "exit": int(code)}))
    return code


def _unforeseen(why: BaseException) -> str:
    if isinstance(why, MemoryError):
        return "memory ran out; what was journaled is kept. Run the same command again with a smaller model or dtype."
    if isinstance(why, OSError) and why.strerror:
        place = f" ({why.filename})" if why.filename else ""
        return f"{why.strerror}{place}; what was journaled is kept. Run the same command again when that is mended."
    first_line = (str(why).splitlines() or [""])[0]
    return f"internal error, {type(why).__name__}: {first_line}. Set TRUING_DEBUG=1 to see where."


def _help() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {what}" for verb, what in VERBS.items()]
    return "\n".join(
        [
            "truing: align a language model to a written specification, and get the evidence.",
            "",
            "usage: truing VERB ...        truing VERB --help tells a verb's options",
            "",
            *lines,
            "",
            "exit codes: 0 pass, 1 regression, 2 inconclusive, 3 usage or input, 4 internal or disk.",
            "TRUING_DEBUG=1 shows tracebacks.",
        ]
    )
