"""What the tests of policy learning share: tiny policies whose answers end early, toy rewards, a loss by hand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from model.tiny_local import make_local

from truing.model import LocalModel
from truing.numerics import generator
from truing.train import PolicyConfig, PolicyTrained, PromptRow, policy_learning
from truing.types import Completion, Message, Role

QUESTIONS = ("Who counts the gulls?", "A kite is broken. " * 6, "Is the answer yes or no?", "A kettle " * 12)
PROMPTS = [PromptRow(f"p{i}", (Message(Role.user, text),)) for i, text in enumerate(QUESTIONS)]
SMALL: dict[str, Any] = {
    "updates": 1, "prompts_per_update": 4, "samples_per_prompt": 4, "max_new_tokens": 12, "clip": 1e9,
}  # fmt: skip


@dataclass(frozen=True)
class Paid:
    """What `MixedRewards` is."""

    total: Sequence[float | None]
    components: dict[str, Sequence[float | None]] = field(default_factory=dict)


def tiny(family: str = "llama", **changes: Any) -> LocalModel:
    """A fresh policy of which one token in eight ends the text."""
    model = make_local(family, **changes)
    model.chat.eos_ids = frozenset(range(0, 512, 8))
    return model


def other(family: str = "llama") -> LocalModel:
    """One that the policy is not: a reference."""
    model = tiny(family)
    with torch.no_grad():
        for number, p in enumerate(model.net.parameters()):
            noise = generator(5, str(number)).standard_normal(p.shape)
            p.add_(torch.from_numpy(noise).float(), alpha=0.02)
    return model


def uneven(rows: Sequence[PromptRow], completions: Sequence[Completion]) -> Paid:
    """No two completions are paid alike; one in three not at all."""
    total = [None if sum(c.token_ids) % 3 == 0 else float(sum(c.token_ids) % 101) / 50 for c in completions]
    return Paid(total, {"odd": total})


class Watch:
    """A reward that keeps what it was shown."""

    def __init__(self, reward: Callable[..., Paid] = uneven) -> None:
        self.reward, self.seen, self.paid = reward, [], []

    def __call__(self, rows: Sequence[PromptRow], completions: Sequence[Completion]) -> Paid:
        self.seen.append(list(completions))
        self.paid.append(self.reward(rows, completions))
        return self.paid[-1]


def learn(
    model: LocalModel, reward: Callable[..., Paid] = uneven, *, reference: Any = None, **numbers: Any
) -> PolicyTrained:
    """Train on the four prompts; what is no number of the configuration goes to the loop."""
    known = PolicyConfig.__dataclass_fields__
    config = PolicyConfig(
        **{"learning_rate": 1e-3} | SMALL | {k: v for k, v in numbers.items() if k in known}
    )
    more = {k: v for k, v in numbers.items() if k not in known}
    return policy_learning(model, PROMPTS, reward, config, reference=reference, what="test", **more)


def logprobs(model: LocalModel, one: Completion, temperature: float = 1.0) -> torch.Tensor:
    """Log-probabilities of a completion's tokens [T], by transformers' own forward pass of the row alone."""
    ids = torch.tensor([*one.prompt_ids, *one.token_ids])
    logits = model.net(input_ids=ids[None], use_cache=False).logits[0, len(one.prompt_ids) - 1 : -1]
    table = (logits / temperature).log_softmax(-1)
    return table.gather(-1, ids[len(one.prompt_ids) :, None]).squeeze(-1)


def kept(watch: Watch, settings: dict[str, Any]) -> list[tuple[int, Completion, float]]:
    """The completions of the first update that take part: group, completion, reward."""
    rows = []
    for i, (one, reward) in enumerate(zip(watch.seen[0], watch.paid[0].total, strict=True)):
        cut = one.stop == "length"
        if cut and settings.get("truncated") == "penalty":
            rows.append((i // 4, one, -1.0))
        elif reward is not None and not (cut and settings.get("truncated") == "mask"):
            rows.append((i // 4, one, reward))
    return rows


def advantages(rows: list[tuple[int, Completion, float]], kind: str) -> list[float]:
    """Each row's reward against its group's, by the formula of the kind."""
    found = []
    for group, _, reward in rows:
        mine = np.array([r for g, _, r in rows if g == group])
        if len(mine) < 2 or mine.std() == 0:
            found.append(0.0)
        elif kind == "rloo":
            found.append(reward - (mine.sum() - reward) / (len(mine) - 1))
        else:
            found.append((reward - mine.mean()) / (mine.std(ddof=1) + 1e-4 if kind == "grpo" else 1.0))
    return found


def aggregated(each: list[torch.Tensor], kind: str, longest: int) -> torch.Tensor:
    """The loss of rows of token losses."""
    if kind == "token":
        return torch.cat(each).mean()
    if kind == "sequence":
        return torch.stack([row.mean() for row in each]).mean()
    return torch.cat(each).sum() / (len(each) * longest)
