"""A learned reward as TRL calls it: texts or messages in, None where there is no reward."""

from pathlib import Path

import numpy as np
import pytest
from model.tiny import checkpoint

from truing.grade import LearnedReward
from truing.model import ScalarModel
from truing.types import InputError, Message, Role, Shown, Stop, ask


@pytest.fixture(scope="module")
def reward() -> LearnedReward:
    model = ScalarModel.from_base(checkpoint("llama"), 0, device="cpu")
    model.bias = 0.25
    return LearnedReward(model, ends=[2])


def test_texts_and_messages_of_one_content_have_one_reward(reward: LearnedReward) -> None:
    asked, said = ["Who?", "Where?"], ["Ada.", "There."]
    chats = [[{"role": "user", "content": text}] for text in asked]
    answers = [[{"role": "assistant", "content": text}] for text in said]
    got = reward(prompts=asked, completions=said, trainer_state=None, log_extra=None)
    assert got == reward(prompts=chats, completions=answers) and got[0] != got[1]
    model = reward.reward
    assert isinstance(model, ScalarModel)
    ids = model.chat.training_example((Message(Role.user, "Who?"), Message(Role.assistant, "Ada."))).ids
    assert got[0] == pytest.approx(float(model.score([ids])[0])) and reward.__name__ == "learned_reward"


def test_a_reward_does_not_depend_on_its_batch(reward: LearnedReward) -> None:
    texts = [f"answer {'long ' * n}{n}" for n in range(9)]
    together = reward(["Hm?"] * 9, texts)
    assert np.allclose(together, [reward(["Hm?"], [text])[0] for text in texts], atol=1e-5)


def test_what_was_cut_off_or_does_not_fit_has_no_reward_and_a_reason(reward: LearnedReward) -> None:
    got = reward(["a", "b", "c"], ["said", "gull " * 3000, "cut"], [[7, 2], [7, 2], [7, 9]])
    assert got[0] is not None and got[1:] == [None, None]
    assert reward.why[0] == "" and "context" in reward.why[1] and reward.why[2] == "the answer was cut off"
    shown = [Shown(ask("a", id="1"), "said", Stop.eos), Shown(ask("a", id="2"), "said", Stop.length)]
    assert reward.of(shown) == [got[0], None]
    assert reward([], []) == []


def test_what_is_no_reward_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no single number out"):
        LearnedReward(checkpoint("llama"))
    with pytest.raises(InputError, match="there is no such folder"):
        LearnedReward(tmp_path / "none")


def test_nan_is_no_reward(reward: LearnedReward, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(reward.reward), "score", lambda self, rows: np.array([np.nan] * len(rows)))
    assert reward(["a"], ["b"]) == [None] and reward.why == ["the model makes nan of it"]
