"""One `main()` for every verb: it finds the verb, and it alone turns an ending into an exit code."""

import importlib
import json
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from contextvars import ContextVar
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
    "align": "train on answers (sft), comparisons (dpo), rewards (grpo, ppo); repair (realign); make rewards (rm)",
    "align-audit": "align by a method, then audit what that did, in one command with the audit's exit code",
    "audit": "compare a candidate with its baseline: did it lose something?",
    "audit-plan": "how many items does it take to find a loss, and does a suite hold them?",
    "compare": "compare two logs (ours, Inspect, lm-eval, promptfoo): did the second lose something?",
    "convert": "turn an instruct model into a reasoning model, by fine-tuning it on traces",
    "demo": "a story in four small models: audit what was broken, repair it, audit again; needs only this machine",
    "judge": "measure a grader against labelled answers, keep its error rates as a card, train one on labels of yours",
    "organism": "the proving ground, a small world whose truth is known: raise its models, list them, see the page",
    "probe": "look inside a model: directions, autoencoders, what a fine-tune changed, which data push it",
    "runs": "list the audits and comparisons below a folder, with a page that leads to each",
    "spec": "the written specification: show it, check it, compare two of them, import one, sort answers by its rules",
}
"""Verb -> what it answers. The verb `x-y` is the dataclass `Command` in `truing/cli/x_y.py`."""
_LOCAL = ("torch", "transformers", "accelerate", "peft", "safetensors", "tokenizers", "huggingface_hub")
_EXTRAS = dict.fromkeys(_LOCAL, "local") | {"sklearn": "learn"}
"""Package -> the extra that brings it; the core does without."""
_WORDS: ContextVar[tuple[str, ...]] = ContextVar("words of the command line", default=())


def main(argv: Sequence[str] | None = None) -> int:
    """Run `truing VERB ...` and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    _prepare_streams()
    if os.environ.get("RANK", "0") != "0" and os.environ.get("WORLD_SIZE", "1") != "1":
        return _followed(words)
    code = _coded(words)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # nobody reads, or the disk is full: what was said is lost
        _prepare_streams(lost=True)
        return Exit.internal
    return code


def _followed(words: list[str]) -> int:
    """Of several processes that were launched together the first speaks; the others only say what failed."""
    os.environ["TRUING_QUIET"] = "1"
    with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):  # noqa: PTH123
        return _coded(words)


def print_audit_next(model: object, baseline: str) -> None:
    """Say how to find out what a training did."""
    words = shlex.join(["truing", "audit", str(model), "--baseline", baseline])
    print(f"What did that do?  {words} --suite ...")


def options_given() -> frozenset[str]:
    """The options that stand on the command line, as the fields they fill, whatever their values are."""
    return frozenset(
        word[2:].partition("=")[0].replace("-", "_") for word in _WORDS.get() if word.startswith("--")
    )


def _prepare_streams(*, lost: bool = False) -> None:
    """Make printing safe: text from files may hold anything, and a stream may be closed or gone."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or lost:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  # for the process's life
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _coded(words: list[str]) -> int:
    """Do what the words say; every way in which that can end is an exit code."""
    try:
        if not words or words[0] in ("-h", "--help"):
            print(_help())
            return Exit.passed if words else Exit.usage
        if words[0] == "--version":
            print(f"truing {__version__}")
            return Exit.passed
        return _run(words[0], words[1:])
    except SystemExit as stop:  # the parser's own: 0 after --help, 2 after a usage error
        if stop.code in (0, None):
            return Exit.passed
        _say_as_json("the command line is wrong", words, Exit.usage)
        return Exit.usage
    except InputError as why:
        return _fail(why, words, Exit.usage)
    except ModuleNotFoundError as why:
        extra = _EXTRAS.get((why.name or "").partition(".")[0])
        if extra is None:
            return _fail(why, words, Exit.internal)
        missing = InputError(f"this needs the package {why.name}", mend=f"pip install 'truing[{extra}]'")
        return _fail(missing, words, Exit.usage)
    except KeyboardInterrupt:
        return _fail(TruingError("interrupted; run the same command again to go on"), words, Exit.internal)
    except BaseException as why:
        return _fail(why, words, Exit.internal)


def _run(verb: str, words: list[str]) -> int:
    if verb not in VERBS:
        raise InputError(f"there is no verb {verb!r}", mend=f"choose from {', '.join(VERBS)}")
    import tyro

    _WORDS.set(tuple(words))
    module: Any = importlib.import_module(f"truing.cli.{verb.replace('-', '_')}")
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
    sentence = str(why) if isinstance(why, TruingError) else _unforeseen(why)
    with suppress(OSError):  # a stream that cannot be written must not turn the code into another
        if os.environ.get("TRUING_DEBUG") == "1":
            traceback.print_exception(why)
        print(f"truing: {sentence}", file=sys.stderr)
    _say_as_json(sentence, words, code)
    return code


def _say_as_json(sentence: str, words: Sequence[str], code: Exit) -> None:
    if "--json" in words:
        with suppress(OSError):
            print(json.dumps({"error": sentence, "exit": int(code)}))


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
