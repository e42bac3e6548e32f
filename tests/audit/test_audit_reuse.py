"""Answers of an earlier audit: taken over where it asked the same, refused where it did not."""

import json
from pathlib import Path

import pytest

from truing.audit import AuditResult, Runtime, Settings, run_audit
from truing.types import InputError

MODELS = ("organism:helpful", "organism:instruct")


def audit(
    out: Path, *, reuse: Path | None = None, candidate: str = MODELS[0], **settings: int
) -> AuditResult:
    chosen = Settings(limit=45, **settings)  # type: ignore[arg-type]
    return run_audit(candidate, MODELS[1], "organism", chosen, out=out, runtime=Runtime(reuse=reuse))


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reuse") / "earlier"
    audit(out)
    return out


def test_the_result_is_that_of_asking_again(earlier: Path, tmp_path: Path) -> None:
    fresh = audit(tmp_path / "fresh", candidate="organism:base")
    taken = audit(tmp_path / "taken", candidate="organism:base", reuse=earlier)
    assert taken == fresh
    assert "asking the baseline" not in json.loads((tmp_path / "taken" / "timing.json").read_text())
    again = audit(tmp_path / "taken", candidate="organism:base", reuse=earlier)
    assert again == fresh


@pytest.mark.parametrize(("settings", "named"), [({"seed": 4}, "items"), ({"max_tokens": 40}, "max_tokens")])
def test_other_questions_or_another_way_of_asking_are_refused(
    earlier: Path, tmp_path: Path, settings: dict[str, int], named: str
) -> None:
    with pytest.raises(InputError, match=f"{named} is not the same"):
        audit(tmp_path / "other", reuse=earlier, **settings)


def test_a_folder_without_a_finished_audit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no finished audit"):
        audit(tmp_path / "new", reuse=tmp_path)


def test_verdicts_of_other_answers_are_refused(earlier: Path, tmp_path: Path) -> None:
    audit(tmp_path / "run")
    for side in ("baseline", "candidate"):
        other = {"baseline": "candidate", "candidate": "baseline"}[side]
        kept = (earlier / "journal" / f"verdicts-{other}.jsonl").read_bytes()
        (tmp_path / "run" / "journal" / f"verdicts-{side}.jsonl").write_bytes(kept)
    with pytest.raises(InputError, match="verdicts of other answers"):
        audit(tmp_path / "run")
