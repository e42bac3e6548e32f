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
    Claim("kills that hit a running audit", 10),
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
        pace = _undisturbed([*words, "--out", str(calm)], calm)
        for seed in seeds:
            out = Path(folder, f"killed-{seed}")
            hit, again = _until_done([*words, "--out", str(out)], out, pace, seed)
            kills, repeated = kills + hit, repeated + again
            equal += all((out / name).read_bytes() == (calm / name).read_bytes() for name in _FILES)
    n = len(seeds)
    same = clopper_pearson(equal, n)
    return {
        CLAIMS[0].name: Measure(equal / n, same.low, same.high, n),
        CLAIMS[1].name: Measure(repeated, repeated, repeated, n * 2 * _ITEMS),
        CLAIMS[2].name: Measure(kills, kills, kills, n),
    }


def _prepare(folder: Path) -> list[str]:
    """Two barely trained models and a suite; what they answer does not matter here."""
    taught, _ = taught_and_held_out(key=0)
    for name, key in (("a", 0), ("b", 1)):
        raise_model(folder / name, taught, key=key, steps=2)
    write_jsonl(folder / "q.jsonl", [{"prompt": e.prompt, "expect": "comply"} for e in taught[:_ITEMS]])
    models = ["audit", str(folder / "a"), "--baseline", str(folder / "b")]
    return [*models, "--suite", f"jsonl:{folder / 'q.jsonl'}", "--max-tokens", "24"]


def _start(words: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "truing.cli", *words], stdout=subprocess.DEVNULL)


def _undisturbed(words: list[str], out: Path) -> tuple[float, float]:
    """Seconds to the first journaled batch, and from there to the end."""
    started = time.monotonic()
    process = _start(words)
    while process.poll() is None and not _size(out):
        time.sleep(0.02)
    first = time.monotonic()
    if process.wait() not in (0, 1, 2):
        raise RuntimeError("an audit failed that nobody disturbed")
    return first - started, time.monotonic() - first


def _size(out: Path) -> int:
    return sum(path.stat().st_size for path in (out / "journal").glob("*.jsonl"))


def _until_done(words: list[str], out: Path, pace: tuple[float, float], seed: int) -> tuple[int, int]:
    """Kill at ten random moments, then let it end: (kills that hit, journaled rows that were written again)."""
    loading, working = pace
    # Each life gets through about a twelfth of the work, so that ten kills find something to interrupt.
    moments = loading * 0.9 + generator(seed, "moments").uniform(0, working / 6, size=10)
    kept: dict[str, bytes] = {}
    hit, again = 0, 0
    for moment in moments:
        process = _start(words)
        try:
            process.wait(timeout=float(moment))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            hit += 1
        again += _rewritten(out, kept)
    _undisturbed(words, out)
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
    return conclude("resume", (__doc__ or "").splitlines()[0], "docs/audit.md", CLAIMS, measure)


if __name__ == "__main__":
    sys.exit(main())
