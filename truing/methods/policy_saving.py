"""What policy learning leaves: a policy with its card, and how it went."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing.grade import RewardMix
from truing.methods.held_out import PROXY, HeldOutMeasure
from truing.methods.policy_prompts import PolicyPrompts
from truing.methods.saving import new_folder, save_policy
from truing.run import Card
from truing.types import FrozenDict

if TYPE_CHECKING:
    from truing.model import LocalModel, RolloutEngine
    from truing.train import PolicyTrained, Sample, Update


@dataclass(frozen=True)
class PolicyRun:
    """What a method of policy learning is given besides its numbers and its model."""

    prompts: PolicyPrompts
    reward: RewardMix
    data: str
    """Where the prompts come from; errors and the card name it."""
    watched: RewardMix | None = None
    """Metrics that are measured on held-out prompts and never learnt from; more of each is better."""
    card: "Callable[[], Mapping[str, str]]" = field(default=dict)
    """Tells, in the end, the card's `reward` and `hacking`."""
    observe: "Callable[[Update, Sequence[Sample]], bool | None]" = field(default=lambda _u, _s: None)
    """Is told of every update and its completions; True ends the training after it."""
    known: Mapping[int, FrozenDict] = field(default_factory=dict)
    """Held-out measures of updates that were made before an interruption."""
    measured: "Callable[[int, FrozenDict], None]" = field(default=lambda _n, _f: None)
    """Is told of every held-out measure: the number of the update before which it was made, and what it is."""
    engine: "Callable[[Any | None], RolloutEngine | None]" = field(default=lambda _adapter: None)
    """Makes, of the policy's adapter (None: it has none), what writes the answers that are learnt from; without one
    the policy does. What is measured on held-out prompts it always writes itself."""


@dataclass(frozen=True)
class PolicyTuned:
    """A policy that learnt from rewards."""

    folder: Path
    trained: "PolicyTrained"
    held_out: FrozenDict
    """What the policy that is saved does on held-out prompts; see `HeldOutMeasure.of`."""
    prompts: PolicyPrompts
    """What it was asked, what was held out, and how many were left out."""
    ground: str
    """What this can claim."""


def measured_before(updates: int, every: int) -> list[int]:
    """Before which of `updates` (from 1) metrics are measured: the first, every so many, and the last.

    The page reads the rows of updates, so that without the last a late fall would not be seen there.
    """
    return sorted({1, updates, *(range(1, updates + 1, every) if every else ())})


class Measures:
    """Held-out measures where they are due: first and last, and of metrics that are not learnt from in between."""

    def __init__(
        self, run: PolicyRun, measure: HeldOutMeasure, model: "LocalModel", *, updates: int, every: int
    ) -> None:
        self._run, self._measure, self._model = run, measure, model
        self._due = measured_before(updates, every) if measure.watched is not None else [1]

    def before(self, update: int) -> FrozenDict:
        """What the metrics that are not learnt from are before the update of that number (from 1), where it is due.

        The reward is none of them, as it cannot tell whether it is hacked.
        """
        found = self._of(update) if update in self._due else {}
        return FrozenDict({name: value for name, value in found.items() if name != PROXY})

    def at_the_end(self, updates: int) -> FrozenDict:
        """What the policy does after all `updates`, the reward included."""
        return self._of(updates + 1)

    def _of(self, number: int) -> FrozenDict:
        if not self._measure.prompts:
            return FrozenDict()
        found = self._run.known.get(number)
        if found is None:
            found = self._measure.of(self._model)
            self._run.measured(number, found)
        return found


def save_tuned(
    tuned: PolicyTuned,
    model: "LocalModel",
    adapter: Any | None,
    ref: str,
    run: PolicyRun,
    what: Mapping[str, Any],
) -> None:
    """Save the policy where `tuned` says, with its card; `what` are the method's own fields of it."""
    prompts, out = tuned.prompts, tuned.folder
    data = f"{len(prompts.train):,} prompts from {run.data}"
    if prompts.held_out:
        data += f", and {len(prompts.held_out):,} held out"
    told = ", ".join(f"{name} {found['value']:.3g}" for name, found in tuned.held_out.items())
    own = {"reward": run.reward.definition, **run.card()}
    last = tuned.trained.updates[-1]
    card = Card(
        name=out.name,
        base_model=ref,
        ground=tuned.ground,
        data=data,
        reward=f"{own['reward']}; in the end {told}" if told else own["reward"],
        kl_spent=last.kl_spent,
        kl_per_completion=last.kl,
        hacking=own.get("hacking", ""),
        license="as the base model's",
        failures=(
            "a policy finds what its reward pays for, whether people want it or not: read the run's page",
        ),
        untested=("everything: audit it against its base model",),
        reproduce=(f"truing audit {out} --baseline {ref} --suite ...",),
        **what,
    )
    with new_folder(out, card) as unfinished:
        save_policy(model, adapter, ref, unfinished)
