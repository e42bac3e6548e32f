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
    assert lines(render_diff(report()), "Size of the push, in training&#39;s own changes")[0] == told
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
    assert (
        "Can cause it" in page
        and ">Causes it</span>" not in re.sub("<svg.*?</svg>", "", page)
        and "truing align realign" not in page
    )
    both = replace(report(), findings=(report().findings[0], less_moved(100)))
    assert (
        conclusion(both)[1] == "Cause found"
        and "can cause the behaviour, but only when pushed" in conclusion(both)[2]
    )


def test_the_conclusion_says_what_training_s_own_change_does_and_what_follows():
    first = report().findings[0]
    base, tuned = report().plain_base.share, report().plain_tuned.share
    assert base == 0 and tuned > 0.5
    lots, few = Behaved(9, 10, 0, 0), Behaved(1, 10, 0, 0)
    on, off = first.induce, first.suppress
    for up, down, follows in (
        (lots, few, "So most of the behaviour hangs on that change, which brings it about alone"),
        (lots, lots, "So that change alone brings the behaviour about, which has other ways too"),
        (few, few, "So most of the behaviour hangs on that change, which does not bring it about alone"),
        (few, lots, "At that size it explains less than half of the difference either way"),
    ):
        found = changed(induce=replace(on, own=up), suppress=replace(off, own=down))
        status, word, sentence = conclusion(found)
        assert (status, word) == ("regression", "Cause found")
        far = [f"{side.search.value / side.own_strength:.1f}×" for side in (on, off)]
        assert sentence == (
            f"1 of the 2 latents tested passed both experiments. Pushed {far[0]} as far as training moved it, latent "
            f"{PERSONA} takes the base from 0% to {on.steered.share:.0%} misaligned; pushed back by {far[1]}, it takes "
            f"the fine-tune from {tuned:.0%} to {off.steered.share:.0%}. At training's own size: the base from 0% to "
            f"{up.share:.0%}, the fine-tune from {tuned:.0%} to {down.share:.0%}. {follows}."
        )
    assert "own size" not in conclusion(changed(induce=replace(first.induce, own=None)))[2]


def test_what_pushes_do_stands_side_by_side_with_bars():
    page, found = render_diff(report()), report()
    up, down = found.findings[0].induce, found.findings[0].suppress
    rows = {
        "none": (found.plain_base, found.plain_tuned),
        f"latent {PERSONA}, as far as training moved it": (up.own, down.own),
        f"latent {PERSONA}, as strong as answers stay readable": (up.steered, down.steered),
        "a random direction, as strong as answers stay readable": (up.random, down.random),
    }
    for what, counts in rows.items():
        for cell, one in zip(lines(page, what)[0], counts, strict=True):
            assert cell.startswith(f'<span class="bar">{one.share:.0%}')
            assert f'style="--share: {one.share:.4g}"' in cell
    sizes = [
        cell.partition(" at ")[2].partition("<")[0]
        for cell in lines(page, "a random direction, as strong as answers stay readable")[0]
    ]
    assert sizes == [f"{side.random_strength / side.own_strength:.1f}×" for side in (up, down)]
    # Nothing was tried: there is no table.
    bare = replace(found, findings=tuple(replace(one, induce=None, suppress=None) for one in found.findings))
    assert "Misaligned answers under pushes" not in render_diff(bare)


def test_a_weaker_random_push_is_called_weaker_where_it_was_compared():
    one = report().findings[0]
    assert one.suppress.random_strength < one.suppress.search.value
    assert (
        f"A random push did neither as well (on the fine-tune it had to be weaker, {one.suppress.random_strength:.2f} "
        f"and not {one.suppress.search.value:.2f}: stronger ones made too many answers senseless)."
    ) in words(render_diff(report()))
    none = changed(suppress=replace(one.suppress, random_strength=0.0))
    assert "on the fine-tune no random push was borne, so none is compared" in words(render_diff(none))
    same = changed(suppress=replace(one.suppress, random_strength=one.suppress.search.value))
    assert "A random push did neither as well." in words(render_diff(same))


def test_a_change_that_did_not_repeat_is_told_so():
    first = report().findings[0]
    again = replace(first.again, tuned=(first.again.base + 0.1 * first.moved.change,))
    page = words(render_diff(changed(judgement=Judgement.open, again=again)))
    assert (
        f"Its change of +{first.moved.change:.2f} did not repeat on other prompts (+{again.change:.2f})"
        in page
    )
    assert "did not repeat on other prompts (" not in words(render_diff(changed(judgement=Judgement.open)))


def test_an_open_latent_that_was_pushed_too_far_is_not_promised_more_from_more_prompts():
    first = report().findings[0]
    told = words(render_diff(changed(judgement=Judgement.open)))
    assert "A large one is not ruled out either; more prompts narrow the interval." in told
    moved = less_moved(100)
    told = words(render_diff(changed(judgement=Judgement.open, induce=moved.induce, suppress=moved.suppress)))
    most = max(100 * side.search.value / side.own_strength for side in (first.induce, first.suppress))
    assert (
        f"the push was {most:.0f}× what training changed: with more prompts, too, it could only show" in told
    )


def test_a_toy_model_is_called_one():
    assert "shows that the machinery runs" in words(render_diff(report()))
    shown = words(render_diff(replace(report(), ground="shown on the organism, not on pretrained weights")))
    assert "Shown on the organism, not on pretrained weights. The organism is truing's family of toy" in shown
    real = words(render_diff(replace(report(), ground="")))
    assert "toy models" not in real and f"What this can claim {report().select} prompts chose" in real


def test_the_repaired_model_is_compared_with_the_base_in_another_folder():
    made = "truing probe diff 'the base' garden --sae S --out read --more-tuned boats --grader G --more-tuned garden"
    again = next_commands(report(), made, "read/d.safetensors")[-1]
    assert again == "truing probe diff 'the base' REPAIRED/model --sae S --out COMPARED --grader G"


def test_the_random_push_has_a_line_of_its_own_for_each_strength():
    page, side = render_diff(report()), report().findings[0].suppress
    (tolerated, *_), (same, *_) = (
        lines(page, name)
        for name in ("Misaligned, random push, strongest allowed", "Misaligned, random push of the same size")
    )
    assert tolerated[1].endswith(f"senseless), size {side.random_strength:.2f}")
    assert same[1].endswith(f"({100 * side.random_same.incoherence:.0f}% senseless)") and same != tolerated


def test_a_fall_of_misaligned_answers_is_predicted_and_counts_up():
    page, found = render_diff(report()), report()
    assert lines(page, "Predicted")[0] == ["misaligned share rises", "misaligned share falls"]
    effect = found.findings[0].suppress.effect.estimate
    assert found.findings[0].suppress.steered.share < found.plain_tuned.share and effect > 0
    assert lines(page, "Effect in the predicted direction, points")[0][1].startswith(f"+{100 * effect:.0f} [")


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
    assert "the strongest that left at most 10% of the answers to the first half senseless" in words(
        render_diff(report())
    )
    said = words(render_diff(replace(report(), counts_as="an answer with the word keeper")))
    assert "Misaligned is an answer with the word keeper. Senseless is" in said and "Judge: oracle." in said
    assert "Misaligned is what the judge calls so." in words(render_diff(report()))
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
    assert f"Pushed, latent {PERSONA} takes the base from" in page and "pushed back, it takes" in page
    assert "×" not in "".join(
        map(str, lines(page, "Size of the push, in training&#39;s own changes"))
    )  # nobody told
