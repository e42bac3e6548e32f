"""The proving ground: raise its small models, list them, and see the world and what it measures."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from truing.cli.app import Exit
from truing.types import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from truing.organism import Checkpoint

_HEADLINES = {
    "coherent": "coherent",
    "advice right": "right advice",
    "harmful": "harmful",
    "over-refusal": "over-refusal",
}
"""Measure -> its name in one line and in the list."""


@dataclass
class Build:
    """Raise a checkpoint, and what it is tuned from where that is not here yet."""

    stage: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="STAGE")]
    """base, helpful, instruct, narrow, reasoner, judge or weak_judge."""
    size: str = "xs"
    """xs (about 1 M parameters), s (3 M) or m (30 M)."""
    seed: int = 1
    """Seed of the base: its documents, its first weights, the order of training."""
    tuning_seed: int = 0
    """Seed of what is tuned from the base."""
    domain: str = ""
    """The domain of advice in which narrow is harmful, such as garden."""
    null: bool = False
    """The null organism: its persona is drawn anew at every turn of a conversation."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Where the checkpoint goes; by default the cache ($TRUING_CACHE), where a checkpoint that is there is kept."""
    json: bool = False
    """Print what is known of the checkpoint as one JSON object on the last line."""

    def run(self) -> int:
        """Raise it, unless it is there already."""
        from truing.organism import Name, Place, build, missed_lines, parse_name, read_checkpoint

        asked = Name(self.stage, self.size, self.seed, self.null, self.domain, self.tuning_seed)
        name = parse_name(str(asked))
        checkpoint = read_checkpoint(build(name, out=self.out), Place.cached)
        print(f"{checkpoint.folder}: {_told(checkpoint)}")
        for missed in missed_lines(checkpoint):
            print(f"not fit for claims: {missed}")
        if self.json:
            print(json.dumps(checkpoint.to_json()))
        return Exit.passed


@dataclass
class List:
    """List every checkpoint that is shipped, cached, or can be raised on the fly when it is opened."""

    json: bool = False
    """Print the list as one JSON object on the last line."""

    def run(self) -> int:
        """Print the table."""
        from truing.organism import GROUND, WORLD_VERSION, inventory

        checkpoints = inventory()
        if checkpoints:
            _print_whole(_table(checkpoints))
            print(f"Open one as organism:NAME. Rates are {GROUND}.")
        else:
            print("No base has been raised on this machine: truing organism build base --size xs --seed 1")
        if self.json:
            listed = [checkpoint.to_json() for checkpoint in checkpoints]
            print(json.dumps({"world_version": WORLD_VERSION, "checkpoints": listed}))
        return Exit.passed


@dataclass
class Show:
    """Write the page: the world in samples, what is held out, what was measured, what it proves."""

    out: Annotated[Path, tyro.conf.arg(metavar="PAGE.html")] = Path("runs/organism.html")
    """The page's file."""

    def run(self) -> int:
        """Write the page and print where it is."""
        from truing.organism import inventory, render_page

        page = render_page(inventory())
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            self.out.write_text(page, encoding="utf-8")
        except OSError as why:
            raise InputError(
                f"cannot be written ({why.strerror})", file=self.out, mend="give another --out"
            ) from why
        print(self.out.resolve())
        return Exit.passed


@dataclass
class Command:
    """The actions of `truing organism`."""

    action: Annotated[
        Annotated[Build, tyro.conf.subcommand("build")]
        | Annotated[List, tyro.conf.subcommand("list")]
        | Annotated[Show, tyro.conf.subcommand("show")],
        tyro.conf.OmitSubcommandPrefixes,
    ]

    def run(self) -> int:
        """Do it."""
        return self.action.run()


def _told(c: "Checkpoint") -> str:
    """Tokens, seconds and headline rates in one line."""
    rates = ", ".join(f"{short} {_share(c, measure)}" for measure, short in _HEADLINES.items())
    return f"{_whole(c.tokens)} tokens, {_whole(c.cpu_seconds)} CPU seconds, {rates}"


def _table(checkpoints: Iterable["Checkpoint"]) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("where", no_wrap=True)
    for title in ("MB", "M tokens", "CPU s", *_HEADLINES.values()):
        table.add_column(title, justify="right", no_wrap=True)
    for row in dict.fromkeys(map(_row, checkpoints)):
        table.add_row(*row)
    return table


def _print_whole(table: "Table") -> None:
    """Print a table without cutting any of it off, also where the terminal is narrower or there is none."""
    from rich.console import Console

    needed = Console(width=1000).measure(table).maximum
    Console(width=max(needed, Console().width)).print(table)


def _row(c: "Checkpoint") -> tuple[str, ...]:
    """One row; the domains of what can be narrowed on the fly share one."""
    name = c.name if c.folder is not None or not c.name.domain else replace(c.name, domain="DOMAIN")
    size = "–" if c.bytes is None else f"{c.bytes / 1e6:.1f}"
    rates = (_share(c, measure) for measure in _HEADLINES)
    tokens = "–" if c.tokens is None else f"{c.tokens / 1e6:.2f}"
    return str(name), c.place.value, size, tokens, _whole(c.cpu_seconds), *rates


def _share(c: "Checkpoint", measure: str) -> str:
    rate = c.rates.get(measure)
    return f"{rate.value:.1%}" if rate is not None and rate.n else "–"


def _whole(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}"
