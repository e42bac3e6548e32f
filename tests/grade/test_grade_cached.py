"""Verdicts that are kept: what is found again, what is asked anew, and two processes on one file."""

import json
import multiprocessing
import sqlite3
from dataclasses import replace

import pytest
from grade.scripted import Scripted, shown

from truing.grade import CachedGrader, Ordinal, YesNo
from truing.model import TopTokens
from truing.types import GraderId, InputError, Message, Outcome, Role, Shown, Stop, StorageError, Verdict, ask

LABELS = ("bad", "good")


class Says(Scripted):
    """Shows a `yes` of probability 0.6, and counts what it is asked."""

    tops = TopTokens(("yes", "no"), (-0.5, -1.5))

    def top_tokens(self, requests):
        self.seen += requests
        return [self.tops for _ in requests]


def ordinal(*script, **options):
    return Ordinal("How good?", LABELS, model=Scripted(*script), **options)


def test_an_answer_is_judged_once_and_its_verdict_is_the_same_to_the_last_digit(tmp_path):
    judge = YesNo({"a": "Is it A?", "b": "Is it B?"}, model=Says())
    cached = CachedGrader(judge, tmp_path / "deep" / "verdicts.sqlite")
    answers = [shown("Orla."), shown("The miller."), shown("")]
    first = cached.grade(answers)
    assert first == judge.grade(answers)
    asked = len(judge.model.seen)
    again = YesNo({"a": "Is it A?", "b": "Is it B?"}, model=Says())
    assert CachedGrader(again, cached.path).grade(answers[::-1]) == first[::-1]
    assert again.model.seen == []
    assert asked == len(judge.model.seen)
    assert first[0]["a"].p == pytest.approx(1 / (1 + 2.718281828**-1))


def test_the_name_of_a_request_does_not_count_and_equal_answers_are_asked_about_once(tmp_path):
    judge = ordinal("ANSWER: good")
    one = shown("Orla.")
    other = Shown(replace(one.request, id="another"), one.answer)
    CachedGrader(judge, tmp_path / "v").grade([one, other])
    assert len(judge.model.seen) == 1


@pytest.mark.parametrize(
    "changed",
    [
        lambda one: replace(one, answer="Orla!"),
        lambda one: replace(one, request=replace(one.request, prefill="Well, ")),
        lambda one: replace(one, request=replace(one.request, messages=(Message(Role.user, "Who?"),))),
        lambda one: replace(one, stop=Stop.stop),
    ],
)
def test_anything_else_that_is_shown_is_asked_anew(tmp_path, changed):
    one, judge = shown("Orla."), ordinal("ANSWER: good")
    cached = CachedGrader(judge, tmp_path / "v")
    cached.grade([one])
    cached.grade([changed(one)])
    assert len(judge.model.seen) == 2


def test_another_question_version_model_or_card_is_asked_anew(tmp_path):
    class Newer(Ordinal):
        version = "newer"

    class Carded(Ordinal):
        @property
        def id(self):
            return replace(super().id, card="0123")

    judges = [
        ordinal("ANSWER: good"),
        Ordinal("How kind?", LABELS, model=Scripted("ANSWER: good")),
        Newer("How good?", LABELS, model=Scripted("ANSWER: good")),
        Carded("How good?", LABELS, model=Scripted("ANSWER: good")),
        Ordinal("How good?", LABELS, model=Scripted("ANSWER: good", weights="others")),
    ]
    for judge in judges:
        (verdicts,) = CachedGrader(judge, tmp_path / "v").grade([shown("Orla.")])
        assert len(judge.model.seen) == 1
        assert verdicts["ordinal"].grader == judge.id


def test_an_error_is_asked_about_again_and_what_the_judge_could_not_say_is_not(tmp_path):
    script = (("out of memory", Stop.error), "I'm sorry, but I can't help with that.", "good", "ANSWER: good")
    judge = ordinal(*script)
    cached = CachedGrader(judge, tmp_path / "v")
    answers = [shown(str(n)) for n in range(4)]
    outcomes = [v["ordinal"].outcome for v in cached.grade(answers)]
    assert outcomes == [Outcome.error, Outcome.abstained, Outcome.abstained, Outcome.decided]
    judge.model.script = ("ANSWER: bad",)
    verdicts = [v["ordinal"] for v in cached.grade(answers)]
    assert [v.outcome for v in verdicts] == [Outcome.decided, *outcomes[1:]]
    assert [v.label for v in verdicts] == ["bad", None, None, "good"]
    assert len(judge.model.seen) == 5


def test_one_criterion_that_failed_has_the_whole_answer_judged_again(tmp_path):
    class Flaky:
        id, calls = GraderId("flaky", "1"), 0

        def grade(self, shown):
            self.calls += 1
            fine = Verdict("a", Outcome.decided, self.id, score=1.0)
            return [{"a": fine, "b": Verdict("b", Outcome.error, self.id)} for _ in shown]

    cached = CachedGrader(Flaky(), tmp_path / "v")
    cached.grade([shown("Orla.")])
    cached.grade([shown("Orla.")])
    assert cached.grader.calls == 2


def test_what_was_judged_before_a_crash_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("truing.grade.cached._PART", 2)

    class Dies:
        id = GraderId("dies", "1")

        def __init__(self, after):
            self.left, self.seen = after, []

        def grade(self, shown):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            self.seen += shown
            return [{"a": Verdict("a", Outcome.decided, self.id, score=1.0)} for _ in shown]

    answers = [shown(str(n)) for n in range(5)]
    with pytest.raises(KeyboardInterrupt):
        CachedGrader(Dies(after=2), tmp_path / "v").grade(answers)
    resumed = Dies(after=9)
    assert len(CachedGrader(resumed, tmp_path / "v").grade(answers)) == 5
    assert resumed.seen == answers[4:]


def _judge_many(path, start, gate):
    gate.wait()
    for n in range(start, start + 60, 5):
        CachedGrader(ordinal("ANSWER: good"), path).grade([shown(str(k)) for k in range(n, n + 10)])


def test_processes_that_share_a_file_lose_and_spoil_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    gate = context.Barrier(3)
    workers = [context.Process(target=_judge_many, args=(tmp_path / "v", s, gate)) for s in (0, 20, 40)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    judge = ordinal("ANSWER: bad")
    verdicts = CachedGrader(judge, tmp_path / "v").grade([shown(str(k)) for k in range(105)])
    assert judge.model.seen == []
    assert {v["ordinal"].label for v in verdicts} == {"good"}
    with sqlite3.connect(tmp_path / "v") as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert file.execute("SELECT count(*) FROM verdicts").fetchone() == (105,)


def test_text_that_no_encoding_takes_is_kept_as_well(tmp_path):
    judge = ordinal("half \ud83d a pair\nANSWER: good")
    cached = CachedGrader(judge, tmp_path / "v")
    first = cached.grade([shown("a\x00b \ud83d")])
    assert cached.grade([shown("a\x00b \ud83d")]) == first
    assert len(judge.model.seen) == 1


@pytest.mark.parametrize("content", ["text", "another", "damaged"])
def test_a_file_that_is_no_cache_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "v"
    if content == "text":
        path.write_text("verdicts " * 200, "utf-8")
    elif content == "another":
        with sqlite3.connect(path) as file:
            file.execute("CREATE TABLE mine (x)")
    else:
        CachedGrader(ordinal("ANSWER: good"), path).grade([shown("Orla.")])
        with sqlite3.connect(path) as file:
            file.execute("UPDATE verdicts SET row = ?", (json.dumps([{"criterion": 5}]),))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"v: is no cache of verdicts"):
        CachedGrader(ordinal("ANSWER: good"), path).grade([shown("Orla.")])
    assert path.read_bytes() == before


def test_a_place_where_nothing_can_be_written_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(StorageError, match="cannot be used"):
        CachedGrader(ordinal("ANSWER: good"), tmp_path / "file" / "v").grade(
            [Shown(ask("Who?", id="q"), "Orla.")]
        )
