"""Policy learning as a run: rewards and prompts in; the policy, its journals, a page and the figures out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import file_digest
from pathlib import Path
from typing import Any

from truing.grade import NamedReward, RewardMix, load_reward, parse_reward
from truing.methods import GRPOTuningConfig, PolicyPrompts, PolicyRun, PolicyTuned, read_prompts, tune_by_grpo
from truing.model import find_folder, identify
from truing.recipes.aligning import TrainingJob, training_job
from truing.recipes.policy_journals import PolicyJournals
from truing.recipes.town_prompts import SCHEME, town_data, town_prompts
from truing.types import InputError, digest, thaw


@dataclass(frozen=True)
class PolicySource:
    """What policy learning learns from, as it stands on a command line; see `truing align grpo`."""

    rewards: tuple[str, ...]
    prompts: Path | None = None
    watch: tuple[str, ...] = ()
    rules: str = ""
    judge: str = ""

    def __post_init__(self) -> None:
        if not self.rewards:
            raise InputError(
                "nothing says what is rewarded", mend="give --reward FILE.py:FUNCTION or rm:FOLDER"
            )

    @cached_property
    def named(self) -> list[NamedReward]:
        """The rewards that are learnt from."""
        return [parse_reward(text) for text in self.rewards]

    @cached_property
    def watched(self) -> list[NamedReward]:
        """The metrics that are only measured."""
        return [parse_reward(text) for text in self.watch]

    def mix(self, named: Sequence[NamedReward], *, texts: bool, device: str) -> RewardMix:
        """The rewards, loaded."""
        parts = [
            (one.spec, load_reward(one.spec, rules=self.rules, judge=self.judge, device=device), one.weight)
            for one in named
        ]
        return RewardMix(parts, texts=texts)

    def identity(self) -> dict[str, Any]:
        """What a run that is gone on with must have in common; a function may be mended on the way."""
        return {
            "rewards": [[one.spec, one.weight] for one in self.named],
            "watch": [[one.spec, one.weight] for one in self.watched],
            "contents": {
                one.spec: found for one in (*self.named, *self.watched) if (found := _contents(one))
            },
            "rules": self.rules,
            "judge": thaw(identify(self.judge)) if self.judge else {},
        }

    def functions(self) -> dict[str, str]:
        """Name of each function that is learnt from -> digest of its file."""
        return {
            one.spec: _digest(one.file) for one in self.named if one.file is not None and one.file.is_file()
        }


def align_grpo(
    model: str, source: PolicySource, out: Path, config: GRPOTuningConfig, *, device: str = "auto"
) -> dict[str, Any]:
    """Train `model` on rewards for its own answers by GRPO or RLOO; what stands in the run's result.json.

    Raises:
        InputError: rewards, prompts, model or folder cannot be used; a reward fails, in which case the same call
            goes on from where it was.
        StorageError: the disk refuses.
    """
    with _policy_job("grpo", model, source, out, asdict(config)) as job:
        if job.result is not None:
            return job.result
        journals, run = _begin(job, model, source, config.held_out, config.seed, device)
        tuned = tune_by_grpo(model, run, job.folder, config, checkpoint=job.checkpoint, device=device)
        return _finish(job, journals, tuned)


def _policy_job(method: str, model: str, source: PolicySource, out: Path, config: dict[str, Any]) -> Any:
    files = {"prompts": source.prompts} if source.prompts is not None else {}
    return training_job(method, model, files, out, {**config, **source.identity()})


def _begin(
    job: TrainingJob, model: str, source: PolicySource, held_out: float, key: int, device: str
) -> tuple[PolicyJournals, PolicyRun]:
    """Everything that a method is given; the journals are opened last, when nothing more can be wrong."""
    prompts, data = _prompts(model, source, held_out, key)
    reward = source.mix(source.named, texts=prompts.texts, device=device)
    watched = source.mix(source.watched, texts=prompts.texts, device=device) if source.watch else None
    journals = PolicyJournals(job.run, reward.definition, source.functions())
    run = PolicyRun(
        prompts,
        reward,
        data,
        watched=watched,
        definition=lambda: journals.definition,
        observe=journals.observe,
        known=journals.held_out(),
        measured=journals.measured,
    )
    return journals, run


def _prompts(model: str, source: PolicySource, held_out: float, key: int) -> tuple[PolicyPrompts, str]:
    if source.prompts is not None:
        return read_prompts(source.prompts, held_out=held_out, key=key), source.prompts.name
    if not model.startswith(SCHEME):
        mend = 'give --prompts FILE.jsonl with one {"prompt": ...} on each line'
        raise InputError(f"nothing says what {model} is asked", mend=mend)
    return town_prompts(model, held_out=held_out > 0, key=key), town_data(model)


def _finish(job: TrainingJob, journals: PolicyJournals, tuned: PolicyTuned) -> dict[str, Any]:
    updates = tuned.trained.updates
    last = updates[-1]
    told = {
        "reward": journals.definition,
        "updates": len(updates),
        "stopped": journals.stopped,
        "tokens": tuned.trained.tokens,
        "prompts": {"train": len(tuned.prompts.train), "held_out": len(tuned.prompts.held_out)},
        "skipped": dict(tuned.prompts.skipped),
        "rewards": [updates[0].reward, last.reward],
        "kl": {"per_answer": last.kl, "per_token": last.kl_spent},
        "held_out": {"before": thaw(journals.first_held_out), "after": thaw(tuned.held_out)},
    }
    return job.finish(told)


def _contents(named: NamedReward) -> Any:
    """The digest of what a reward is read from; None of a function's file, and of what is registered."""
    if named.file is not None:
        return None
    kind, _, ref = named.spec.partition(":")
    ref = ref if kind in ("rm", "rbr") else named.spec
    if kind == "rm" or Path(ref).expanduser().is_dir():
        folder = find_folder(ref)
        return digest({p.name: _digest(p) for p in sorted(folder.iterdir()) if p.is_file()})
    path = Path(ref).expanduser()
    return _digest(path) if path.is_file() else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
