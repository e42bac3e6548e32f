"""What an audit costs beside its models: a sampler that answers at once, through the whole of `run_audit`.

The model is out of scope here, so it is the one thing that is not real: closed questions are read from
a file, planned, asked of two models, judged, compared and reported, with every journal on the disk.
The peer is inspect-ai with its own model that answers at once (`mockllm`), on fewer of the same
questions, twice: once for each model. Memory is flat if the answers do not stay in it: the peak at the
larger size is told for each item.
"""

import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest.mock import patch

from truing.audit import Settings, run_audit
from truing.types import Completion, Fingerprint, FrozenDict, Request, SamplingParams, Stop, Usage

SIZES = (2_000, 20_000)
BUDGET = 0.5
"""CPU milliseconds for each item, both models and the report together."""
COMPARED = 400
"""Items that the peer is asked, too."""
_BATCH = 64
_ANSWERS = {False: "It is the kettle, I believe.", True: "It is the ladder, I believe."}
"""Whether the candidate got it wrong -> what it says."""


class AtOnce:
    """A `Sampler` whose answers are constant, but for each tenth of the candidate's."""

    fingerprint = Fingerprint("at once", verified=False)
    ground = ""

    def __init__(self, side: str) -> None:
        self.side = side

    def describe(self) -> dict[str, object]:
        """Nothing is known of it."""
        return {}

    def plan(self, requests: Sequence[Request], params: SamplingParams) -> list[list[int]]:
        """Batches as large as a small model's."""
        return [list(range(i, min(i + _BATCH, len(requests)))) for i in range(0, len(requests), _BATCH)]

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        """Completions with tokens and log-probabilities, as a model in this process has them."""
        for request in requests:
            wrong = self.side == "candidate" and request.id.endswith("7")
            text, n = _ANSWERS[wrong], 12
            yield Completion(request.id, 0, text, text, Stop.eos, self.fingerprint, prompt_ids=tuple(range(40)),
                             token_ids=tuple(range(n)), logprobs=(-0.12345678,) * n, usage=Usage(40, n))  # fmt: skip


def questions(path: Path, count: int) -> Path:
    """A file for the suite `jsonl`: closed questions of two dimensions."""
    rows = (
        {"prompt": f"Which of the things on shelf {i} is it, and why do you think so?", "target": "kettle",
         "id": str(i), "dimension": ("capability", "truthfulness")[i % 2]}
        for i in range(count)
    )  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def audit(file: Path, out: Path) -> None:
    """One audit from the file to the report."""
    with (
        patch("truing.audit.engine.load", lambda ref, **_: AtOnce(ref)),
        patch("truing.audit.engine.identify", lambda ref: FrozenDict({"at once": ref})),
    ):
        run_audit("candidate", "baseline", f"jsonl:{file}", Settings(), out=out)


def _measured(count: int) -> tuple[float, float]:
    """CPU seconds and peak memory (KB) of an audit of so many items, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = questions(Path(folder) / "q.jsonl", count)
        audit(questions(Path(folder) / "warm.jsonl", 200), Path(folder) / "warm")  # imports, caches
        start = time.process_time()
        audit(file, Path(folder) / "out")
        return time.process_time() - start, float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
