"""The files that the fit of a rule-based reward reads: prompts, ranked answers, a gold set, recipes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from truing.data import Row, place, read_jsonl, read_yaml, to_messages
from truing.methods import RankedAnswers, Recipe, SafetyPrompt, usual_recipe
from truing.spec import RuleSet
from truing.types import InputError, Message, Request, Role, Shown

_ANSWERS = ("answers", "completions")


def read_rule_rows(path: str | Path, rules: RuleSet) -> list[SafetyPrompt] | list[RankedAnswers]:
    """Prompts, or answers with their ranks; rows of one file are of one form.

    | columns | what it is |
    |---|---|
    | `prompt` (text or messages), `response_type`, maybe `id` | a prompt that answers are to be written to |
    | the same, `answers` or `completions` (texts), `ranks`, maybe `kinds`, `rm` | answers; rank 1 is best, with ties |

    `kinds` name what each answer is, `rm` is what another reward gives to each.

    Raises:
        InputError: no such file, no row, or a row is malformed; names the row.
    """
    rows = list(read_jsonl(path))
    if not rows:
        raise InputError("holds no row", file=path, mend="give a prompt and its response_type on each line")
    ranked = any(name in rows[0].data for name in _ANSWERS)
    found: list[Any] = []
    ids: set[str] = set()
    for row in rows:
        with place(path, row.number):
            prompt = _prompt(row, rules)
            if prompt.id in ids:
                raise InputError(f"has the id {prompt.id!r} of another row", mend="give each its own")
            ids.add(prompt.id)
            found.append(_ranked(row.data, prompt) if ranked else prompt)
    return found


def _prompt(row: Row, rules: RuleSet) -> SafetyPrompt:
    called = row.data.get("response_type")
    if not isinstance(called, str):
        raise InputError("has no response_type", mend=f"write one of {', '.join(rules.response_types)}")
    try:
        name = rules.response_type(called)
    except ValueError as why:
        raise InputError(str(why), mend="mend or remove the row") from None
    return SafetyPrompt(str(row.data.get("id", row.number)), _turns(row.data), name)


def _turns(data: Mapping[str, Any]) -> tuple[Message, ...]:
    given = data.get("prompt", data.get("messages"))
    if given is None or given == "":
        raise InputError("has no prompt", mend="give prompt as a text or as messages")
    turns = (Message(Role.user, given),) if isinstance(given, str) else to_messages(given)
    if turns[-1].role not in (Role.user, Role.tool):
        raise InputError(
            f"has a prompt that ends with the {turns[-1].role}'s turn", mend="end it with the user's"
        )
    return turns


def _ranked(data: Mapping[str, Any], prompt: SafetyPrompt) -> RankedAnswers:
    name = next((name for name in _ANSWERS if name in data), _ANSWERS[0])
    answers = _list(data, name, str)
    if not all(answer.strip() for answer in answers):
        raise InputError("has an empty answer", mend="mend or remove the row")
    if len(set(answers)) < len(answers):
        raise InputError("has the same answer twice", mend="mend or remove the row")
    ranks = _list(data, "ranks", int)
    kinds = _list(data, "kinds", str) if "kinds" in data else tuple(f"rank {rank}" for rank in ranks)
    rm = tuple(map(float, _list(data, "rm", float))) if "rm" in data else ()
    try:
        return RankedAnswers(prompt.id, prompt.messages, prompt.response_type, answers, ranks, kinds, rm)
    except ValueError as why:
        raise InputError(str(why), mend="mend or remove the row") from None


def _list(data: Mapping[str, Any], name: str, kind: type) -> tuple[Any, ...]:
    value, kinds = data.get(name), (int, float) if kind is float else (kind,)
    if not isinstance(value, list) or not all(
        isinstance(v, kinds) and not isinstance(v, bool) for v in value
    ):
        what = {str: "texts", int: "whole numbers", float: "numbers"}[kind]
        raise InputError(f"has no list of {what} in the column {name}", mend="give one for each answer")
    return tuple(value)


def read_gold(path: str | Path) -> tuple[list[Shown], list[dict[str, bool]]]:
    """Answers whose truths people know: rows with `prompt`, `completion` and `propositions` (name -> true or false).

    The form is that of the published gold set (openai/safety-rbr-code-and-data).

    Raises:
        InputError: no such file, or a row is malformed; names the row.
    """
    shown, truths = [], []
    for row in read_jsonl(path):
        with place(path, row.number):
            said, known = row.data.get("completion"), row.data.get("propositions")
            if not isinstance(known, dict) or not all(isinstance(v, bool) for v in known.values()):
                raise InputError("has no propositions that are true or false", mend="give {name: true, ...}")
            if said is None:
                raise InputError("has no completion", mend="give it as a text or as messages")
            answer = said if isinstance(said, str) else to_messages(said)[-1].content
            shown.append(Shown(Request(str(row.number), _turns(row.data)), answer))
            truths.append(dict(known))
    return shown, truths


def read_recipes(path: Path | None, rules: RuleSet, response_types: "set[str]") -> dict[str, Recipe]:
    """The kinds of answers to be written, for each response type; those that a file leaves out are the usual ones.

    The file is YAML: `response_type: [{name, rank, classes, holds, traits: [{name, holds, lacks}], number}, ...]`.

    Raises:
        InputError: no such file, something in it is malformed, or a class or proposition is none of the rules'.
    """
    declared = read_yaml(path).data if path is not None else {}
    out = {}
    for name in sorted(response_types):
        if path is None or name not in declared:
            out[name] = usual_recipe(rules, name)
            continue
        with place(path):
            try:
                out[name] = Recipe.from_json({"response_type": name, "kinds": declared[name]})
            except ValueError as why:
                raise InputError(str(why), mend=f"mend the kinds of {name}") from None
            _check(out[name], rules)
    return out


def _check(recipe: Recipe, rules: RuleSet) -> None:
    classes = {rule.name for rule in rules.of(recipe.response_type)}
    known = {one.name for one in rules.propositions}
    for kind in recipe.kinds:
        named = {*kind.holds, *(n for trait in kind.traits for n in (*trait.holds, *trait.lacks))}
        if unknown := sorted((set(kind.classes) - classes) | (named - known)):
            raise InputError(
                f"the kind {kind.name!r} of {recipe.response_type} names {unknown[0]!r}, which is not in the rules",
                mend=f"classes are {', '.join(sorted(classes))}",
            )
