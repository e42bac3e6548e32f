"""Policy learning as a run: rewards and prompts in; the policy, its journals, a page and the figures out."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import file_digest
from pathlib import Path
from typing import Any

from truing.grade import NamedReward, RewardMix, load_reward, parse_reward
from truing.methods import (
    GRPOTuningConfig,
    Mixed,
    PolicyPrompts,
    PolicyRun,
    PolicyTuned,
    PPOTuningConfig,
    measured_before,
    read_conversations,
    read_pretraining,
    read_prompts,
    tune_by_grpo,
    tune_by_ppo,
)
from truing.model import EndpointRollout, RolloutEngine, find_folder, identify
from truing.recipes.aligning import TrainingJob, training_job
from truing.recipes.hacking_page import hacking_summary, policy_page
from truing.recipes.policy_journals import PolicyJournals
from truing.recipes.town_prompts import SCHEME, town_data, town_pretraining, town_prompts
from truing.train import EarlyStop
from truing.types import InputError, digest, thaw


@dataclass(frozen=True)
class PolicySource:
    """What policy learning learns from, as it stands on a command line; see `truing align grpo`."""

    rewards: tuple[str, ...]
    prompts: Path | None = None
    watch: tuple[str, ...] = ()
    rules: str = ""
    judge: str = ""
    stop_for: str = ""
    rollouts: str = ""
    versions: Path | None = None

    def __post_init__(self) -> None:
        if bool(self.rollouts) != (self.versions is not None):
            problem = "a server that writes the answers, and the folder it reads the policy's weights from, go together"
            raise InputError(problem, mend="give both --rollouts endpoint:URL#MODEL and --versions FOLDER")
        self.engine(None)  # to refuse a reference that is none before anything is loaded
        if not self.rewards:
            mend = "give --reward FILE.py:FUNCTION or rm:FOLDER"
            raise InputError("nothing says what is rewarded", mend=mend)
        if self.stop_for and self.stop_for not in self.watch:
            mend = f"give --watch {self.stop_for} too"
            raise InputError(f"--stop-for {self.stop_for} is not measured", mend=mend)

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

    def engine(self, adapter: Any | None) -> RolloutEngine | None:
        """What writes the answers in place of the policy, whose adapter is given."""
        if self.versions is None:
            return None
        return EndpointRollout.from_ref(self.rollouts, self.versions, adapter=adapter)

    def identity(self) -> dict[str, Any]:
        """What a run that is gone on with must have in common; a function may be mended on the way."""
        return {
            "rewards": [[one.spec, one.weight] for one in self.named],
            "watch": [[one.spec, one.weight] for one in self.watched],
            "contents": {
                one.spec: found for one in (*self.named, *self.watched) if (found := _contents(one))
            },
            "stop_for": self.stop_for,
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
    whole = {**asdict(config), **source.identity()}
    with training_job("grpo", model, _files(source), out, whole) as job:
        if job.result is not None:
            return job.result
        journals, run = _begin(job, model, source, config, device)
        tuned = tune_by_grpo(model, run, job.folder, config, checkpoint=job.checkpoint, device=device)
        return _finish(job, journals, tuned, whole)


def align_ppo(
    model: str,
    source: PolicySource,
    out: Path,
    config: PPOTuningConfig,
    *,
    demonstrations: Path | None = None,
    pretraining: Path | None = None,
    value: str = "",
    device: str = "auto",
) -> dict[str, Any]:
    """Train `model` as InstructGPT was, by PPO or PPO-ptx; what stands in the run's result.json.

    The value model begins as `value`, else as the first reward model among the rewards, else as the start. A
    checkpoint of the organism has pretraining text of its own. The start is kept in the run's folder `start`.

    Raises:
        InputError: rewards, a file, a model or the folder cannot be used; a reward fails, in which case the same
            call goes on from where it was.
        StorageError: the disk refuses.
    """
    value = value or next(
        (one.spec.partition(":")[2] for one in source.named if one.spec.startswith("rm:")), ""
    )
    files = _files(source, demonstrations=demonstrations, pretraining=pretraining)
    whole = {**asdict(config), **source.identity(), "value": _folder_digest(value) if value else ""}
    with training_job("ppo", model, files, out, whole) as job:
        if job.result is not None:
            return job.result
        shown = tuple(read_conversations(demonstrations)) if demonstrations else ()
        texts: list[str] = []
        if pretraining is not None:
            texts = read_pretraining(pretraining)
        elif model.startswith(SCHEME) and config.ptx_coef:
            texts = town_pretraining(model)
        journals, run = _begin(job, model, source, config, device)
        mixed = Mixed(shown, tuple(texts), value)
        tuned = tune_by_ppo(
            model, run, mixed, job.folder, config,
            start=job.run.origin / "start", checkpoint=job.checkpoint, device=device,
        )  # fmt: skip
        return _finish(job, journals, tuned, whole)


def _files(source: PolicySource, **more: Path | None) -> dict[str, Path]:
    named = {"prompts": source.prompts, **more}
    return {name: path for name, path in named.items() if path is not None}


def _begin(
    job: TrainingJob,
    model: str,
    source: PolicySource,
    config: GRPOTuningConfig | PPOTuningConfig,
    device: str,
) -> tuple[PolicyJournals, PolicyRun]:
    """Everything that a method is given; the journals are opened last, when nothing more can be wrong."""
    prompts, data = _prompts(model, source, config.held_out, config.seed)
    reward = source.mix(source.named, texts=prompts.texts, device=device)
    watched = source.mix(source.watched, texts=prompts.texts, device=device) if source.watch else None
    stop = _early_stop(source, config) if source.stop_for else None
    journals = PolicyJournals(job.run, reward.definition, source.functions(), stop)
    run = PolicyRun(
        prompts,
        reward,
        data,
        watched=watched,
        card=lambda: {"reward": journals.definition, "hacking": hacking_summary(journals.report)},
        observe=journals.observe,
        known=journals.held_out(),
        measured=journals.measured,
        engine=source.engine,
    )
    return journals, run


def _early_stop(source: PolicySource, config: GRPOTuningConfig | PPOTuningConfig) -> EarlyStop:
    times = len(measured_before(config.updates, config.measure_every)) if config.held_out else 0
    try:
        return EarlyStop(source.stop_for, times)
    except ValueError as why:
        problem = f"{source.stop_for} would be measured {times} times in {config.updates} updates, and {why}"
        raise InputError(problem, mend="lower --measure-every, or leave --stop-for out") from None


def _prompts(model: str, source: PolicySource, held_out: float, key: int) -> tuple[PolicyPrompts, str]:
    if source.prompts is not None:
        return read_prompts(source.prompts, held_out=held_out, key=key), source.prompts.name
    if not model.startswith(SCHEME):
        mend = 'give --prompts FILE.jsonl with one {"prompt": ...} on each line'
        raise InputError(f"nothing says what {model} is asked", mend=mend)
    return town_prompts(model, held_out=held_out > 0, key=key), town_data(model)


def _finish(
    job: TrainingJob, journals: PolicyJournals, tuned: PolicyTuned, settings: Mapping[str, Any]
) -> dict[str, Any]:
    updates = journals.rows()
    last = updates[-1]
    report = journals.report
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
        "hacking": {"word": report.word, "sign": report.sign, "sentence": report.sentence},
    }
    page = policy_page(
        updates,
        journals.ends(len(updates)),
        method=job.method,
        ground=tuned.ground,
        settings=settings,
        reward=journals.definition,
        stopped=journals.stopped,
    )
    return job.finish(told, lambda _: page)


def _contents(named: NamedReward) -> Any:
    """The digest of what a reward is read from; None of a function's file, and of what is registered."""
    if named.file is not None:
        return None
    kind, _, ref = named.spec.partition(":")
    ref = ref if kind in ("rm", "rbr") else named.spec
    if kind == "rm" or Path(ref).expanduser().is_dir():
        return _folder_digest(ref)
    path = Path(ref).expanduser()
    return _digest(path) if path.is_file() else None


def _folder_digest(ref: str) -> str:
    return digest({p.name: _digest(p) for p in sorted(find_folder(ref).iterdir()) if p.is_file()})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
