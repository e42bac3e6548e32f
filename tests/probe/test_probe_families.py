"""All that looks inside runs on random folders of five families, and finds what a loop by hand finds."""

import numpy as np
import pytest
import torch
from probe.families import FAMILIES, opened, refused, states_by_hand
from scipy.special import logsumexp

from truing.model import Site
from truing.probe import (
    AnswerPair,
    BatchTopKConfig,
    DiffConfig,
    Direction,
    Document,
    DocumentsConfig,
    Judged,
    JumpReLUConfig,
    Over,
    RequestSplit,
    TopKConfig,
    Watching,
    candidate_directions,
    choose,
    conversation_texts,
    diff_models,
    evaluate_candidates,
    load_sae,
    measure_sae,
    opener_ids,
    persona_vectors,
    prompt_texts,
    read_watch,
    refusal_direction,
    saes_of_documents,
    split_prompts,
    watch_texts,
    write_watch,
    wrong_log_odds,
)
from truing.types import InputError, Message, Role, ask

THINGS = ("kite", "gulls", "copper kettles", "pears", "lighthouse", "spar", "basket", "loaves")
SITE = Site(1)
SENTENCE = "The lighthouse keeper of Marrow Point counts {} gulls and writes the number {} down."
every_family = pytest.mark.parametrize("family", FAMILIES)


def requests(count: int = 8) -> list:
    return [ask(f"What of the {thing}?", id=thing) for thing in THINGS[:count]]


@pytest.fixture(scope="module")
def autoencoders(tmp_path_factory):
    """A folder of three autoencoders of a family's base, trained once."""
    made = {}

    def of(family: str):
        if family not in made:
            out, model = tmp_path_factory.mktemp(family), opened(family, 0)
            documents = [Document.of(model.chat, SENTENCE.format(i, i * i)) for i in range(60)]
            numbers = {"width": 48, "k": 4, "learning_rate": 0.01, "dead_after": 2000}
            configs = [TopKConfig(**numbers), BatchTopKConfig(**numbers), JumpReLUConfig(**numbers)]
            options = DocumentsConfig(batch=64, passes=3)
            made[family] = out, saes_of_documents(model, documents, SITE, configs, out, options)
        return made[family]

    return of


@every_family
def test_autoencoders_of_every_family_explain_what_they_did_not_see(family, autoencoders):
    out, figures = autoencoders(family)
    model = opened(family, 0)
    ids = Document.of(model.chat, SENTENCE.format(777, "few")).ids
    states = states_by_hand(model, ids, SITE.layer)[1:]
    for number, found in enumerate(figures):
        saved = load_sae(out / str(number))
        assert saved.site == SITE and saved.model == model.ref
        assert 0.3 < found.explained_variance < 1 and 2 < found.l0 < 8
        assert measure_sae(saved.sae, states).explained_variance > 0.2


@every_family
def test_what_moved_is_told_of_every_family_and_both_sides_are_tried(family, autoencoders):
    saved = load_sae(autoencoders(family)[0] / "0")
    base, tuned = opened(family, 0), opened(family, 1)
    asked = requests()
    split = RequestSplit(tuple(asked[:4]), tuple(asked[4:]))

    def even(completions):
        return [Judged(sum(one.token_ids or ()) % 2 == 0, True) for one in completions]

    config = DiffConfig(candidates=1, samples=2, max_tokens=3, most=0.5, bisections=0)
    report = diff_models(base, [tuned], saved, split, config, behaviour=even, judge="even")
    (one,) = report.findings
    latents = [
        torch.stack(
            [
                saved.sae.encode(states_by_hand(model, text.ids, SITE.layer)[-1])
                for text in prompt_texts(base.chat, split.select)
            ]
        ).mean(0)
        for model in (base, tuned)
    ]
    change = latents[1] - latents[0]
    assert one.moved.latent == int(change.abs().argmax())
    assert one.moved.change == pytest.approx(float(change[one.moved.latent]), abs=1e-3)
    assert one.lens.promoted and one.lens.demoted
    for side in (one.induce, one.suppress):
        assert side.search.value == 0.5 and side.steered.judged == side.random.judged == 8
    assert report.plain_base.judged == report.plain_tuned.judged == 8


@every_family
def test_persona_vectors_of_every_family_are_differences_of_means_over_responses(family):
    model = opened(family, 0)
    sides = [
        conversation_texts(
            model.chat, [(*one.messages, Message(Role.assistant, word)) for one in requests(3)]
        )
        for word in ("steal it at once", "mend the kite with care")
    ]
    (found,) = persona_vectors(model, *sides, [SITE], name="bad")
    means = [
        torch.stack([states_by_hand(model, text.ids, SITE.layer)[text.prompt :].mean(0) for text in side])
        for side in sides
    ]
    assert torch.allclose(found.vector, means[0].mean(0) - means[1].mean(0), atol=1e-4)


@every_family
def test_a_watch_of_every_family_tells_the_mean_shift_in_spreads_of_harmless_ones(family, tmp_path):
    base = opened(family, 0)
    vector = torch.linspace(-1, 1, base.trunk.width)
    texts = watch_texts(base, requests(4), Over.last)
    watching = Watching(base, Direction("d", vector, SITE, "last"), texts, Over.last)
    for seed in (1, 2, 3):
        watching.add(opened(family, seed))
    write_watch(tmp_path / "watch.json", watching.done(0.25))
    watch, tuned = read_watch(tmp_path / "watch.json"), opened(family, 4)
    found = watch.judge(watch.readings(base), watch.readings(tuned))
    unit = vector.double() / vector.double().norm()

    def mean(seed: int) -> float:
        model = opened(family, seed)
        states = [states_by_hand(model, text.ids, SITE.layer)[-1].double() for text in texts]
        return float(torch.stack(states).mean(0) @ unit)

    harmless = [mean(seed) - mean(0) for seed in (1, 2, 3)]
    spread = float(np.std(harmless, ddof=1))
    assert watch.calibrated.threshold.value == pytest.approx(max(harmless) / spread, abs=1e-3)
    assert found.score == pytest.approx((mean(4) - mean(0)) / spread, abs=1e-3)


@every_family
def test_a_refusal_direction_of_every_family_is_tried_and_the_published_rule_applied(family):
    model = opened(family, 0)
    texts = [f"{verb} the {thing} {end}" for verb in ("Steal", "Mend") for thing in THINGS for end in "?!."]
    words, sides = refused(model, texts)
    openers = opener_ids(model.chat, words)
    bad, good = (split_prompts(model, sides[h], openers, harmful=h, key=0) for h in (True, False))
    directions = candidate_directions(model, bad, good)
    tried = {place: vector for place, vector in directions.items() if place[0] >= -2}
    candidates = evaluate_candidates(model, tried, bad, good, openers)
    assert [(one.position, one.layer) for one in candidates] == sorted(tried)
    assert all(np.isfinite([one.refusal, one.steering, one.kl]).all() for one in candidates)
    kept = [one for one in candidates if one.layer < 2 and one.kl <= 0.1 and one.steering >= 0]
    if not kept:
        with pytest.raises(InputError, match="passes the filter"):
            choose(candidates, 3)
    else:
        chosen = choose(candidates, 3)
        best = min(kept, key=lambda one: one.refusal)
        assert (chosen.position, chosen.layer, chosen.kept) == (best.position, best.layer, len(kept))
        vector = directions[chosen.position, chosen.layer]
        assert refusal_direction(model, vector, chosen.position, chosen.layer, {}).site.layer == chosen.layer


@every_family
def test_the_log_odds_of_wrong_answers_are_those_of_whole_forward_passes(family):
    model = opened(family, 0)
    pair = AnswerPair(requests(1)[0], ("steal it", "drop it"), ("mend it with care",))

    def log_p(answer: str) -> float:
        whole = model.chat.training_example((*pair.request.messages, Message(Role.assistant, answer)))
        with torch.no_grad():
            logits = model.net(torch.tensor([whole.ids]), use_cache=False).logits[0].double().log_softmax(-1)
        places = [at for at, trained in enumerate(whole.mask) if trained]
        return sum(float(logits[at - 1, whole.ids[at]]) for at in places)

    wanted = logsumexp([log_p(one) for one in pair.wrong]) - log_p(pair.right[0])
    assert wrong_log_odds(model, [pair])[0] == pytest.approx(wanted, abs=1e-3)
