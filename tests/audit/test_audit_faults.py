"""Endpoints and models that fail: a row that was lost is never evidence, and a fault that passes leaves no trace."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from model.faulty_server import (
    Behaviour,
    Exchange,
    FaultyServer,
    quick_and_keyless,  # noqa: F401
    refuses,
    reply,
    sends,
)
from model.tiny import checkpoint
from transformers import AutoModelForCausalLM

from truing.cli import main
from truing.model.endpoint import EndpointModel

pytestmark = pytest.mark.usefixtures("quick_and_keyless")
ITEMS = 40
FAULTS: dict[str, Behaviour] = {
    "429": refuses(429),
    "429 with Retry-After": refuses(429, Retry_After="0.01"),
    "500": refuses(500),
    "malformed JSON": sends(b'{"choices": [{"mess', Content_Type="application/json"),
    "an error under 200": sends(b'{"error": {"message": "overloaded"}}'),
    "half a body": sends(b'{"choices": [', promised=4000),
    "a hang": lambda exchange: exchange.hang(),
    "no word": lambda exchange: exchange.drop(),
}
DOWN = [name for name in FAULTS if name not in ("malformed JSON", "an error under 200")]
"""Faults of the endpoint rather than of an answer: eight requests in a row that are lost so end the run."""

CONCURRENCY = 8


def right(exchange: Exchange) -> None:
    said = f"#### {int(exchange.last.split()[2]) + 1}"
    exchange.json(reply(said, model=exchange.body["model"]))


class Fault:
    """Misbehaves while `on`, at requests of the candidate that `hits` names; otherwise every answer is right."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.off()

    def off(self) -> None:
        self.behave, self.hits = right, lambda prompt, times: False
        self.asked: dict[str, int] = {}

    def on(self, behave: Behaviour, hits: Callable[[str, int], bool]) -> None:
        self.behave, self.hits = behave, hits

    def __call__(self, exchange: Exchange) -> None:
        key = f"{exchange.body['model']}: {exchange.last}"
        with self.lock:
            times = self.asked[key] = self.asked.get(key, 0) + 1
        hit = exchange.body["model"] == "new" and self.hits(exchange.last, times)
        self.behave(exchange) if hit else right(exchange)


@pytest.fixture(scope="module")
def fault() -> Fault:
    return Fault()


@pytest.fixture(scope="module")
def server(fault: Fault) -> Iterator[FaultyServer]:
    with FaultyServer([fault]) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> Iterator[None]:
    """Endpoints are given up as in life, only sooner."""

    def opened(ref: str) -> EndpointModel:
        url, _, model = ref.removeprefix("endpoint:").partition("#")
        timeout = 1.0 if fault.behave is FAULTS["a hang"] else 30.0
        return EndpointModel(url, model, timeout=timeout, deadline=60.0, retries=1, concurrency=CONCURRENCY)

    monkeypatch.setattr(EndpointModel, "from_ref", opened)
    yield
    fault.off()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("faults")
    rows = [
        {"prompt": f"What is {i} plus 1?", "expect": "number", "target": str(i + 1)} for i in range(ITEMS)
    ]
    (made / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


@pytest.fixture
def calm(folder: Path, server: FaultyServer) -> Path:
    """The undisturbed run: it passes."""
    if not (folder / "calm").exists():
        assert audit(server, folder, folder / "calm") == 0
    return folder / "calm"


def audit(server: FaultyServer, folder: Path, out: Path, *options: str) -> int:
    ref, suite = f"endpoint:{server.url}#", f"jsonl:{folder / 'q.jsonl'}"
    words = ["audit", f"{ref}new", "--baseline", f"{ref}old", "--suite", suite, "--margin", "0.3"]
    return main([*words, "--out", str(out), *options])


def result(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "audit.json").read_text())
    return found


def pages(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in ("audit.json", "report.html")]


def rows(out: Path) -> dict[str, dict[str, Any]]:
    """Every row of every journal. Where a batch ends is another matter: of one that broke off a part is kept."""
    return {
        f"{path.name} {line['key']}": line["row"]
        for path in sorted((out / "journal").glob("*.jsonl"))
        for line in map(json.loads, path.read_text().splitlines())
    }


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_passes_leaves_the_bytes_of_a_run_without_it(
    name: str, fault: Fault, server: FaultyServer, folder: Path, calm: Path, tmp_path: Path
) -> None:
    fault.on(FAULTS[name], lambda prompt, times: times == 1 and "7" in prompt)
    assert audit(server, folder, tmp_path / "run") == 0
    assert max(fault.asked.values()) == 2
    assert pages(tmp_path / "run") == pages(calm) and rows(tmp_path / "run") == rows(calm)


@pytest.mark.parametrize("name", FAULTS)
def test_rows_that_are_lost_lower_the_coverage_and_nothing_passes(
    name: str, fault: Fault, server: FaultyServer, folder: Path, calm: Path, tmp_path: Path
) -> None:
    fault.on(FAULTS[name], lambda prompt, times: "7" in prompt)
    assert audit(server, folder, tmp_path / "run") == 2
    (comparison,) = result(tmp_path / "run")["comparisons"]
    lost = sum("7" in str(i) for i in range(ITEMS))
    assert comparison["candidate"]["outcomes"] == {"decided": ITEMS - lost, "error": lost}
    assert (comparison["pairs"], comparison["coverage"]) == (ITEMS - lost, 1 - lost / ITEMS)
    assert comparison["worst_case"] == -lost / ITEMS
    (finding,) = result(tmp_path / "run")["decision"]["findings"]
    assert finding["status"] == "inconclusive" and "the model failed" in finding["reason"]


@pytest.mark.parametrize("name", DOWN)
def test_an_endpoint_that_goes_down_ends_the_run_with_4_and_it_goes_on_when_it_is_back(
    name: str,
    fault: Fault,
    server: FaultyServer,
    folder: Path,
    calm: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fault.on(FAULTS[name], lambda prompt, times: int(prompt.split()[2]) >= ITEMS // 4)
    assert audit(server, folder, tmp_path / "run") == 4
    said = capsys.readouterr().err
    assert "seems to be down" in said and "the run can be resumed" in said and said.count("truing: ") == 1
    assert not (tmp_path / "run" / "audit.json").exists()
    whole, kept = rows(calm), rows(tmp_path / "run")
    assert all(row == whole[name] for name, row in kept.items())
    answered = [row["text"].split()[1] for name, row in kept.items() if name.startswith("candidate")]
    assert len(answered) >= ITEMS // 4 - CONCURRENCY  # others may have been on their way
    fault.off()
    assert audit(server, folder, tmp_path / "run") == 0
    assert not any(f"new: What is {int(said) - 1} plus 1?" in fault.asked for said in answered)
    assert pages(tmp_path / "run") == pages(calm) and rows(tmp_path / "run") == rows(calm)


def test_an_endpoint_that_gives_nothing_readable_is_inconclusive_however_long_it_goes_on(
    fault: Fault, server: FaultyServer, folder: Path, calm: Path, tmp_path: Path
) -> None:
    fault.on(FAULTS["malformed JSON"], lambda prompt, times: True)
    assert audit(server, folder, tmp_path / "run") == 2
    (comparison,) = result(tmp_path / "run")["comparisons"]
    assert comparison["coverage"] == 0.0 and comparison["candidate"].get("score") is None
    before = pages(tmp_path / "run")
    fault.off()  # a row that ended in an error is a row: it is not asked again
    assert audit(server, folder, tmp_path / "run") == 2 and pages(tmp_path / "run") == before


def test_errors_are_asked_again_if_that_is_wanted_and_nothing_else_is(
    fault: Fault,
    server: FaultyServer,
    folder: Path,
    calm: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fault.on(FAULTS["500"], lambda prompt, times: "7" in prompt)
    assert audit(server, folder, tmp_path / "run") == 2
    assert "the same command with --retry-errors" in capsys.readouterr().out
    fault.off()
    assert audit(server, folder, tmp_path / "run", "--retry-errors") == 0
    assert "--retry-errors" not in capsys.readouterr().out
    assert set(fault.asked) == {f"new: What is {i} plus 1?" for i in range(ITEMS) if "7" in str(i)}
    assert pages(tmp_path / "run") == pages(calm) and rows(tmp_path / "run") == rows(calm)
    assert audit(server, folder, tmp_path / "run", "--retry-errors") == 0
    assert pages(tmp_path / "run") == pages(calm)


@pytest.mark.parametrize("journal", ["baseline", "verdicts-candidate"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.replace(b"decided", b"refused") if b"decided" in line else line.replace(b"#", b"-"),
        lambda line: line[: len(line) // 2] + b"\n",
        lambda line: b"\n",
        lambda line: line + line,
    ],
    ids=["mended", "cut", "emptied", "doubled"],
)
def test_a_line_that_somebody_changed_is_one_sentence_with_its_number(
    server: FaultyServer,
    folder: Path,
    calm: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    journal: str,
    damage: Callable[[bytes], bytes],
) -> None:
    out = shutil.copytree(calm, tmp_path / "run")
    path = out / "journal" / f"{journal}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    (out / "audit.json").unlink()
    path.write_bytes(b"".join([*lines[:4], damage(lines[4]), *lines[5:]]))
    assert audit(server, folder, out) == 3
    said = capsys.readouterr().err
    assert said.count("truing: ") == 1 and "is damaged" in said
    assert f"{journal}.jsonl, row {6 if damage(b'x') == b'xx' else 5}" in said
    # Its advice: the line and all after it go, and are done again.
    path.write_bytes(b"".join(lines[:4]))
    assert audit(server, folder, out) == 0
    assert pages(out) == pages(calm) and rows(out) == rows(calm)


def nan_model(folder: Path, where: str) -> Path:
    """The baseline with NaN in its output head, or in the embedding of one token of the prompts with a lamp."""
    plain = checkpoint("llama")
    out = shutil.copytree(plain, folder / where)
    net = AutoModelForCausalLM.from_pretrained(plain)
    with torch.no_grad():
        if where == "head":
            net.lm_head.weight[3] = float("nan")
        else:
            from truing.model import load_local

            tokenizer = load_local(plain).chat.tokenizer
            ids = [set(tokenizer(f"Clean the {word}!").input_ids) for word in ("~", "lamp")]
            net.model.embed_tokens.weight[min(ids[0] - ids[1])] = float("nan")
    net.save_pretrained(out)
    return out


def local_audit(candidate: Path, folder: Path, out: str) -> dict[str, Any]:
    path = folder / "q.jsonl"
    words = ["lamp", "~", "bell", "~ and ~", "kite", "wall"]
    path.write_text(
        "".join(json.dumps({"prompt": f"Clean the {w}!", "expect": "comply"}) + "\n" for w in words)
    )
    models = ["audit", str(candidate), "--baseline", str(checkpoint("llama"))]
    options = ["--suite", f"jsonl:{path}", "--max-tokens", "8", "--drift", "6", "--out", str(folder / out)]
    assert main([*models, *options]) == 2
    return result(folder / out)


def test_logits_that_are_not_numbers_are_errors_in_every_row(tmp_path: Path) -> None:
    found = local_audit(nan_model(tmp_path, "head"), tmp_path, "run")
    (comparison,) = found["comparisons"]
    assert comparison["candidate"]["outcomes"] == {"error": 6}
    assert comparison["candidate"]["covered"] == comparison["coverage"] == 0.0
    assert comparison["candidate"].get("score") is None
    errors = [row["error"] for name, row in rows(tmp_path / "run").items() if name.startswith("candidate")]
    assert errors == ["The logits of token 1 are not finite."] * 6
    assert all(drift["failed"] == 6 and drift["prompts"] == 0 for drift in found["drift"])


def test_a_row_of_no_numbers_leaves_the_rows_beside_it_alone(tmp_path: Path) -> None:
    calm = local_audit(shutil.copytree(checkpoint("llama"), tmp_path / "copy"), tmp_path, "calm")
    found = local_audit(nan_model(tmp_path, "token"), tmp_path, "run")
    told, whole = (
        {n: r for n, r in rows(tmp_path / o).items() if n.startswith("candidate")} for o in ("run", "calm")
    )
    failed = {name for name, row in told.items() if row["stop"] == "error"}
    assert len(failed) == 2
    assert all(told[name]["token_ids"] == whole[name]["token_ids"] for name in told.keys() - failed)
    assert all(told[name]["logprobs"] == whole[name]["logprobs"] for name in told.keys() - failed)
    outcomes = found["comparisons"][0]["candidate"]["outcomes"]
    assert outcomes["error"] == 2 and sum(outcomes.values()) == 6
    assert calm["comparisons"][0]["candidate"]["outcomes"].get("error") is None
