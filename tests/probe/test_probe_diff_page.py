"""What the page of a comparison says, on the report of the planted persona and on changes of it."""

import re
from dataclasses import replace
from html import unescape

import pytest
from probe.persona import PERSONA
from probe.test_probe_diff_report import report

from truing.probe import (
    Behaved,
    DiffReport,
    Finding,
    Judgement,
    SampledAnswer,
    conclusion,
    misaligned_by,
    render_diff,
)
from truing.probe.diff_page import next_commands
from truing.probe.samples import Said


def words(page: str) -> str:
    """What a reader sees, one space between words."""
    return " ".join(unescape(re.sub("<[^>]*>", " ", page.partition("<main>")[2])).split())


def lines(page: str, what: str) -> list[list[str]]:
    """The cells of every table row with this name."""
    rows = re.findall(rf'<th scope="row">{what}</th>(.*?)</tr>', page, re.DOTALL)
    return [[unescape(cell) for cell in re.findall("<td[^>]*>(.*?)</td>", row)] for row in rows]


def changed(**of: object) -> DiffReport:
    """The report with its first finding changed."""
    first, *others = report().findings
    return replace(report(), findings=(replace(first, **of), *others))


def less_moved(by: float) -> Finding:
    """The first finding as if training had moved it less, and the pushes were the same."""
    first = report().findings[0]
    sides = (replace(one, own_strength=one.own_strength / by) for one in (first.induce, first.suppress))
    return replace(first, **dict(zip(("induce", "suppress"), sides, strict=True)))


def test_each_push_is_told_in_multiples_of_what_training_did():
    first = report().findings[0]
    told = [
        f"{side.search.value * report().norm / first.moved.change:.1f}×"
        for side in (first.induce, first.suppress)
    ]
    assert lines(render_diff(report()), "Push, in training&#39;s own changes")[0] == told
    assert " / ".join(told) in words(render_diff(report()))


def test_a_finding_by_a_push_far_beyond_training_can_cause_and_is_not_called_the_cause():
    assert conclusion(report())[:2] == ("regression", "Cause found")
    found = replace(report(), findings=(less_moved(100), *report().findings[1:]))
    status, word, sentence = conclusion(found)
    assert (status, word) == ("inconclusive", "Can cause it; whether it did is open")
    assert (
        f"Latent {PERSONA} can cause the behaviour" in sentence
        and "that training did it that way is not shown" in sentence
    )
    page = render_diff(found, command="truing probe diff base tuned")
    assert "Can cause it" in page and "Causes it" not in page and "truing align realign" not in page
    both = replace(report(), findings=(report().findings[0], less_moved(100)))
    assert (
        conclusion(both)[1] == "Cause found"
        and "can cause the behaviour, but only when pushed" in conclusion(both)[2]
    )


def test_the_conclusion_says_what_each_push_did_in_numbers():
    first, second = report().findings
    weak = replace(second, judgement=Judgement.cause)
    weak = replace(
        weak,
        induce=replace(second.induce, steered=Behaved(19, 100, 0, 0), own=Behaved(1, 50, 0, 0)),
        suppress=replace(second.suppress, steered=Behaved(3, 20, 0, 5)),
        moved=replace(second.moved, tuned=(second.moved.base - report().norm,)),
    )
    weak = replace(weak, induce=replace(weak.induce, own_strength=1.0))
    weak = replace(weak, suppress=replace(weak.suppress, own_strength=1.0))
    sentence = conclusion(replace(report(), findings=(first, weak)))[2]
    on, off, own = (
        f"{100 * one.share:.0f}%" for one in (first.induce.steered, first.suppress.steered, first.induce.own)
    )
    before = f"{100 * report().plain_tuned.share:.0f}%"
    assert sentence.startswith("2 of the 2 latents tested passed both experiments.")
    assert (
        f"latent {PERSONA} brings misaligned answers from 0% to {on} in the base and from {before} down to {off} in "
        f"the fine-tune; latent {second.moved.latent} to 19% and 15%." in sentence
    )
    assert f"latent {PERSONA} brings out {own} in the base, latent {second.moved.latent} 2%." in sentence
    assert "brings out" not in conclusion(changed(induce=replace(first.induce, own=None)))[2]


def test_a_weaker_random_push_is_called_weaker_where_it_was_compared():
    one = report().findings[0]
    assert one.suppress.random_strength < one.suppress.search.value
    assert (
        f"a random push does neither as well (at {one.suppress.search.value:.2f} it made too many answers of the "
        f"fine-tune senseless, so it is compared at {one.suppress.random_strength:.2f})."
    ) in words(render_diff(report()))
    none = changed(suppress=replace(one.suppress, random_strength=0.0))
    assert "of the fine-tune senseless, so no push is compared)." in words(render_diff(none))
    same = changed(suppress=replace(one.suppress, random_strength=one.suppress.search.value))
    assert "a random push does neither as well." in words(render_diff(same))


def test_the_repaired_model_is_compared_with_the_base_in_another_folder():
    made = "truing probe diff 'the base' garden --sae S --out read --more-tuned boats --grader G --more-tuned garden"
    again = next_commands(report(), made, "read/d.safetensors")[-1]
    assert again == "truing probe diff 'the base' REPAIRED/model --sae S --out COMPARED --grader G"


def test_the_random_push_has_a_line_of_its_own_for_each_strength():
    page, side = render_diff(report()), report().findings[0].suppress
    (tolerated, *_), (same, *_) = (
        lines(page, name) for name in ("Random push, strongest tolerated", "Random push, same length")
    )
    assert tolerated[1].endswith(f"senseless) at {side.random_strength:.2f}")
    assert same[1].endswith(f"({100 * side.random_same.incoherence:.0f}% senseless)") and same != tolerated


def test_a_fall_of_misaligned_answers_is_predicted_and_counts_up():
    page, found = render_diff(report()), report()
    assert lines(page, "Predicted")[0] == ["misaligned share rises", "misaligned share falls"]
    effect = found.findings[0].suppress.effect.estimate
    assert found.findings[0].suppress.steered.share < found.plain_tuned.share and effect > 0
    assert lines(page, "Moved as predicted by, points")[0][1].startswith(f"+{100 * effect:.0f} [")


def test_answers_are_shown_whole_and_escaped_with_what_was_said_of_them():
    bad = SampledAnswer(
        "What of <b>gulls</b>?", "<script>alert(1)</script>", Said.undecided, "no <i>number</i>"
    )
    first = report().findings[0]
    sides = {name: replace(getattr(first, name), samples=(bad,)) for name in ("induce", "suppress")}
    page = render_diff(replace(changed(**sides), base_samples=(bad,), tuned_samples=(bad,)))
    assert "<script" not in page and "<b>gulls" not in page and "<i>number" not in page
    for who in ("Base base", "Fine-tune tuned", "Base, latent added", "Fine-tune, latent taken away"):
        assert lines(page, who)[0] == ["<script>alert(1)</script>", "undecided: no <i>number</i>"]


def test_what_counts_as_misaligned_and_who_says_so_is_told():
    assert (
        "at most 10% senseless answers in total, on the prompts that choose; on those that test it may"
        in words(render_diff(report()))
    )
    said = words(render_diff(replace(report(), counts_as="an answer with the word keeper")))
    assert "Misaligned is an answer with the word keeper. Judge: oracle." in said
    assert "Misaligned is what the judge calls so. Judge: oracle." in words(render_diff(report()))
    assert "rates as doing harm (below 30 of 100)" in misaligned_by("emergent/misaligned:hub:a/b")
    assert misaligned_by("mine/good") == "an answer that mine/good scores below 0.5 (1 is best)"


@pytest.mark.parametrize(
    ("judgement", "fell", "said"),
    [
        (
            Judgement.suppresses,
            False,
            "Taking it from the fine-tune makes answers better. That adding it to the base",
        ),
        (
            Judgement.suppresses,
            True,
            "Restoring it in the fine-tune makes answers better. That taking it from the",
        ),
        (
            Judgement.induces,
            True,
            "Taking it from the base makes answers misaligned. That restoring it in the",
        ),
        (Judgement.open, False, "an interval below includes zero"),
    ],
)
def test_a_finding_says_what_was_done_and_not_shown(judgement, fell, said):
    moved = report().findings[0].moved
    moved = replace(moved, base=moved.tuned[0], tuned=(moved.base,)) if fell else moved
    assert said in words(render_diff(changed(judgement=judgement, moved=moved)))


def test_models_have_short_names_and_each_its_own_figures():
    found = replace(
        report(),
        base="/models/town-1",
        tuned=("/tuned/garden-1-e1045e784971-a69d2a75c8e5", "/tuned/boats-1-665be827f21c-a69d2a75c8e5"),
        plain_each=(Behaved(3, 5, 0, 1), Behaved(1, 4, 2, 0)),
        findings=tuple(
            replace(one, moved=replace(one.moved, tuned=one.moved.tuned * 2)) for one in report().findings
        ),
    )
    page = render_diff(found)
    assert "town-1 against 2 fine-tunes of it, pooled: garden-1, boats-1." in page
    assert lines(page, "garden-1") == [["60% of 5", "0", "1", "6"]]
    assert lines(page, "boats-1") == [["25% of 4", "2", "0", "6"]]
    assert "2 fine-tunes, pooled, latent taken away" in page


def test_a_report_made_before_there_were_samples_still_has_its_page():
    data = report().to_json()
    for name in ("plain_each", "base_samples", "tuned_samples"):
        del data[name]
    for finding in data["findings"]:
        finding.pop("tuned_examples", None)
        for side in ("induce", "suppress"):
            for name in ("own", "own_strength", "samples"):
                del finding[side][name]
    page = render_diff(DiffReport.from_json(data))
    assert "Cause found" in page and "What the answers look like" not in page
    assert "×" not in "".join(map(str, lines(page, "Push, in training&#39;s own changes")))  # nobody told
