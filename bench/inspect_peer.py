"""inspect-ai as a peer: questions as its samples, and one evaluation with the settings that are fastest for it."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelOutput,
    ModelUsage,
    get_model,
)
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

from truing.types import Item

_TURNS: dict[str, Any] = {
    "user": ChatMessageUser,
    "system": ChatMessageSystem,
    "assistant": ChatMessageAssistant,
}


def opened(name: str, *, batch: int, max_tokens: int, **options: object) -> Model:
    """A model by its name there, `hf/FOLDER` or `mockllm/model`."""
    config = GenerateConfig(max_connections=batch, max_tokens=max_tokens)
    return get_model(name, config=config, memoize=False, **options)


def at_once(text: str) -> Callable[..., ModelOutput]:
    """Answers for `mockllm/model`, as `custom_outputs`; their usage is told, or it would count tokens."""

    def answer(*_: object) -> ModelOutput:
        output = ModelOutput.from_content("mockllm/model", text)
        output.usage = ModelUsage(input_tokens=40, output_tokens=12, total_tokens=52)
        return output

    return answer


def evaluate(model: Model, items: Sequence[Item], logs: Path) -> EvalLog:
    """Ask, score by whether the target is in the answer, and log; with neither display nor live view.

    Raises:
        RuntimeError: the evaluation did not end well.
    """
    samples = [
        Sample(
            id=item.id,
            input=[_TURNS[turn.role.value](content=turn.content) for turn in item.request.messages],
            target=item.target,
        )
        for item in items
    ]
    (log,) = eval(
        Task(name="audit", dataset=MemoryDataset(samples), solver=generate(), scorer=includes()),
        model=model,
        display="none",
        log_dir=str(logs),
        log_level="error",
        log_realtime=False,
        max_samples=len(samples),
    )
    if log.status != "success":
        raise RuntimeError(f"the evaluation ended with {log.status}: {log.error and log.error.message}")
    return log
