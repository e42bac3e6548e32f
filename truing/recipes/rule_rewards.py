"""The fit of a rule-based reward as a run: prompts or ranked answers in, weights, a page and the rejects out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from truing.data import reading, write_jsonl
from truing.grade import CachedGrader, LearnedReward, RuleFeatures, write_rule_weights, yes_no
from truing.methods import (
    RankedAnswers,
    RBRConfig,
    Recipe,
    RuleFit,
    SafetyPrompt,
    Written,
    fit_rule_weights,
    tune_thresholds,
    write_comparisons,
)
from truing.model import find_folder, identify, load
from truing.recipes.rule_reward_rows import read_gold, read_recipes, read_rule_rows
from truing.recipes.rule_rewards_page import figures_of, rule_rewards_page
from truing.run import Journal, Run
from truing.spec import RuleSet, is_rules, read_rules, read_spec
from truing.types import Completion, Fingerprint, InputError, Request, Sampler, SamplingParams, Shown, thaw

_RESULT, _PAGE, _WEIGHTS = "result.json", "report.html", "weights.json"
_WRITTEN_AT_ONCE = 64


@dataclass(frozen=True)
class _Given:
    """What the files of a job hold, read before there is a run: a mended file begins a run and is no other one's."""

    rules: RuleSet
    rows: Sequence[SafetyPrompt] | Sequence[RankedAnswers]
    recipes: Mapping[str, Recipe]
    gold: tuple[Sequence[Shown], Sequence[Mapping[str, bool]]] | None


@dataclass(frozen=True)
class RuleRewardJob:
    """What a fit is made from; see `truing align rbr-fit` for what each is."""

    rules: str
    judge: str
    data: Path
    writer: str = ""
    reward: str = ""
    recipe: Path | None = None
    gold: Path | None = None
    template: str = ""
    shots: bool = True
    tries: int = 8
    temperature: float = 1.0
    max_tokens: int = 512


def align_rbr(job: RuleRewardJob, out: Path, config: RBRConfig, *, device: str = "auto") -> dict[str, Any]:
    """Fit the weights of a rule-based reward; what stands in the run's result.json.

    The run's folder holds `weights.json` (for `RuleReward`), `comparisons.jsonl` and `rejects.jsonl` where
    answers were written, and `report.html`. What a judge said and a writer wrote is kept there, so that
    the same command goes on after an interruption.

    Raises:
        InputError: rules, data, a model or the folder cannot be used.
        StorageError: the disk refuses.
    """
    rules = _rules(job.rules)
    given = _read(job, rules)
    files = {name: path for name in ("data", "recipe", "gold") if (path := getattr(job, name)) is not None}
    refs = {name: thaw(identify(ref)) for name in ("judge", "writer") if (ref := getattr(job, name))}
    if job.reward:
        files_of = (path for path in sorted(find_folder(job.reward).iterdir()) if path.is_file())
        refs["reward"] = {path.name: _digest_of(path) for path in files_of}
    numbers = {
        name: getattr(job, name) for name in ("template", "shots", "tries", "temperature", "max_tokens")
    }
    whole = {"method": "rbr-fit", "rules": rules.digest, **refs, **numbers, **asdict(config)}
    with Run.open(out, whole, inputs={name: _digest(path) for name, path in files.items()}) as run:
        found = run.read_json(_RESULT)
        return found if found is not None else _fitted(run, job, given, config, device)


def _fitted(
    run: Run,
    job: RuleRewardJob,
    given: _Given,
    config: RBRConfig,
    device: str,
) -> dict[str, Any]:
    rules, rows = given.rules, given.rows
    judge = load(job.judge, device=device)
    # All propositions are asked, so that `yes_no(rules, MODEL)` is the grader that belongs to the weights.
    asked = yes_no(rules, model=judge, template=job.template, shots=job.shots)
    features = RuleFeatures(rules, CachedGrader(asked, run.path / "verdicts.sqlite"))
    grounds = {str(getattr(judge, "ground", ""))}
    written: Written | None = None
    if isinstance(rows[0], SafetyPrompt):
        writer = load(job.writer, device=device)
        grounds.add(str(getattr(writer, "ground", "")))
        written = _written(run, job, given, writer, features, config)
        ranked: Sequence[RankedAnswers] = written.rows
    else:
        ranked = [row for row in rows if isinstance(row, RankedAnswers)]
    unscored = 0
    if job.reward:
        ranked, unscored = _scored(ranked, LearnedReward(job.reward, device=device))
    ground = " ".join(sorted(grounds - {""}))
    fit = fit_rule_weights(ranked, features, config, note=f"{job.data.name}; {ground}".rstrip("; "))
    return _finish(run, job, rules, fit, written, unscored, ground, config)


def _written(
    run: Run,
    job: RuleRewardJob,
    given: _Given,
    writer: Sampler,
    features: RuleFeatures,
    config: RBRConfig,
) -> Written:
    """Have answers written and confirmed; `comparisons.jsonl` and `rejects.jsonl` hold them."""
    thresholds = tune_thresholds(*given.gold, features) if given.gold is not None else {}
    found = write_comparisons(
        [row for row in given.rows if isinstance(row, SafetyPrompt)],
        given.recipes,
        _Kept(writer, run.journal("written")),
        features,
        key=config.seed,
        tries=job.tries,
        params=SamplingParams(temperature=job.temperature, max_tokens=job.max_tokens),
        thresholds=thresholds,
    )
    write_jsonl(run.path / "comparisons.jsonl", found.rows)
    write_jsonl(run.path / "rejects.jsonl", found.rejects)
    if not found.rows:
        why = ", ".join(f"{reason}: {n}" for reason, n in list(found.reasons.items())[:3])
        raise InputError(
            f"no answer that was written is what it was told to be ({why})",
            file=run.path / "rejects.jsonl",
            mend="look at them; another --writer, a --recipe or a --gold set may help",
        )
    return found


class _Kept:
    """A writer whose answers are journaled, so that a killed run does not ask for them again."""

    def __init__(self, writer: Sampler, journal: Journal) -> None:
        self._writer, self._journal = writer, journal

    @property
    def fingerprint(self) -> Fingerprint:
        """The writer's."""
        return self._writer.fingerprint

    def plan(self, requests: Sequence[Request], params: SamplingParams) -> list[list[int]]:
        """The writer's."""
        return self._writer.plan(requests, params)

    def sample(
        self, requests: Sequence[Request], params: SamplingParams, *, key: int
    ) -> Iterator[Completion]:
        """What was written before, and then the rest, some at a time."""
        kept = {name: Completion.from_json(row) for name, row in self._journal.rows()}
        yield from (kept[r.id] for r in requests if r.id in kept)
        missing = [r for r in requests if r.id not in kept]
        for at in range(0, len(missing), _WRITTEN_AT_ONCE):
            found = list(self._writer.sample(missing[at : at + _WRITTEN_AT_ONCE], params, key=key))
            self._journal.append([(c.request_id, replace(c, logprobs=None).to_json()) for c in found])
            yield from found


def _scored(rows: Sequence[RankedAnswers], reward: LearnedReward) -> tuple[list[RankedAnswers], int]:
    """The rankings with the other reward of each answer; answers without one are left out, and counted."""
    values = iter(reward.of([one for row in rows for one in row.shown]))
    out, lost = [], 0
    for row in rows:
        scores = [next(values) for _ in row.answers]
        keep = [i for i, score in enumerate(scores) if score is not None]
        lost += len(scores) - len(keep)
        if len({row.ranks[i] for i in keep}) > 1:
            answers, kinds = (tuple(of[i] for i in keep) for of in (row.answers, row.kinds))
            ranks, rm = tuple(row.ranks[i] for i in keep), tuple(float(scores[i] or 0.0) for i in keep)
            out.append(replace(row, answers=answers, kinds=kinds, ranks=ranks, rm=rm))
    if not out:
        raise InputError(
            "the other reward gives none to any two answers of a prompt", mend="look at --reward"
        )
    return out, lost


def _finish(
    run: Run,
    job: RuleRewardJob,
    rules: RuleSet,
    fit: RuleFit,
    written: Written | None,
    unscored: int,
    ground: str,
    config: RBRConfig,
) -> dict[str, Any]:
    write_rule_weights(run.path / _WEIGHTS, fit.weights)
    with_rm = bool(job.reward) or any(one.trained.rm.any() for one in fit.types)
    result = {
        "method": "rbr-fit",
        "rules": rules.digest,
        "judge": job.judge,
        "grader": fit.weights.grader.to_json(),
        "weights": str(run.path / _WEIGHTS),
        "ground": ground,
        "other_reward": with_rm,
        "types": figures_of(fit, key=config.seed),
        "undecided": dict(fit.missing),
        "unscored": unscored,
        "rejects": {} if written is None else written.reasons,
        "short": {} if written is None else dict(written.short),
    }
    page = rule_rewards_page(result, fit=fit, settings=asdict(config) | _told(job))
    run.write_text(_PAGE, page)
    run.write_json(_RESULT, result)
    return result


def _told(job: RuleRewardJob) -> dict[str, Any]:
    return {name: value for name, value in asdict(job).items() if value not in ("", None)}


def _read(job: RuleRewardJob, rules: RuleSet) -> _Given:
    rows = read_rule_rows(job.data, rules)
    _check(job, rows)
    written = {row.response_type for row in rows if isinstance(row, SafetyPrompt)}
    gold = None if job.gold is None else read_gold(job.gold)
    return _Given(rules, rows, read_recipes(job.recipe, rules, written), gold)


def _check(job: RuleRewardJob, rows: "Sequence[SafetyPrompt] | Sequence[RankedAnswers]") -> None:
    """What was given fits together."""
    if job.tries < 1:
        raise InputError(f"an answer is asked for at least once, not {job.tries} times")
    if isinstance(rows[0], SafetyPrompt):
        if not job.writer:
            mend = "name a model that writes with --writer, or give answers and ranks"
            raise InputError("holds prompts without answers", file=job.data, mend=mend)
    elif job.writer or job.recipe or job.gold:
        mend = "leave --writer, --recipe and --gold out, or give prompts alone"
        raise InputError("holds answers already, so nothing is to be written", file=job.data, mend=mend)
    elif job.reward and any(isinstance(row, RankedAnswers) and row.rm for row in rows):
        raise InputError("holds rewards already", file=job.data, mend="leave --reward out, or the column rm")


def _rules(source: str) -> RuleSet:
    found = read_rules(source) if is_rules(source) else read_spec(source).rules
    if found is None:
        raise InputError(f"the specification {source} has no rules", mend="give a YAML file of rules")
    return found


def _digest_of(path: Path) -> str:
    """Of a file that may be large."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _digest(path: Path) -> str:
    with reading(path) as file:
        return sha256(file.read()).hexdigest()
