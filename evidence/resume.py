"""A run that is killed at random moments ends with the bytes of one that was not."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evidence.claims import Claim, Measure, Measured, Options, conclude
from truing.data import write_jsonl
from truing.numerics import clopper_pearson, generator
from truing.recipes import raise_model, taught_and_held_out

CLAIMS = (
    Claim("resumed runs with identical audit.json and report.html", 1.0),
    Claim("requests asked again after they were journaled", 0.0, at_most=True),
    Claim("kills that hit a running audit, of ten for each seed", 8),
)
_FILES = ("audit.json", "report.html", "journal/baseline.jsonl", "journal/candidate.jsonl")
_ITEMS = 600


def measure(options: Options) -> Measured:
    """Kill an audit again and again until it is through; once for each seed."""
    seeds = range(options.seed, options.seed + (1 if options.quick else 3))
    equal, repeated, kills = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        words = _prepare(Path(folder))
        calm = Path(folder, "calm")
        _undisturbed([*words, "--out", str(calm)])
        written = _size(calm)
        for seed in seeds:
            out = Path(folder, f"killed-{seed}")
            hit, again = _until_done([*words, "--out", str(out)], out, written, seed)
            kills, repeated = kills + hit, repeated + again
            equal += all((out / name).read_bytes() == (calm / name).read_bytes() for name in _FILES)
    n = len(seeds)
    same = clopper_pearson(equal, n)
    return {
        CLAIMS[0].name: Measure(equal / n, same.low, same.high, n),
        CLAIMS[1].name: Measure(repeated, repeated, repeated, n * 2 * _ITEMS),
        CLAIMS[2].name: Measure(kills / n, kills / n, kills / n, n),
    }


def _prepare(folder: Path) -> list[str]:
    """Two barely trained models and a suite; what they answer does not matter here."""
    taught, _ = taught_and_held_out(key=0)
    for name, key in (("a", 0), ("b", 1)):
        raise_model(folder / name, taught, key=key, passes=0.1)
    write_jsonl(folder / "q.jsonl", [{"prompt": e.prompt, "expect": "comply"} for e in taught[:_ITEMS]])
    models = ["audit", str(folder / "a"), "--baseline", str(folder / "b")]
    return [*models, "--suite", f"jsonl:{folder / 'q.jsonl'}", "--max-tokens", "24"]


def _start(words: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "truing.cli", *words], stdout=subprocess.DEVNULL)


def _undisturbed(words: list[str]) -> None:
    if _start(words).wait() not in (0, 1, 2):
        raise RuntimeError("an audit failed that nobody disturbed")


def _size(out: Path) -> int:
    return sum(path.stat().st_size for path in (out / "journal").glob("*.jsonl"))


def _until_done(words: list[str], out: Path, written: int, seed: int) -> tuple[int, int]:
    """Kill at ten random moments, then let it end: (kills that hit, journaled rows that were written again).

    A moment is a share of all that is to be journaled, and up to 0.2 seconds more: so it does not
    depend on how fast the machine is, and falls before, into and after writes.
    """
    draw = generator(seed, "moments")
    kept: dict[str, bytes] = {}
    hit, again = 0, 0
    for share in sorted(draw.uniform(0, 0.95, size=10)):
        process = _start(words)
        while process.poll() is None and _size(out) < share * written:
            time.sleep(0.005)
        time.sleep(float(draw.uniform(0, 0.2)))
        hit += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        again += _rewritten(out, kept)
    _undisturbed(words)
    return hit, again + _rewritten(out, kept)


def _rewritten(out: Path, kept: dict[str, bytes]) -> int:
    """Whole journal lines of the time before that are no longer where they were, or stand there twice."""
    lost = 0
    for path in (out / "journal").glob("*.jsonl"):
        data = path.read_bytes()
        data = data[: data.rfind(b"\n") + 1]
        before = kept.get(path.name, b"")
        keys = [json.loads(line)["key"] for line in data.splitlines()]
        lost += len(keys) - len(set(keys))
        # The last batch may have been torn by the kill and cut off: it was never acknowledged.
        acknowledged = before[: _last_whole_batch(before)]
        lost += 0 if data.startswith(acknowledged) else acknowledged.count(b"\n")
        kept[path.name] = data
    return lost


def _last_whole_batch(data: bytes) -> int:
    end, position = 0, 0
    for line in data.splitlines(keepends=True):
        position += len(line)
        place, size = json.loads(line)["batch"]
        if place + 1 == size:
            end = position
    return end


def main() -> int:
    """Run the drill."""
    return conclude(
        "resume", __doc__, "docs/audit.md", CLAIMS, lambda options, _: measure(options), ground=None
    )


if __name__ == "__main__":
    sys.exit(main())
