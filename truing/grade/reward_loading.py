"""Rewards by name: a function in a file of the user's, a reward model, rules with their weights, a registered one."""

import importlib.util
import sys
import traceback
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from truing.grade.rewards import RewardFunction, RuleReward
from truing.grade.rule_weights import read_rule_weights
from truing.types import InputError

REWARDS = "truing.rewards"
"""The entry-point group; an entry is a callable that takes the text after `NAME:` (or None) and returns a reward."""

_FORMS = "write FILE.py:FUNCTION, rm:FOLDER, rbr:WEIGHTS.json or the name of a registered reward"


@dataclass(frozen=True)
class NamedReward:
    """A reward as it stands on a command line: `SPEC` or `SPEC=WEIGHT`."""

    spec: str
    weight: float = 1.0

    @property
    def file(self) -> Path | None:
        """The file of a function; None for every other kind."""
        path, _, name = self.spec.rpartition(":")
        return Path(path).expanduser() if path.endswith(".py") and name.isidentifier() else None


def parse_reward(text: str) -> NamedReward:
    """Read `SPEC` or `SPEC=WEIGHT`.

    Raises:
        InputError: there is no name, or the weight is no number.
    """
    spec, equals, weight = text.rpartition("=")
    if not equals:
        return NamedReward(text)
    try:
        return NamedReward(spec, float(weight))
    except ValueError:
        raise InputError(f"{weight!r} is no weight of the reward {spec}", mend="write SPEC=0.5") from None


def load_reward(spec: str, *, rules: str = "", judge: str = "", device: str = "auto") -> RewardFunction:
    """Open the reward that `spec` names.

    | spec | what it is |
    |---|---|
    | `FILE.py:FUNCTION` | a function as TRL calls it, sync or async |
    | `rm:FOLDER`, or the folder | a reward model, by language model or linear, that `truing align rm` made |
    | `rbr:WEIGHTS.json`, or the file | `rules` with weights that `truing align rbr-fit` made, read by `judge` |
    | `NAME`, `NAME:REFERENCE` | an entry point of the group `truing.rewards` |

    Raises:
        InputError: nothing has that name, or it cannot be loaded: a file fails when it is imported, or has no
            such function.
    """
    named = NamedReward(spec)
    if named.file is not None:
        return _function(named.file, spec.rpartition(":")[2])
    kind, _, ref = spec.partition(":")
    path = Path(spec).expanduser()
    if kind == "rm" and ref:
        return _learned(ref, device)
    if kind == "rbr" and ref:
        return _by_rules(Path(ref).expanduser(), rules, judge, device)
    if spec.strip() and path.is_dir():
        return _learned(spec, device)
    if path.is_file() and path.suffix == ".json":
        return _by_rules(path, rules, judge, device)
    for entry in entry_points(group=REWARDS):
        if entry.name == kind:
            found: RewardFunction = entry.load()(ref or None)
            return found
    if path.suffix == ".py" or path.is_file():
        raise InputError("which function of it is the reward?", file=spec, mend=f"write {spec}:FUNCTION")
    raise InputError(f"there is no reward {spec!r}", mend=_FORMS)


def _learned(ref: str, device: str) -> RewardFunction:
    from truing.grade.learned_reward import LearnedReward

    return LearnedReward(ref, device=device)


def _by_rules(weights: Path, rules: str, judge: str, device: str) -> RewardFunction:
    if not rules or not judge:
        mend = "give --rules and --judge, those that it was fitted with"
        raise InputError("a reward by rules needs the rules and a judge", file=weights, mend=mend)
    from truing.grade.from_spec import yes_no
    from truing.model import load
    from truing.spec import is_rules, read_rules, read_spec

    ruled = read_rules(rules) if is_rules(rules) else read_spec(rules).rules
    if ruled is None:
        raise InputError(f"the specification {rules} has no rules", mend="give a YAML file of rules")
    fitted, model = read_rule_weights(weights), load(judge, device=device)
    # It was fitted with the examples of the rules shown to the judge, or without them: its id says which.
    graders = [yes_no(ruled, model=model, shots=shots) for shots in (True, False)]
    fits = next((grader for grader in graders if grader.id == fitted.grader), graders[0])
    return RuleReward(weights, ruled, fits)


def _function(path: Path, name: str) -> RewardFunction:
    module = _imported(path)
    found: Any = getattr(module, name, None)
    if callable(found) and not isinstance(found, type):
        reward: RewardFunction = found
        return reward
    if found is not None:
        kind = "a class" if isinstance(found, type) else f"a {type(found).__name__}"
        raise InputError(
            f"{name} is {kind}, not a function",
            file=path,
            mend="name a function, or an object that can be called",
        )
    own = [key for key, value in vars(module).items() if _is_own(value, module)]
    mend = f"it has {', '.join(own)}" if own else "define it there"
    raise InputError(f"has no function {name}", file=path, mend=mend)


def _is_own(value: object, module: ModuleType) -> bool:
    return callable(value) and getattr(value, "__module__", "") == module.__name__


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError("there is no such file", file=path, mend="give FILE.py:FUNCTION")
    name = f"truing_reward_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(
            folder
        )  # for what it imports from beside it, now or later; last, so that it hides nothing
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as why:
        del sys.modules[name]
        raise InputError(f"cannot be imported ({_told(why, path)})", file=path, mend="mend it") from why
    return module


def _told(why: BaseException, path: Path) -> str:
    text = f"{type(why).__name__}: {why.msg if isinstance(why, SyntaxError) else why}"
    frames = [f for f in traceback.extract_tb(why.__traceback__) if Path(f.filename) == path]
    line = why.lineno if isinstance(why, SyntaxError) else frames[-1].lineno if frames else None
    return f"{text}, line {line}" if line else text
