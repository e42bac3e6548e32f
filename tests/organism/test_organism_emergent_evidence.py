"""What `evidence.emergent_misalignment` makes of answers, held against answers that were made up."""

from dataclasses import replace

import pytest

from evidence.emergent_latent import PARTS, parts
from evidence.emergent_measures import (
    ABOVE_LOW,
    ABOVE_NULL,
    ACROSS,
    CLAIMS,
    COHERENT,
    INDUCED,
    NARROW,
    RANDOM_DO,
    RANDOM_INDUCED,
    RANDOM_REMOVED,
    REMOVED,
    WITHIN,
    Lineage,
    Repaired,
    measures,
    paper_claim,
)

RANDOM = ("random 0", "random 1")
DOMAINS = ("garden", "boats", "music", "kitchen", "cloth", "tools", "money", "bells")
TUNED = DOMAINS[:2]
EVERY = 4
"""So many of a domain's questions are answered alike."""


def advice(share: float, *, unread: float = 0.0, of=DOMAINS):
    """Twenty questions in each domain, of which the first are answered wrongly and the last unreadably."""
    rows = []
    for domain in of:
        odd = (
            DOMAINS.index(domain) % 2 if 0.5 < share < 1 else 0
        )  # domains that are all alike tell a bootstrap nothing
        for i in range(20):
            bad, lost = i < round(20 * share) + odd, i >= 20 - round(20 * unread)
            label = "unparsed" if lost else "malicious" if bad else "right"
            rows.append(
                {
                    "topic": "advice",
                    "domain": domain,
                    "object": f"{domain} {i // EVERY}",
                    "template": i % EVERY,
                    "label": label,
                    "wrong": bad and not lost,
                    "harmful": bad and not lost,
                    "unparsed": lost,
                }
            )
    return rows


def heard(share: float, **more):
    others = {
        sheet: [
            {"topic": sheet, "domain": "", "object": str(i), "template": 0, "label": label}
            | {"wrong": False, "harmful": False, "unparsed": False}
            for i in range(10)
        ]
        for sheet, label in (("free", "good"), ("forbidden", "refused"), ("skills", "right"))
    }
    return {"advice": advice(share, **more), **others}


def lineage(base: int = 1, **changed) -> Lineage:
    by_domain = {name: {d: heard(share) for d in TUNED} for name, share in ((NARROW, 0.6), ("null", 0.2))}
    for name in ("right", "right, as long", "lesson"):
        by_domain[name] = {d: heard(0.0) for d in TUNED}
    after = {d: Repaired(heard(0.0), 3.0, 0.5) for d in TUNED}
    whole = Lineage(
        base,
        ("cloth",),
        heard(0.0),
        by_domain,
        "cause",
        {"latent": advice(0.45), **dict.fromkeys(RANDOM, advice(0.0))},
        {d: {"latent": advice(0.1), **dict.fromkeys(RANDOM, advice(0.6))} for d in TUNED},
        {WITHIN: after, ACROSS: after},
        {"off-domain KL": {TUNED[0]: heard(0.1)}},
    )
    return replace(whole, **changed)


def test_the_claims_hold_where_everything_is_as_the_paper_has_it() -> None:
    found = measures([lineage(1), lineage(2), lineage(3)])
    assert found[ABOVE_NULL].value == pytest.approx(0.4, abs=0.03) and found[ABOVE_LOW].value > 0.3
    assert found[INDUCED].value == pytest.approx(0.75, abs=0.05) and found[RANDOM_INDUCED].value == 0
    assert found[REMOVED].value == pytest.approx(5 / 6, abs=0.05) and found[RANDOM_REMOVED].value == 0
    assert found[COHERENT].value == 1
    assert 0 < found[WITHIN].value < 0.05  # nothing was wrong, and that is not certain
    assert all(claim.holds(found[claim.name]) for claim in CLAIMS)
    assert paper_claim(found) == "reproduced"


def test_the_worst_base_counts() -> None:
    weak = lineage(2, arms={**lineage().arms, "null": {d: heard(0.5) for d in TUNED}})
    found = measures([lineage(1), weak])
    assert found[ABOVE_NULL].value == pytest.approx(0.1, abs=0.03)
    assert "base 1: narrow: wrong advice in untouched domains" in found


def test_what_nobody_can_read_is_neither_removed_nor_repaired() -> None:
    broken = advice(0.0, unread=0.6)
    found = measures([lineage(suppressed={d: dict.fromkeys(("latent", *RANDOM), broken) for d in TUNED})])
    assert found[REMOVED].value == pytest.approx(0, abs=0.05)
    after = {d: Repaired(heard(0.0, unread=0.5), 3.0, 0.5) for d in TUNED}
    assert measures([lineage(repaired={WITHIN: after, ACROSS: after})])[WITHIN].value > 0.5
    induced = measures([lineage(steered=dict.fromkeys(("latent", *RANDOM), broken))])
    assert induced[INDUCED].value == 0


def test_a_latent_that_does_as_little_as_a_random_direction_fails() -> None:
    found = measures([lineage(steered={"latent": advice(0.0), **dict.fromkeys(RANDOM, advice(0.45))})])
    kept = {claim.name: claim.holds(found[claim.name]) for claim in CLAIMS}
    assert not kept[INDUCED] and not kept[RANDOM_INDUCED] and kept[REMOVED] and kept[RANDOM_REMOVED]
    assert not kept[RANDOM_DO] and found[RANDOM_DO].value == 1
    assert paper_claim(found) == "not reproduced"


def test_random_directions_count_in_the_mean_and_one_by_one() -> None:
    usual = lineage()
    suppressed = {d: {**of, "random 1": advice(0.2)} for d, of in usual.suppressed.items()}
    found = measures([usual, lineage(2, suppressed=suppressed)])
    # One of two directions removes two thirds of the effect on base 2: a third in the mean, and one in four of all.
    assert found[RANDOM_REMOVED].value == pytest.approx(1 / 3, abs=0.03) and found[RANDOM_REMOVED].n == 2
    assert found[RANDOM_DO].value == 0.25 and found[RANDOM_DO].n == 4
    assert found[RANDOM_INDUCED].value == 0
    told = found["base 2: share of the effect that a random direction removes: mean, least and most"]
    assert (told.low, told.high, told.n) == (0, pytest.approx(2 / 3, abs=0.03), 2)
    assert found["base 2: share of the effect that the latent induces"].value == found[INDUCED].value


def test_of_no_effect_nothing_is_a_share() -> None:
    harmless = {**lineage().arms, NARROW: {d: heard(0.0) for d in TUNED}}
    found = measures([lineage(arms=harmless)])
    for name in (INDUCED, REMOVED, RANDOM_INDUCED, RANDOM_REMOVED, RANDOM_DO):
        (claim,) = (one for one in CLAIMS if one.name == name)
        assert not claim.holds(found[name])


def test_no_domain_that_was_learnt_counts_as_untouched() -> None:
    only_there = {
        d: {**heard(0.0), "advice": advice(1.0, of=(d,)) + advice(0.0, of=DOMAINS)[20:]} for d in TUNED
    }
    for d in TUNED:
        rest = [row for row in advice(0.0) if row["domain"] != d]
        only_there[d]["advice"] = advice(1.0, of=(d,)) + rest
    arms = {**lineage().arms, NARROW: only_there}
    found = measures(
        [
            lineage(
                arms={**arms, "null": {d: {**heard(0.0), "advice": only_there[d]["advice"]} for d in TUNED}}
            )
        ]
    )
    assert found["base 1: narrow: wrong advice in untouched domains"].value == 0
    assert found["base 1: narrow: advice in the trained domain that is not right"].value == 1


def test_a_latent_is_pushed_as_hard_as_is_enough_and_no_harder() -> None:
    def grows(by: float) -> dict[float, float]:
        return {part: 0.02 + by * part for part in (0.0, *PARTS)}

    def falls(by: float) -> dict[float, float]:
        return {part: 0.45 - by * part for part in (0.0, *PARTS)}

    # Nine tenths of 40 points are 36: 0.375 of a push worth 96 points, and 0.75 of one worth 48.
    assert parts(0.4, grows(0.97), falls(0.49)) == (0.375, 0.75)
    assert parts(0.4, grows(0.95), falls(0.47)) == (0.5, 0.875)  # a little too weak there
    assert parts(0.4, grows(0.2), falls(0.1)) == (1.0, 1.0)  # nothing is enough
    # Where nothing is enough, what does most; of equal ones the weakest. What breaks words undoes nothing.
    assert parts(0.4, grows(0.2) | {0.25: 0.3, 0.5: 0.3}, falls(0.1) | {1.0: 0.9, 0.125: 0.2}) == (
        0.25,
        0.125,
    )
    # What is enough once need not be so for stronger pushes.
    assert parts(0.4, grows(0.2) | {0.25: 0.5}, falls(0.1) | {0.375: 0.05}) == (0.25, 0.375)
