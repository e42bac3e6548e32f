"""promptfoo: the JSON or JSONL that `promptfoo eval --output` writes (result versions 2 and 3).

A row has `testIdx`, `promptIdx`, `vars`, `prompt`, `provider`, `response`, `success`, `score`,
`namedScores`, `gradingResult`, and where it failed `error` and `failureReason` (1 an assertion did,
2 something else did).
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from truing.audit.logs.base import Log, LogRow, as_score, content_digest, file_digest, first_line, parse
from truing.data import reading
from truing.types import FrozenDict, GraderId, InputError, Outcome, Verdict, digest

TASK = "promptfoo"
_RULES = {
    "equals", "contains", "icontains", "contains-all", "contains-any", "icontains-all", "icontains-any",
    "starts-with", "regex", "word-count", "finish-reason", "is-json", "contains-json", "is-xml", "contains-xml",
    "is-sql", "contains-sql", "is-html", "contains-html", "javascript", "python", "ruby", "levenshtein",
    "rouge-n", "bleu", "gleu", "meteor", "latency", "cost", "assert-set", "is-valid-function-call",
    "is-valid-openai-function-call", "is-valid-openai-tools-call",
}  # fmt: skip
"""Assertions that a rule decides. All others ask a model or guess from words, and err."""
_FAILED = 2
_UNCHECKED = "No assertions"
"""promptfoo passes a test that checks nothing, with this reason."""


def looks_like_promptfoo(data: object) -> bool:
    """Whether parsed JSON is an output file, or the summary of an evaluation."""
    results = data.get("results") if isinstance(data, dict) else None
    return isinstance(results, list) or (
        isinstance(results, dict) and isinstance(results.get("results"), list)
    )


def is_promptfoo_row(data: object) -> bool:
    """Whether parsed JSON is one result, a line of JSONL output."""
    return isinstance(data, dict) and {"prompt", "provider", "success"} <= set(data)


def read_promptfoo(path: Path, score: str | None = None) -> Log:
    """Read the results of one provider.

    A row counts as promptfoo decided it (`success`); `score` takes `score`, the graded one, or the
    name of a named score. In red-team results the plugin is the dimension.

    Raises:
        InputError: it holds no result, those of several providers, a row that is none, or a score
            outside [0, 1].
    """
    with reading(path) as file:
        text = file.read()
    data, results = _results(text, path)
    if not results:
        raise InputError("holds no result", file=path, mend="run the evaluation again")
    for number, result in enumerate(results, start=1):
        if not is_promptfoo_row(result):
            mend = "write it again with promptfoo"
            raise InputError("is no result of promptfoo", file=path, row=number, mend=mend)
    providers = list(dict.fromkeys(_provider(result) for result in results))
    if len(providers) > 1:
        mend = "write one file for each: promptfoo eval --filter-providers NAME --output FILE"
        raise InputError(
            f"holds the answers of several providers ({', '.join(providers)})", file=path, mend=mend
        )
    if score not in (None, "success", "score") and not any(score in _named(result) for result in results):
        known = ", ".join(dict.fromkeys(["success", "score", *(n for r in results for n in _named(r))]))
        raise InputError(f"has no score {score!r}", file=path, mend=f"choose from {known}")
    told = data.get("metadata")
    version = str(told.get("promptfooVersion", "")) if isinstance(told, dict) else ""
    seen: Counter[str] = Counter()
    return Log(
        tool="promptfoo",
        version=version,
        model=providers[0],
        files=FrozenDict({path.name: file_digest(path)}),
        scored_by=FrozenDict({TASK: score or "success"}),
        rows=tuple(_row(result, score or "success", version, seen, path) for result in results),
    )


def _results(text: bytes, path: Path) -> tuple[dict[str, Any], list[Any]]:
    first, _, rest = text.partition(b"\n")
    if first.strip().endswith(b"}") and rest.strip():  # JSONL
        lines = enumerate(text.splitlines(), start=1)
        return {}, [parse(line, file=path, row=number) for number, line in lines if line.strip()]
    data = parse(text, file=path)
    if is_promptfoo_row(data):
        return {}, [data]
    inner = data["results"]
    return data, inner if isinstance(inner, list) else inner["results"]


def _row(result: Mapping[str, Any], wanted: str, version: str, seen: Counter[str], path: Path) -> LogRow:
    outcome, score, reason = _judged(result, wanted, path)
    response, case = result.get("response"), result.get("testCase")
    prompt = result["prompt"]
    asked = prompt.get("raw", prompt) if isinstance(prompt, dict) else prompt
    held_against = case.get("assert") if isinstance(case, dict) else None
    id = _id(result)
    seen[id] += 1
    return LogRow(
        id=id,
        task=TASK,
        dimension=_dimension(result),
        prompt=digest([asked, held_against]),
        verdict=Verdict(wanted, outcome, _grader(result, version), score=score, reason=reason),
        # Without an index the same question may have been asked again.
        sample=seen[id] - 1 if "testIdx" not in result else 0,
        answer=content_digest(response.get("output") if isinstance(response, dict) else response),
    )


def _judged(result: Mapping[str, Any], wanted: str, path: Path) -> tuple[Outcome, float | None, str]:
    grading, error = result.get("gradingResult"), result.get("error")
    response = result.get("response")
    if isinstance(response, dict) and not error:
        error = response.get("error")
    if result.get("failureReason") == _FAILED or (error and not isinstance(grading, dict)):
        return Outcome.error, None, first_line(error or "promptfoo says that it failed")
    graded = grading if isinstance(grading, dict) else {}
    if _grader_failed(graded):
        return Outcome.error, None, first_line(f"the grader failed: {graded.get('reason', '')}")
    if graded.get("reason") == _UNCHECKED:
        return Outcome.abstained, None, "no assertion was checked"
    value = result.get(wanted) if wanted in ("success", "score") else _named(result).get(wanted)
    if wanted == "success" and not isinstance(value, bool):
        value = None
    score = as_score(value, what=f"{wanted} of the test {_id(result)}", file=path)
    if score is None:
        return Outcome.abstained, None, f"{wanted} is no number"
    return Outcome.decided, score, ""


def _grader(result: Mapping[str, Any], version: str) -> GraderId:
    """What decided the row: exact where rules alone did."""
    grading, case = result.get("gradingResult"), result.get("testCase")
    parts = grading.get("componentResults") if isinstance(grading, dict) else None
    told = [p.get("assertion") for p in parts or [] if isinstance(p, dict)]
    told = told or (case.get("assert") if isinstance(case, dict) else None) or []
    types = {str(a.get("type")).removeprefix("not-") for a in told if isinstance(a, dict)}
    judges = sorted(types - _RULES)
    return GraderId(
        f"promptfoo/{'+'.join(judges) or 'assertions'}", version, exact=bool(types) and not judges
    )


def _grader_failed(graded: Mapping[str, Any]) -> bool:
    """Whether a judge gave no verdict: promptfoo marks the component and counts it as failed."""
    parts = [graded, *(graded.get("componentResults") or [])]
    return any(isinstance(p, dict) and (p.get("metadata") or {}).get("graderError") is True for p in parts)


def _id(result: Mapping[str, Any]) -> str:
    """The place in the test matrix; results of early versions have none, and are known by their variables."""
    if "testIdx" not in result:
        return digest([result.get("vars"), result["prompt"]])[:16]
    prompt = result.get("promptIdx", 0)
    return f"{result['testIdx']}" + (f"/{prompt}" if prompt else "")


def _dimension(result: Mapping[str, Any]) -> str:
    case = result.get("testCase")
    for told in (result.get("metadata"), case.get("metadata") if isinstance(case, dict) else None):
        for name in ("dimension", "pluginId"):
            if isinstance(told, dict) and isinstance(told.get(name), str):
                return str(told[name])
    return TASK


def _named(result: Mapping[str, Any]) -> Mapping[str, Any]:
    named = result.get("namedScores")
    return named if isinstance(named, dict) else {}


def _provider(result: Mapping[str, Any]) -> str:
    provider = result["provider"]
    return str(provider.get("id")) if isinstance(provider, dict) else str(provider)
