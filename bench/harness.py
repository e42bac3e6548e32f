"""What an audit costs beside its models: a sampler that answers at once, through the whole of `run_audit`.

The model is out of scope here, so it is the one thing that is not real: closed questions are read from
a file, planned, asked of two models, judged, compared and reported, with every journal on the disk.
First the CPU time of an item and the peak of memory are told at two sizes, then inspect-ai does the
same with its own model that answers at once, `mockllm`.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from unittest.mock import patch

from bench.pairs import Stopwatch, compare_speed
from truing.audit import Policy, Settings, plan_items, run_audit
from truing.data import write_jsonl
from truing.grade import judge
from truing.types import Completion, Fingerprint, FrozenDict, Request, SamplingParams, Stop, Usage

SIZES = (2_000, 20_000)
BUDGET_MS = 0.5
"""CPU milliseconds for each answer of one model to one item, grading included: all but the model."""
BUDGET_KB = 4.0
"""Memory for each further item: its question and two verdicts, and no answer."""
COMPARED = 500
"""Items that the peer is asked, too."""
_BATCH, _PROMPT, _WRITTEN = 64, 40, 12
_SAYS, _SAYS_ELSE = "It is the kettle, I believe.", "It is the ladder, I believe."


class AtOnce:
    """A `Sampler` with constant answers; of the candidate every tenth is another one."""

    fingerprint = Fingerprint("at once", verified=False)
    ground = ""

    def __init__(self, side: str) -> None:
        self.side = side

    def describe(self) -> dict[str, object]:
        """Nothing is known of it."""
        return {}

    def plan(self, requests: Sequence[Request], params: SamplingParams) -> list[list[int]]:
        """Batches as large as those of a small model in this process."""
        indices = range(len(requests))
        return [list(indices[i : i + _BATCH]) for i in range(0, len(requests), _BATCH)]

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        """Completions with all that a model in this process tells."""
        for request in requests:
            text = _SAYS_ELSE if self.side == "candidate" and request.id.endswith("7") else _SAYS
            yield Completion(
                request.id, 0, text, text, Stop.eos, self.fingerprint, prompt_ids=(7,) * _PROMPT,
                token_ids=(7,) * _WRITTEN, logprobs=(-0.1234567,) * _WRITTEN, usage=Usage(_PROMPT, _WRITTEN),
            )  # fmt: skip


def main() -> int:
    """Print both sizes, and last the ratio of wall times; fail if a budget is not kept."""
    from bench.inspect_peer import at_once, evaluate, opened

    with tempfile.TemporaryDirectory() as place:
        kept = _told_sizes(Path(place))
        folder, runs = Path(place), count()
        file = _questions(folder / "compared.jsonl", COMPARED)
        items = plan_items(f"jsonl:{file}", Settings(), Policy()).items
        model = opened("mockllm/model", batch=COMPARED, max_tokens=_WRITTEN, custom_outputs=at_once(_SAYS))

        def peer() -> None:
            for _ in ("baseline", "candidate"):
                evaluate(model, items, folder / f"peer-{next(runs)}")

        what = f"audit of 2 models that answer at once on {COMPARED} questions, to the report"
        compare_speed(what, lambda: _audit(file, folder / f"ours-{next(runs)}"), peer, pairs=4)
    return int(not kept)


def _told_sizes(folder: Path) -> bool:
    told = []
    for items in SIZES:
        # A process of its own: the peak of memory is that of this audit and of what it imports.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, graders, peak = pool.apply(_measured, (folder / str(items), items))
        each, judging = (1000 * spent / (2 * items) for spent in (seconds, graders))
        print(
            f"{items} items: {each:.3f} ms of CPU an answer (an item has two), {judging:.3f} of it in the grader; "
            f"{peak // 1024} MB"
        )
        told.append((each, peak))
    (_, few), (each, many) = told
    grown = (many - few) / (SIZES[1] - SIZES[0])
    print(f"{grown:.1f} KB for each further item; budgets: {BUDGET_MS} ms an answer, {BUDGET_KB} KB an item")
    return each < BUDGET_MS and grown < BUDGET_KB


def _measured(folder: Path, items: int) -> tuple[float, float, int]:
    """CPU seconds of an audit, of these the grader's, and the peak of memory in KB."""
    folder.mkdir()
    _audit(_questions(folder / "few.jsonl", 200), folder / "few")  # imports what an audit needs
    file, watch = _questions(folder / "many.jsonl", items), Stopwatch(time.process_time)
    start = time.process_time()
    with patch("truing.audit.collect.judge", watch.around(judge)):
        _audit(file, folder / "many")
    spent = time.process_time() - start
    return spent, sum(watch.times), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _audit(file: Path, out: Path) -> None:
    with (
        patch("truing.audit.engine.load", lambda ref, **_: AtOnce(ref)),
        patch("truing.audit.engine.identify", lambda ref: FrozenDict({"at once": ref})),
    ):
        run_audit("candidate", "baseline", f"jsonl:{file}", Settings(), out=out)


def _questions(file: Path, items: int) -> Path:
    """Closed questions of two dimensions, no two of them the same."""
    rows = (
        {"id": str(i), "prompt": f"Which of the things on shelf {i} is it, and why do you think so?",
         "target": "kettle", "dimension": ("capability", "truthfulness")[i % 2]}
        for i in range(items)
    )  # fmt: skip
    write_jsonl(file, rows)
    return file


if __name__ == "__main__":
    sys.exit(main())
