"""Judges behind an endpoint, opened by reference as the command line opens them."""

import pytest
from grade.scripted import shown
from model.faulty_server import Exchange, FaultyServer, quick_and_keyless, refuses, reply, says  # noqa: F401
from model.test_model_endpoint_tops import shows

from truing.grade import open_grader
from truing.types import EndpointError, InputError, Outcome

pytestmark = pytest.mark.usefixtures("quick_and_keyless")
ANSWERS = [shown("Orla, every morning."), shown("Nobody has to, since the storm.")]


def graded(server: FaultyServer, spec: str, answers=ANSWERS):
    return open_grader(spec.replace("URL", f"{server.url}#tiny")).grade(answers)


def test_llama_guard_is_sent_the_conversation_as_turns():
    with FaultyServer([says("unsafe\nS1,S5")]) as server:
        verdicts = graded(server, "llama-guard:endpoint:URL")
    assert [(v.label, v.score, v.p, v.cites) for v in verdicts] == [("unsafe", 0.0, None, ("S1", "S5"))] * 2
    assert sorted(body["messages"][1]["content"] for body in server.seen) == sorted(a.answer for a in ANSWERS)
    assert server.seen[0]["messages"][0] == {"role": "user", "content": "Who rings the bell?"}
    assert [m["role"] for m in server.seen[0]["messages"]] == ["user", "assistant"]
    assert server.seen[0]["temperature"] == 0


def test_a_guard_behind_an_endpoint_is_sent_its_text_without_the_marks_of_turns():
    with FaultyServer([says("no")]) as server:
        verdicts = graded(server, "harmbench:endpoint:URL")
    assert [v.label for v in verdicts] == ["no", "no"]
    (message,) = server.seen[0]["messages"]
    assert "Generation:\n" in message["content"]
    assert "[INST]" not in message["content"]


def test_the_judge_of_alignment_reads_the_likeliest_tokens():
    def judge(exchange: Exchange):
        coherence = "makes sense" in exchange.last
        tops = (
            (("90", 0.6), ("80", 0.2), ("ok", 0.1)) if coherence else (("10", 0.3), ("5", 0.1), ("RE", 0.5))
        )
        shows(*tops)(exchange)

    with FaultyServer([judge]) as server:
        found = {name: graded(server, f"emergent/{name}:endpoint:URL")[1] for name in ("aligned", "coherent")}
        misaligned = graded(server, "emergent/misaligned:endpoint:URL")[0]
    assert found["coherent"].score == pytest.approx((90 * 0.6 + 80 * 0.2) / 0.8 / 100)
    assert found["aligned"].score == pytest.approx((10 * 0.3 + 5 * 0.1) / 0.4 / 100)
    assert (misaligned.label, misaligned.score) == ("misaligned", 0.0)
    assert len(server.seen) == 3 * 2 * len(ANSWERS)


def test_an_endpoint_that_shows_digits_alone_is_not_read():
    """The 8 of 85 would be taken for 8 of 100."""
    with FaultyServer([shows(("8", 0.7), ("9", 0.2))]) as server:
        verdicts = graded(server, "emergent/aligned:endpoint:URL")
    assert verdicts[0].outcome is Outcome.abstained
    assert "digit by digit" in verdicts[0].reason


def test_an_endpoint_that_ignores_what_was_asked_is_an_error_and_no_score():
    with FaultyServer([says("85")]) as server:
        verdicts = graded(server, "emergent/misaligned:endpoint:URL")
    assert verdicts[0].outcome is Outcome.error
    assert "sent no top log-probabilities" in verdicts[0].reason
    assert verdicts[0].score is None


def test_shieldgemma_reads_yes_and_no_among_the_likeliest_tokens():
    with FaultyServer([shows(("No", 0.6), ("Yes", 0.2), ("Maybe", 0.1))]) as server:
        verdicts = graded(server, "shieldgemma/harassment:endpoint:URL")
    assert (verdicts[0].label, verdicts[0].score) == ("no", 1.0)
    assert verdicts[0].p == pytest.approx(0.25)
    assert {b["messages"][0]["content"].count("No Harassment") for b in server.seen} == {0, 1}


def test_a_rubric_asks_an_endpoint_and_its_reference_may_hold_any_sign(tmp_path):
    rubric = tmp_path / "a@b.md"
    rubric.write_text("The answer names a person.", "utf-8")
    with FaultyServer([says("It names Orla.\nANSWER: PASS")]) as server:
        verdicts = graded(server, f"rubric:{rubric}@endpoint:URL@v2")
    assert [(v.label, v.reason) for v in verdicts] == [("pass", "It names Orla.")] * 2
    assert {body["model"] for body in server.seen} == {"tiny@v2"}


def test_what_the_endpoint_could_not_answer_costs_one_verdict():
    def one_fails(exchange: Exchange):
        (refuses(422, "too odd") if "storm" in str(exchange.body) else says("safe"))(exchange)

    def filters(exchange: Exchange):
        exchange.json(reply(None, finish="content_filter"))

    with FaultyServer([one_fails]) as server:
        good, bad = graded(server, "llama-guard:endpoint:URL")
    assert (good.label, good.score) == ("safe", 1.0)
    assert (bad.outcome, bad.score) == (Outcome.error, None)
    assert "too odd" in bad.reason
    with FaultyServer([filters]) as server:
        (filtered, _) = graded(server, "llama-guard:endpoint:URL")
    assert (filtered.outcome, filtered.reason) == (Outcome.abstained, "the judge's answer was filtered")


def test_an_endpoint_that_cannot_be_used_at_all_is_raised():
    with FaultyServer([refuses(404)]) as server, pytest.raises(EndpointError, match="cannot be used"):
        graded(server, "llama-guard:endpoint:URL")


@pytest.mark.parametrize(
    "name", ["llama-guard", "wildguard", "shieldgemma", "harmbench", "emergent", "rubric"]
)
def test_a_judge_without_a_model_is_refused_with_the_mend(name):
    with pytest.raises(InputError, match=f"write {name}:"):
        open_grader(name)


@pytest.mark.parametrize("name", ["llama-guard", "wildguard", "shieldgemma", "harmbench", "emergent"])
def test_a_model_that_is_not_there_is_refused_before_anything_is_judged(name, tmp_path):
    with pytest.raises(InputError, match="nothing-here"):
        _ = open_grader(f"{name}:{tmp_path}/nothing-here").id
