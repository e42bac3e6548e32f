"""Rewards by name: a function of a file, a reward model's folder, rules; one sentence for what cannot be loaded."""

from dataclasses import replace
from pathlib import Path

import pytest
from model.tiny import checkpoint
from spec.kites import RULES

from truing.grade import (
    LearnedReward,
    RewardMix,
    RuleReward,
    RuleWeights,
    TypeWeights,
    load_reward,
    parse_reward,
    write_rule_weights,
    yes_no,
)
from truing.model import ScalarModel, load
from truing.spec import read_rules
from truing.types import GraderId, InputError

GOOD = """
from dataclasses import dataclass
from beside import WORD

@dataclass
class Counts:
    word: str
    def __call__(self, prompts, completions, **columns):
        return [float(text.count(self.word)) for text in completions]

counts = Counts(WORD)
number = 3

async def later(prompts, completions, **columns):
    from beside_late import WORD
    return [float(text.count(WORD)) for text in completions]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "beside.py").write_text("WORD = 'a'\n")
    (tmp_path / "beside_late.py").write_text("WORD = 'b'\n")
    path = tmp_path / "my_reward.py"
    path.write_text(GOOD)
    return path


def test_a_function_or_a_callable_object_of_a_file_is_a_reward(file: Path) -> None:
    mix = RewardMix([(name, load_reward(f"{file}:{name}"), 1.0) for name in ("counts", "later")])
    assert mix(["p", "p"], ["aab", "bb"]) == [3.0, 2.0]


def test_a_file_is_read_again_when_it_was_mended(file: Path) -> None:
    path = file.with_name("mended.py")
    path.write_text("def f(**columns): return [1]\n")
    assert load_reward(f"{path}:f")(prompts=["p"], completions=["c"]) == [1]
    path.write_text("def f(**columns): return [22]\n")
    assert load_reward(f"{path}:f")(prompts=["p"], completions=["c"]) == [22]


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        (GOOD, "missing", "my_reward.py: has no function missing; it has Counts, counts, later"),
        ("x = 1\n", "f", "has no function f; define it there"),
        (GOOD, "Counts", "Counts is a class, not a function"),
        (GOOD, "number", "number is a int, not a function"),
        (
            "import nothing_like_it\n",
            "f",
            "cannot be imported .ModuleNotFoundError: No module named 'nothing_like_it', line 1",
        ),
        ("def f(:\n", "f", "cannot be imported .SyntaxError: invalid syntax, line 1"),
        ("\n\n1 / 0\n", "f", "cannot be imported .ZeroDivisionError: division by zero, line 3"),
        ("import sys\nsys.exit(0)\n", "f", "cannot be imported .SystemExit: 0, line 2"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(file: Path, text: str, name: str, sentence: str) -> None:
    file.write_text(text)
    with pytest.raises(InputError, match=sentence):
        load_reward(f"{file}:{name}")


def test_what_names_no_reward_says_which_forms_there_are(file: Path, tmp_path: Path) -> None:
    for spec, sentence in {
        f"{tmp_path}/none.py:f": "there is no such file",
        str(file): "which function of it is the reward",
        "brevity": "there is no reward 'brevity'; write FILE.py:FUNCTION",
        "rm:": "there is no reward 'rm:'",
        "": "there is no reward ''",
        f"rm:{tmp_path}/none": "there is no such folder",
        f"rbr:{tmp_path}/w.json": "needs the rules and a judge; give --rules and --judge",
    }.items():
        with pytest.raises(InputError, match=sentence):
            load_reward(spec)


def test_a_reward_model_is_opened_by_its_folder(tmp_path: Path) -> None:
    ScalarModel.from_base(checkpoint("llama"), 0, device="cpu").save(tmp_path / "rm")
    first, second = (
        load_reward(f"rm:{tmp_path}/rm", device="cpu"),
        load_reward(f"{tmp_path}/rm", device="cpu"),
    )
    assert isinstance(first, LearnedReward) and first(["Who?"], ["Ada."]) == second(["Who?"], ["Ada."])


def test_a_weight_stands_behind_the_name() -> None:
    assert (parse_reward("rm:a/b=0.5").spec, parse_reward("rm:a/b=0.5").weight) == ("rm:a/b", 0.5)
    assert parse_reward("f.py:g").weight == 1 and parse_reward("f.py:g=-2").weight == -2
    assert parse_reward("my_reward.py:f").file == Path("my_reward.py") and parse_reward("rm:a").file is None
    with pytest.raises(InputError, match="'much' is no weight of the reward rm:a"):
        parse_reward("rm:a=much")


def test_rules_are_read_by_the_judge_that_they_were_fitted_with(tmp_path: Path) -> None:
    """By the id of the grader, which differs by whether the examples of the rules were shown to it."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    read, judge = read_rules(rules), str(checkpoint("llama"))
    for shots in (True, False):
        grader = yes_no(read, model=load(judge, device="cpu"), shots=shots)
        weights = RuleWeights(read.digest, grader.id, (TypeWeights("comply", ("helps",), (2.0,)),))
        write_rule_weights(tmp_path / "weights.json", weights)
        reward = load_reward(f"rbr:{tmp_path}/weights.json", rules=str(rules), judge=judge, device="cpu")
        assert isinstance(reward, RuleReward) and reward.weights == weights
    write_rule_weights(tmp_path / "weights.json", replace(weights, grader=GraderId("other", "1")))
    with pytest.raises(InputError, match="was fitted with the grader other"):
        load_reward(f"{tmp_path}/weights.json", rules=str(rules), judge=judge, device="cpu")
