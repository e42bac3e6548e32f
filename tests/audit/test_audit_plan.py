"""How many items it takes: the plan holds what it promises, and a draw keeps every dimension."""

import json
from collections import Counter
from pathlib import Path

import pytest
from audit.pairs import compared, pairs

from truing.audit import Policy, Settings, Status, decide, draw, items_needed, plan_items, power_plan
from truing.audit.plan import NEEDS_JUDGE
from truing.cli import main
from truing.numerics import mcnemar_power
from truing.types import Expect, InputError, Item, ask


@pytest.mark.parametrize("dimensions", [1, 9, 30])
@pytest.mark.parametrize(("margin", "discordance"), [(0.02, 0.1), (0.05, 0.1), (0.05, 0.25), (0.1, 0.02)])
def test_the_items_that_are_needed_reach_the_power_and_one_fewer_does_not(
    dimensions: int, margin: float, discordance: float
) -> None:
    policy = Policy(power=0.9)
    n = items_needed(policy, dimensions=dimensions, margin=margin, discordance=discordance)
    alpha = policy.alpha / dimensions
    assert mcnemar_power(n, margin, discordance, alpha=alpha) >= 0.9
    assert mcnemar_power(n - 1, margin, discordance, alpha=alpha) < 0.9


def test_as_many_equal_items_as_are_needed_pass_the_gate_and_far_fewer_do_not() -> None:
    policy = Policy()
    n = items_needed(policy, dimensions=1, margin=policy.margin, discordance=0.1)
    for items, status in ((n, Status.passed), (n // 8, Status.inconclusive)):
        decision = decide([compared(*pairs((items, 1.0, 1.0)))], policy, rewards_refusal=False)
        assert decision.status is status


def questions(folder: Path, counts: dict[str, int], name: str = "q.jsonl") -> str:
    rows = [
        {
            "prompt": f"{dimension} {i}",
            "expect": "comply",
            "dimension": dimension,
            "cluster": f"{dimension} {i // 2}",
        }
        for dimension, n in counts.items()
        for i in range(n)
    ]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"jsonl:{folder / name}"


def test_what_a_suite_holds_is_counted_in_clusters(tmp_path: Path) -> None:
    suite = questions(tmp_path, {"safety": 600, "ethics": 12})
    policy = Policy.from_json({"dimensions": {"ethics": {"margin": 0.5}}})
    plan = power_plan(policy, plan_items(suite, Settings(), policy), dimensions=99, discordance=0.1)
    assert plan.dimensions == 2
    held = {h.dimension: h for h in plan.held}
    assert [(h.items, h.clusters, h.margin) for h in held.values()] == [(600, 300, 0.05), (12, 6, 0.5)]
    for h in held.values():
        assert h.detectable is not None
        found, missed = (
            mcnemar_power(h.clusters, h.detectable + step, 0.1, alpha=0.05 / 2) for step in (1e-5, -1e-3)
        )
        assert found >= 0.8 > missed
    assert not held["safety"].enough and not held["ethics"].enough
    assert any("too few for the margin of 50.0" in line for line in plan.lines())


def test_the_command_plans_without_a_suite_and_with_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit-plan", "--dimensions", "4", "--margin", "0.07", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])
    needed = {need["margin"]: need["items"] for need in plan["needed"]}
    assert list(needed) == [0.02, 0.03, 0.05, 0.07, 0.1] and "held" not in plan
    assert sorted(needed.values(), reverse=True) == list(needed.values())
    assert needed[0.07] == items_needed(Policy(), dimensions=4, margin=0.07, discordance=0.1)
    assert main(["audit-plan", "--suite", questions(tmp_path, {"safety": 40}), "--json"]) == 0
    out = capsys.readouterr().out
    (held,) = json.loads(out.splitlines()[-1])["held"]
    assert (held["items"], held["clusters"]) == (40, 20)
    assert "too few for the margin of 5.0" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--dimensions", "0"], "0 dimensions"),
        (["--dimensions", "-3"], "-3 dimensions"),
        (["--discordance", "1.5"], "a discordance of 1.5"),
        (["--discordance", "nan"], "a discordance of nan"),
        (["--margin", "0"], "margin lies between 0 and 1"),
        (["--power", "1"], "power lies between 0 and 1"),
        (["--suite", "nonsense"], "there is no suite 'nonsense'"),
        (["--suite", "jsonl:/no/such/file"], "/no/such/file"),
        (["--suite", "organism", "--seed", "-1"], "a seed lies in"),
        (["--dimensions", "many"], ""),
    ],
)
def test_a_plan_of_nonsense_is_one_sentence_and_exit_3(
    capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["audit-plan", *words]) == 3
    said = capsys.readouterr()
    assert sentence in said.err and "Traceback" not in said.err and "internal" not in said.err


def item(i: int, dimension: str) -> Item:
    return Item(
        f"{dimension}/{i}", ask(f"{dimension} {i}", id=f"{dimension}/{i}"), "s", dimension, Expect.comply
    )


def test_a_limit_keeps_dimensions_even_and_file_order_and_growing_it_only_adds() -> None:
    items = [item(i, d) for d, n in (("a", 100), ("b", 7), ("c", 40)) for i in range(n)]
    kept: set[str] = set()
    for limit in (1, 2, 3, 10, 30, 60, 146):
        drawn = draw(items, limit, key=5)
        names = [i.id for i in drawn]
        assert len(names) == limit and names == [i.id for i in items if i.id in set(names)]
        assert kept <= set(names)
        kept = set(names)
    counts = Counter(i.dimension for i in draw(items, 30, key=5))
    assert counts == {"a": 12, "b": 7, "c": 11} or counts == {"a": 11, "b": 7, "c": 12}
    assert draw(items, None, key=5) == draw(items, 147, key=5) == items
    assert {i.id for i in draw(items, 30, key=5)} != {i.id for i in draw(items, 30, key=6)}


def test_free_text_is_asked_once_a_judge_is_named_and_listed_as_not_asked_before(tmp_path: Path) -> None:
    rows = [{"prompt": f"Write about {i}.", "grader": NEEDS_JUDGE, "dimension": "toxicity"} for i in range(5)]
    rows.append({"prompt": "Is it?", "expect": "comply"})
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    suite = f"jsonl:{tmp_path / 'q.jsonl'}"
    without = plan_items(suite, Settings(), Policy())
    assert [i.dimension for i in without.items] == ["over_refusal"]
    (told,) = without.not_asked
    assert (told.rows, "--judge toxicity=GRADER" in told.why) == (5, True)
    named = plan_items(suite, Settings(judge=("toxicity=refusal",)), Policy())
    assert Counter(i.grader for i in named.items) == {"refusal": 5, "": 1}
    assert {i.expect for i in named.items if i.grader} == {Expect.judged}
    closed = plan_items(suite, Settings(judge=("over_refusal=refusal",)), Policy())
    assert [(i.expect, i.grader) for i in closed.items] == [(Expect.comply, "")]
    with pytest.raises(InputError, match="a judge is named for the dimension 'safety', which no suite has"):
        plan_items(suite, Settings(judge=("safety=refusal",)), Policy())


def test_nothing_left_to_ask_is_a_sentence(tmp_path: Path) -> None:
    row = {"prompt": "Write.", "grader": NEEDS_JUDGE, "dimension": "toxicity"}
    (tmp_path / "q.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match="no item is left to be asked; name a judge"):
        plan_items(f"jsonl:{tmp_path / 'q.jsonl'}", Settings(), Policy())
