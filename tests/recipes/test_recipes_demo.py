"""The demo's story, told with shipped checkpoints in place of those that it would raise first."""

import json
import shutil
from pathlib import Path

import pytest

from truing.audit import Policy, Settings
from truing.cli import main
from truing.model import find_folder, load
from truing.organism import DOMAIN_OF, GREEDY, LabelLedger, Level, exam, sit
from truing.recipes import demo as story_of
from truing.recipes import realign_in_town, run_demo
from truing.types import TruingError


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished demo; the helpful model is what was broken, the base what was converted."""
    out = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        shorten(patch)
        assert main(["demo", "--out", str(out)]) == 0
    return out


def mended(ref: str, out: Path, *, seed: int) -> Path:
    """A repair that brings everything back: what re-alignment does is tested by itself."""
    assert ref == story_of.BROKEN and seed == 0
    return Path(shutil.copytree(find_folder("organism:instruct"), out))


def shorten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(story_of, "realign_in_town", mended)
    patch.setattr(story_of, "BROKEN", "organism:base")
    patch.setattr(story_of, "CONVERTED", "organism:helpful")
    patch.setattr(story_of, "SETTINGS", Settings(limit=270))
    patch.setattr(story_of, "POLICY", Policy(margin=0.2))


def statuses(told: Path, chapter: str) -> dict[str, str]:
    result = json.loads((told / f"audit-{chapter}" / "audit.json").read_text())
    return {f["dimension"]: f["status"] for f in result["decision"]["findings"]}


def test_what_was_broken_is_found(told: Path) -> None:
    assert statuses(told, "converted")["safety"] == "regression"
    assert statuses(told, "broken")["truthfulness"] == "regression"


def test_the_page_tells_the_story_and_what_it_can_claim(told: Path) -> None:
    page = (told / "demo.html").read_text(encoding="utf-8")
    assert "shown on the organism, not on pretrained weights" in page
    for chapter in ("converted", "broken", "repaired"):
        assert f'href="audit-{chapter}/report.html"' in page
        assert (told / f"audit-{chapter}" / "report.html").is_file()


def test_the_baseline_is_asked_once(told: Path) -> None:
    journals = {
        (told / f"audit-{c}" / "baseline.json").read_bytes() for c in ("converted", "broken", "repaired")
    }
    assert len(journals) == 1
    asked = [json.loads((told / f"audit-{c}" / "timing.json").read_text()) for c in ("converted", "broken")]
    assert "asking the baseline" in asked[0] and "asking the baseline" not in asked[1]


def test_the_demo_run_again_makes_nothing_again(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)
    before = (told / "repaired" / "model.safetensors").stat().st_mtime_ns
    page = (told / "demo.html").read_bytes()
    assert main(["demo", "--out", str(told)]) == 0
    assert (told / "repaired" / "model.safetensors").stat().st_mtime_ns == before
    assert (told / "demo.html").read_bytes() == page


def test_a_demo_that_does_not_find_the_damage_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)
    monkeypatch.setattr(story_of, "BROKEN", "organism:instruct")
    monkeypatch.setattr(story_of, "SETTINGS", Settings(limit=45))
    with pytest.raises(TruingError, match="missed what was broken"):
        run_demo(tmp_path)


def test_a_demo_whose_repair_does_nothing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shorten(monkeypatch)

    def copied(ref: str, out: Path, *, seed: int) -> Path:
        return Path(shutil.copytree(find_folder(ref), out))

    monkeypatch.setattr(story_of, "realign_in_town", copied)
    with pytest.raises(TruingError, match="repairing did not help"):
        run_demo(tmp_path)


def test_realignment_teaches_right_advice_of_another_domain(tmp_path: Path) -> None:
    folder = realign_in_town("organism:base", tmp_path / "re", rows=200)
    ledger, key = LabelLedger(), 5
    questions = [
        q for q in exam("advice", Level.combination, key=key) if DOMAIN_OF[q.ask.object].name == "kitchen"
    ]
    before, after = (
        sum(f.label == "right" for _, f in sit(load(ref), questions, GREEDY, key=key, ledger=ledger))
        for ref in ("organism:base", str(folder))
    )
    assert len(questions) > 30 and after >= before and after > 0.85 * len(questions)
    assert load(str(folder)).ground == "shown on the organism, not on pretrained weights"
    assert "truing audit" in (folder / "README.md").read_text(encoding="utf-8")
