"""Pairing two logs: equal questions only, and nothing is lost on the way."""

import pytest

from truing.audit import Log, LogRow, pair_logs
from truing.types import FrozenDict, GraderId, InputError, Outcome, Verdict

RULE = GraderId("rule", "1", exact=True)


def row(
    id: str,
    score: float | Outcome,
    sample: int = 0,
    *,
    prompt: str = "",
    task: str = "t",
    dimension: str = "d",
    answer: str = "x",
) -> LogRow:
    outcome = score if isinstance(score, Outcome) else Outcome.decided
    verdict = Verdict("c", outcome, RULE, score=None if isinstance(score, Outcome) else score)
    return LogRow(id, task, dimension, prompt or f"p{id}", verdict, sample, answer=answer)


def log(*rows: LogRow, tool: str = "lm-eval", **scored_by: str) -> Log:
    return Log(tool, "1", "m", FrozenDict({"f": "0"}), FrozenDict(scored_by), rows)


def test_items_are_paired_by_task_and_id_whatever_their_order() -> None:
    a = log(row("1", 1.0), row("2", 0.0), row("1", 0.5, task="u", dimension="e"))
    b = log(row("1", 0.25, task="u", dimension="e"), row("2", 1.0), row("1", 0.0))
    pairing = pair_logs(a, b)
    scores = {name: [(x.score, y.score) for x, y in members] for name, members in pairing.pairs.items()}
    assert scores == {"d": [(1.0, 0.0), (0.0, 1.0)], "e": [(0.5, 0.25)]}
    assert not pairing.unmatched_a and not pairing.unmatched_b and not pairing.changed_prompts


def test_another_prompt_under_the_same_id_is_not_compared_but_listed() -> None:
    pairing = pair_logs(log(row("1", 1.0), row("2", 1.0)), log(row("1", 0.0), row("2", 0.0, prompt="other")))
    assert [x.id for x, _ in pairing.pairs["d"]] == ["1"]
    assert [(x.id, y.prompt) for x, y in pairing.changed_prompts] == [("2", "other")]


def test_what_only_one_log_has_is_listed_on_its_side() -> None:
    pairing = pair_logs(log(row("1", 1.0), row("2", 1.0)), log(row("1", 1.0), row("3", 0.0), row("4", 0.0)))
    assert [r.id for r in pairing.unmatched_a] == ["2"] and [r.id for r in pairing.unmatched_b] == ["3", "4"]


def test_an_item_in_another_dimension_is_another_item() -> None:
    pairing = pair_logs(log(row("0", 1.0), row("1", 1.0)), log(row("0", 1.0), row("1", 1.0, dimension="e")))
    assert len(pairing.unmatched_a) == len(pairing.unmatched_b) == 1


def test_samples_of_an_item_are_averaged_before_they_are_paired() -> None:
    several = log(row("1", 1.0, 0), row("1", 0.0, 1), row("1", 0.5, 2), row("1", 0.5, 3))
    ((a, b),) = pair_logs(several, log(row("1", 1.0))).pairs["d"]
    assert (a.score, b.score) == (0.5, 1.0)


def test_the_worst_answer_counts_where_the_dimension_says_so() -> None:
    several = [row("1", score, sample, dimension="toxicity") for sample, score in enumerate((0.9, 0.2, 0.6))]
    ((a, _),) = pair_logs(log(*several), log(row("1", 1.0, dimension="toxicity"))).pairs["toxicity"]
    assert a.score == 0.2


@pytest.mark.parametrize(
    ("outcomes", "gravest"),
    [
        ((1.0, Outcome.abstained, 1.0), Outcome.abstained),
        ((Outcome.truncated, 1.0, Outcome.error), Outcome.error),
        ((Outcome.abstained, Outcome.truncated, 0.0), Outcome.truncated),
    ],
)
def test_one_answer_that_is_missing_makes_the_item_missing(
    outcomes: tuple[float | Outcome, ...], gravest: Outcome
) -> None:
    several = log(*(row("1", outcome, sample) for sample, outcome in enumerate(outcomes)))
    ((a, _),) = pair_logs(several, log(row("1", 1.0))).pairs["d"]
    assert (a.outcome, a.score) == (gravest, None)


def test_an_answer_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InputError, match="has the answer 0 to 1 in t twice"):
        pair_logs(log(row("1", 1.0), row("1", 1.0)), log(row("1", 1.0)))


def test_answers_to_two_prompts_are_no_samples_of_one_item() -> None:
    with pytest.raises(InputError, match="the answers to 1 in t are answers to different prompts"):
        pair_logs(log(row("1", 1.0), row("1", 1.0, 1, prompt="q")), log(row("1", 1.0)))


def test_logs_of_two_tools_and_of_two_scores_are_refused() -> None:
    with pytest.raises(InputError, match="a log of lm-eval and one of inspect"):
        pair_logs(log(row("1", 1.0)), log(row("1", 1.0), tool="inspect"))
    with pytest.raises(InputError, match="t is scored by acc in one log and by f1 in the other"):
        pair_logs(log(row("1", 1.0), t="acc"), log(row("1", 1.0), t="f1"))


def test_logs_without_a_common_item_are_refused_with_their_tasks() -> None:
    with pytest.raises(InputError, match=r"no item in common \(their tasks: t; u\)"):
        pair_logs(log(row("1", 1.0)), log(row("1", 1.0, task="u")))
