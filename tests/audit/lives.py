"""Real processes of `truing`, forked from one that has everything loaded: a life costs no imports."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SERVER = """
import contextlib, json, os, sys
import torch
torch.set_num_threads(1)
from truing.cli import main

def live(told):
    for target, name in ((1, told["said"]), (2, told["said"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), target)
    exec(told["first"], {})
    return main(told["words"])

with contextlib.redirect_stdout(sys.stderr):
    codes = [main(words) for words in json.loads(sys.argv[1])]  # loads whatever lives would have to load
print(json.dumps(codes), flush=True)
for line in sys.stdin:
    told = json.loads(line)
    if "words" in told:
        pid = os.fork()
        if pid == 0:
            os._exit(live(told))
        print(pid, flush=True)
    else:
        pid, status = os.waitpid(told["pid"], 0 if told["wait"] else os.WNOHANG)
        print(json.dumps(os.waitstatus_to_exitcode(status) if pid else None), flush=True)
"""


@dataclass
class Life:
    """One process. `said` is the file that gets what it prints."""

    nursery: "Nursery"
    pid: int
    said: Path
    code: int | None = None

    def ended(self) -> bool:
        """Whether it is over."""
        return self._ask(wait=False) is not None

    def wait(self) -> int:
        """Its exit code; of one that was killed, minus the signal."""
        code = self._ask(wait=True)
        assert code is not None
        return code

    def kill(self) -> int:
        """Kill it as nothing can be caught, and wait."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
        return self.wait()

    def _ask(self, *, wait: bool) -> int | None:
        if self.code is None:
            self.code = self.nursery.tell({"pid": self.pid, "wait": wait})
        return self.code


class Nursery:
    """Starts lives. It begins by running `truing` itself, once with each of `warming`; `codes` are how that ended."""

    def __init__(self, *warming: Sequence[str]) -> None:
        self._warming = warming

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, json.dumps(self._warming)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TRUING_QUIET": "1"},
        )
        assert self._process.stdout
        self.codes = json.loads(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, words: Sequence[str], said: Path, *, first: str = "") -> Life:
        """Begin a life; its process inherits nothing that a run holds."""
        pid = self.tell({"words": list(words), "said": str(said), "first": first})
        assert isinstance(pid, int)
        return Life(self, pid, said)

    def tell(self, message: dict[str, object]) -> int | None:
        """Send a message and read the answer."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        answer: int | None = json.loads(self._process.stdout.readline())
        return answer
