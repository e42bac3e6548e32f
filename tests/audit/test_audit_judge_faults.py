"""Graders that break: what they did not judge is missing evidence, and what they did judge is kept."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from grade.scripted import Scripted
from model.faulty_server import Exchange, FaultyServer, quick_and_keyless, reply  # noqa: F401

from truing.cli import main
from truing.grade import CalibrationCard, ErrorRates, Ground, Instrument, Reading, Rubric, write_card
from truing.numerics import Calibration
from truing.types import EndpointError, FrozenDict, GraderId, Outcome, Shown, ShownTrace, Verdict

pytestmark = pytest.mark.usefixtures("quick_and_keyless")
ITEMS, AT_ONCE = 40, 64
Judged = list[Mapping[str, Verdict]]


class Fair:
    """Right by construction: good is what says "fine"."""

    id = GraderId("fair", "1", exact=True)

    def __init__(self) -> None:
        self.seen: list[str] = []

    def grade(self, shown: Sequence[Shown]) -> Judged:
        self.seen += [one.request.last for one in shown]
        return [{"fair": self.said(one.answer)} for one in shown]

    def grade_traces(self, shown: Sequence[ShownTrace]) -> Judged:
        return [{"fair": self.said(one.reasoning)} for one in shown]

    def said(self, text: str) -> Verdict:
        return Verdict("fair", Outcome.decided, self.id, label="judged", score=float("fine" in text))


class Breaking(Fair):
    """Does `breaks` instead, for the answers to questions that hold `at`."""

    def __init__(self, breaks: Callable[[Verdict], Any], at: str) -> None:
        super().__init__()
        self.breaks, self.at = breaks, at

    def grade(self, shown: Sequence[Shown]) -> Judged:
        fair = super().grade(shown)
        return [
            {"fair": self.breaks(said["fair"])} if self.at in one.request.last else said
            for one, said in zip(shown, fair, strict=True)
        ]


class TooFew(Fair):
    def grade(self, shown: Sequence[Shown]) -> Judged:
        return super().grade(shown)[:-1]


class TwoCriteria(Fair):
    def grade(self, shown: Sequence[Shown]) -> Judged:
        return [{**said, "kind": said["fair"]} for said in super().grade(shown)]


class Telling(TwoCriteria):
    criteria = ("fair", "kind")


class Nothing(Fair):
    def grade(self, shown: Sequence[Shown]) -> Any:
        return None


class Down(Fair):
    """An endpoint judge that goes down at its `at`-th call."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    def grade(self, shown: Sequence[Shown]) -> Judged:
        self._ask()
        return super().grade(shown)

    def grade_traces(self, shown: Sequence[ShownTrace]) -> Judged:
        self._ask()
        return super().grade_traces(shown)

    def _ask(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise EndpointError("the judge seems to be down")


def raises(_: Verdict) -> Verdict:
    raise RuntimeError("no such luck\nand more")


@pytest.fixture(scope="module")
def server() -> Iterator[FaultyServer]:
    def fine(exchange: Exchange) -> None:
        exchange.json(reply("that is fine", model=exchange.body["model"], reasoning_content="fine, I think"))

    with FaultyServer([fine]) as server:
        yield server


Audit = Callable[..., tuple[int, Path]]


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the undisturbed audits go, one for each number of items and choice of options."""
    return tmp_path_factory.mktemp("calm")


@pytest.fixture
def audit(server: FaultyServer, calm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Audit:
    """An audit that a grader judges: (exit code, its folder). Undisturbed it passes, and lies beside in `calm`.

    Answers do not depend on who judges them: they are those of the undisturbed one.
    """

    def whole(grader: Fair, items: int, extra: tuple[str, ...], folder: Path) -> int:
        rows = [{"prompt": f"<{i}>", "grader": "fair", "dimension": "manners"} for i in range(items)]
        (calm / f"{items}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        monkeypatch.setattr("truing.audit.engine.open_grader", lambda spec: Instrument(spec, grader))
        words = ["audit", f"endpoint:{server.url}#new", "--baseline", f"endpoint:{server.url}#old"]
        words += ["--suite", f"jsonl:{calm / f'{items}.jsonl'}", "--margin", "0.3", "--coverage", "1"]
        return main([*words, "--out", str(folder), *extra])

    def run(grader: Fair, *extra: str, out: str = "run", items: int = ITEMS) -> tuple[int, Path]:
        undisturbed = undisturbed_of(calm, items, *extra)
        if not undisturbed.exists() and "--card" not in extra:
            assert whole(Fair(), items, extra, undisturbed) == 0
        if undisturbed.exists() and not (tmp_path / out).exists():
            ignored = shutil.ignore_patterns("verdicts-*", "traces-*", "audit.json", "report.html", "ledger*")
            shutil.copytree(undisturbed, tmp_path / out, ignore=ignored)
        return whole(grader, items, extra, tmp_path / out), tmp_path / out

    return run


def undisturbed_of(calm: Path, items: int, *extra: str) -> Path:
    return calm / f"{items}{''.join(extra).replace('/', '_')}"


def result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "audit.json").read_text())
    return found


def left(folder: Path) -> dict[str, bytes]:
    names = ["audit.json", "report.html", *(f"journal/{p.name}" for p in (folder / "journal").iterdir())]
    return {name: (folder / name).read_bytes() for name in sorted(names)}


@pytest.mark.parametrize(
    ("grader", "lost", "reason"),
    [
        (lambda: Breaking(raises, "<7>"), 1, "the grader failed: RuntimeError: no such luck"),
        (lambda: Breaking(raises, "<"), ITEMS, "the grader failed: RuntimeError: no such luck"),
        (lambda: Breaking(lambda v: None, "<7>"), 1, "the grader failed: "),
        (lambda: Breaking(lambda v: replace(v, score=None), "<7>"), 1, "no score"),
        (lambda: Breaking(lambda v: replace(v, score=float("nan")), "<7>"), 1, "nan"),
        (lambda: Breaking(lambda v: replace(v, score=100.0), "<7>"), 1, "100"),
        (lambda: Breaking(lambda v: replace(v, score=-0.5), "<7>"), 1, "-0.5"),
        (lambda: Breaking(lambda v: replace(v, outcome=Outcome.refused, score=None), "<7>"), 1, "no score"),
        (TooFew, ITEMS, "judged 0 of 1 texts"),
        (TwoCriteria, ITEMS, "has the criteria fair, kind: name one of them"),
        (Nothing, ITEMS, "the grader failed: TypeError"),
    ],
    ids=["raises once", "raises", "no verdict", "no score", "nan", "too large", "negative", "refused without score",
         "too few", "two criteria", "nothing"],
)  # fmt: skip
def test_what_a_broken_grader_says_is_an_error_and_no_evidence(
    audit: Audit, calm: Path, grader: Callable[[], Fair], lost: int, reason: str
) -> None:
    code, folder = audit(grader())
    (comparison,) = result(folder)["comparisons"]
    assert code == 2
    assert comparison["coverage"] == 1 - lost / ITEMS and comparison["pairs"] == ITEMS - lost
    for side in ("baseline", "candidate"):
        kept = {"decided": ITEMS - lost} if lost < ITEMS else {}
        assert comparison[side]["outcomes"] == {**kept, "error": lost}
        assert comparison[side]["score"] in (1.0, None)
    (finding,) = result(folder)["decision"]["findings"]
    assert finding["status"] == "inconclusive" and reason in finding["reason"]
    # Run again it is the same: a verdict that failed is a row, like an answer that did.
    before = left(folder)
    assert audit(Fair())[0] == 2 and left(folder) == before
    assert audit(Fair(), out="again")[0] == 0
    assert left(folder.parent / "again") == left(undisturbed_of(calm, ITEMS))


def test_a_judge_that_babbles_over_the_candidate_does_not_make_the_candidate_babble(
    audit: Audit, tmp_path: Path
) -> None:
    said = iter(["ANSWER: PASS"] * ITEMS + ["Well, well."] * ITEMS)
    (tmp_path / "manners.md").write_text("The answer is fine.")
    rubric = Rubric(str(tmp_path / "manners.md"), model=Scripted(lambda request: next(said)))

    class Babbling(Fair):
        def grade(self, shown: Sequence[Shown]) -> Judged:
            found = [verdicts["rubric"] for verdicts in rubric.grade(shown)]
            return [{"fair": replace(one, criterion="fair", grader=self.id)} for one in found]

    code, folder = audit(Babbling())
    (comparison,) = result(folder)["comparisons"]
    assert code == 2
    assert comparison["candidate"]["outcomes"] == {"abstained": ITEMS}
    assert comparison["coverage"] == 0.0 and comparison["candidate"]["score"] is None


def test_a_judge_of_several_criteria_is_refused_before_anything_is_asked(
    audit: Audit, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(Telling(), out="new")[0] == 3
    said = capsys.readouterr().err
    assert "has the criteria fair, kind: name one of them" in said and "write fair/CRITERION" in said


def test_a_judge_that_goes_down_keeps_what_it_judged_and_goes_on_when_it_is_back(
    audit: Audit, calm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = AT_ONCE + 20
    for call in (1, 2, 4):  # at once, half-way through the baseline's answers, and through the candidate's
        capsys.readouterr()
        out = f"down at {call}"
        code, folder = audit(Down(call), out=out, items=items)
        assert code == 4 and "the judge seems to be down" in capsys.readouterr().err
        assert not (folder / "audit.json").exists()
        kept = sum(p.read_bytes().count(b"\n") for p in (folder / "journal").glob("verdicts-*"))
        assert kept == {1: 0, 2: AT_ONCE, 4: items + AT_ONCE}[call]
        back = Fair()
        assert audit(back, out=out, items=items)[0] == 0
        assert len(back.seen) == 2 * items - kept
        assert left(folder) == left(undisturbed_of(calm, items))


def test_a_judge_that_goes_down_over_the_reasoning_loses_nothing_either(audit: Audit, calm: Path) -> None:
    code, folder = audit(Down(4), "--judge-traces")  # two calls for answers, then one for each model's traces
    assert code == 4
    assert audit(Fair(), "--judge-traces")[0] == 0
    assert left(folder) == left(undisturbed_of(calm, ITEMS, "--judge-traces"))
    assert [t["n"] for t in result(folder)["traces"]] == [ITEMS, ITEMS]


def test_a_grader_that_breaks_over_one_trace_loses_that_one_and_says_so(audit: Audit) -> None:
    class Startled(Fair):
        def grade_traces(self, shown: Sequence[ShownTrace]) -> Judged:
            if any("<7>" in one.request.last for one in shown):
                raise RuntimeError("not this one")
            return super().grade_traces(shown)

    code, folder = audit(Startled(), "--judge-traces")
    assert code == 0  # the reasoning describes; the verdict is of the answers
    assert [(t["n"], t["missing"]) for t in result(folder)["traces"]] == [(ITEMS - 1, 1)] * 2


def test_reasoning_that_nobody_could_judge_is_told_and_not_passed_over(audit: Audit) -> None:
    class Mute(Fair):
        def grade_traces(self, shown: Sequence[ShownTrace]) -> Judged:
            raise RuntimeError("never")

    code, folder = audit(Mute(), "--judge-traces")
    assert code == 0
    for told in result(folder)["traces"]:
        assert (told["n"], told["missing"], told.get("trace")) == (0, ITEMS, None)
    assert f"0 of {ITEMS}" in (folder / "report.html").read_text(encoding="utf-8")


def card(grader: GraderId, reading: Reading) -> CalibrationCard:
    """A good judge's card of 400 labels."""
    counts = Calibration(tp=196, fn=4, tn=196, fp=4)
    return CalibrationCard(
        grader, "fair", reading, Ground.people, "labels", "0" * 64, ErrorRates.of("", FrozenDict(), counts)
    )


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (Reading(("good",), ("bad",)), {"label": "so-so", "score": 1.0}),
        (Reading(value="p"), {"label": None, "score": 1.0}),
    ],
)
def test_a_verdict_that_the_judges_card_cannot_read_is_no_evidence(
    audit: Audit, tmp_path: Path, reading: Reading, said: dict[str, Any]
) -> None:
    class Odd(Fair):
        id = GraderId("fair", "1")

        def said(self, text: str) -> Verdict:
            good = replace(super().said(text), label="good", p=1.0)
            return replace(good, p=None, **said) if len(self.seen) > ITEMS else good

    write_card(tmp_path / "card.json", card(Odd.id, reading))
    code, folder = audit(Odd(), "--card", str(tmp_path / "card.json"))
    (comparison,) = result(folder)["comparisons"]
    assert code == 2
    assert comparison["baseline"]["outcomes"] == {"decided": ITEMS}
    assert comparison["candidate"]["outcomes"] == {"error": ITEMS}
    assert comparison["coverage"] == 0.0
