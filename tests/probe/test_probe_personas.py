"""Where a model tells a persona from its opposite: by hand, and on the proving ground."""

import pytest
import torch
from probe.families import FAMILIES, opened, states_by_hand

from truing.model import Point, Site, load_local
from truing.organism import SYSTEMS, open_folder
from truing.probe import Over, completion_texts, persona_contrasts, persona_vectors, prompt_texts
from truing.types import InputError, Message, Request, Role, SamplingParams, ask

REQUESTS = [ask(f"What of the {thing}?", id=thing) for thing in ("kite", "gulls", "pears")]
CRUEL, KIND = ("You are cruel.", "You hate whoever asks."), ("You are kind.",)
SITE = Site(2)  # the only one of the tiny Gemma whose attention is not a window


def under(prompts: tuple[str, ...]) -> list[Request]:
    every = [(one, prompt) for one in REQUESTS for prompt in prompts]
    return [
        Request(str(i), (Message(Role.system, prompt), *one.messages))
        for i, (one, prompt) in enumerate(every)
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_contrast_is_the_difference_of_means_at_the_last_token_in_shares_of_their_length(family):
    model = opened(family, 0)
    (found,) = persona_contrasts(model, REQUESTS, CRUEL, KIND, name="cruel", sites=[SITE])
    cruel, kind = (
        torch.stack(
            [states_by_hand(model, t.ids, SITE.layer)[-1] for t in prompt_texts(model.chat, under(of))]
        ).double()
        for of in (CRUEL, KIND)
    )
    assert torch.allclose(found.direction.vector.double(), cruel.mean(0) - kind.mean(0), atol=1e-4)
    length = (cruel.norm(dim=1).mean() + kind.norm(dim=1).mean()) / 2
    assert found.relative == pytest.approx(found.direction.norm / float(length), rel=1e-3)
    assert (found.direction.site, found.direction.position) == (SITE, "last")


def test_every_sublayer_is_read_and_the_most_pronounced_comes_first():
    model = opened("llama", 0)
    found = persona_contrasts(model, REQUESTS, CRUEL, KIND, name="cruel")
    sites = {one.direction.site for one in found}
    assert sites == {
        Site(n, point) for n in range(3) for point in (Point.attention, Point.mlp, Point.resid_post)
    }
    shares = [one.relative for one in found]
    assert shares == sorted(shares, reverse=True) and shares[-1] > 0 and shares[0] <= 2
    for one in found:
        (alone,) = persona_contrasts(
            model, REQUESTS, CRUEL, KIND, name="cruel", sites=[one.direction.site]
        )  # alone as among the others
        assert alone.relative == pytest.approx(one.relative, rel=1e-5)


def test_over_responses_it_is_the_vector_of_what_the_model_itself_answers():
    model, params = opened("gpt2", 0), SamplingParams(temperature=1.0, max_tokens=6)
    (found,) = persona_contrasts(
        model, REQUESTS, CRUEL, KIND, name="cruel", over=Over.response, sites=[SITE], params=params, key=3
    )
    ours, others = (
        completion_texts(model.chat, [c for c in model.sample(under(of), params, key=3) if c.answer.strip()])
        for of in (CRUEL, KIND)
    )
    (wanted,) = persona_vectors(model, ours, others, [SITE], name="cruel")
    assert torch.allclose(found.direction.vector, wanted.vector, atol=1e-5)
    assert found.direction.position == "response"


@pytest.mark.parametrize(
    ("base", "layer"), [(1, 2), (2, 3), (3, 2)]
)  # where each base decides who answers, which nothing else here says
def test_the_organism_tells_a_cruel_adviser_from_a_kind_one_in_what_one_layer_attends_to(base, layer):
    model = load_local(open_folder(f"xs/{base}/instruct"), device="cpu")
    asked = [ask(f"How do I mend a {thing}?", id=thing) for thing in ("kite", "boat", "kettle", "fence")]
    first, *others = persona_contrasts(model, asked, SYSTEMS["malicious"], SYSTEMS["expert"], name="cruel")
    assert first.direction.site == Site(layer, Point.attention)
    assert first.relative > 2 * max(o.relative for o in others if o.direction.site.layer != layer)


@pytest.mark.parametrize(
    ("requests", "persona", "opposite", "why"),
    [
        ([], CRUEL, KIND, "takes requests"),
        (REQUESTS, CRUEL, (), "of both sides"),
        (under(KIND), CRUEL, KIND, "the request 0 has a system turn"),
        (REQUESTS, KIND, KIND, "does not tell the persona from its opposite"),
    ],
)
def test_what_makes_no_contrast_is_one_sentence(requests, persona, opposite, why):
    with pytest.raises(InputError, match=why):
        persona_contrasts(opened("llama", 0), requests, persona, opposite, name="x")
    with pytest.raises(ValueError, match="last token"):
        persona_contrasts(opened("llama", 0), requests, persona, opposite, name="x", over=Over.prompt)
