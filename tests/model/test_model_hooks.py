"""Reading and changing the residual stream, token for token."""

import pytest
import torch
from model.tiny import FAMILIES
from model.tiny_local import local, make_local, requests

from truing.model.batching import left_padded, packed, right_padded
from truing.model.hooks import Add, Clamp, Point, ProjectOut, Site, Where, _selected
from truing.model.score import completion_logprobs
from truing.types import InputError, SamplingParams, ask

PRE, POST = Point.resid_pre, Point.resid_post
PROMPTS, COMPLETIONS = [[5, 9, 200, 3], [7] * 11], [[11, 12, 13], [30, 31, 32, 33]]
WHOLE = [p + c for p, c in zip(PROMPTS, COMPLETIONS, strict=True)]


def vector(seed: int = 0, width: int = 32) -> torch.Tensor:
    return torch.randn(width, generator=torch.Generator().manual_seed(seed))


def everywhere(sequences) -> list[range]:
    return [range(len(sequence)) for sequence in sequences]


def hooks_left(model) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.trunk.layers)


def logits_by_hand(model, prompt, sequence, edit) -> torch.Tensor:
    """One plain forward pass in which a hook of ours changes the chosen positions."""
    chosen = {
        Where.all: range(len(sequence)),
        Where.prompt: range(len(prompt)),
        Where.last: [len(prompt) - 1],
        Where.generated: range(len(prompt), len(sequence)),
    }[edit.where]

    def change(hidden):
        hidden = hidden.clone()
        hidden[0, list(chosen)] = hidden[0, list(chosen)] + edit.coefficient * edit.vector
        return hidden

    layer = model.trunk.layers[edit.site.layer]
    if edit.site.point is PRE:
        handle = layer.register_forward_pre_hook(lambda _, args: (change(args[0]), *args[1:]))
    else:
        handle = layer.register_forward_hook(
            lambda _, __, out: change(out) if isinstance(out, torch.Tensor) else (change(out[0]), *out[1:])
        )
    with torch.inference_mode():
        logits = model.net(torch.tensor([sequence]), use_cache=False).logits[0]
    handle.remove()
    return logits


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("point", [PRE, POST])
@pytest.mark.parametrize("where", list(Where))
def test_an_added_vector_changes_the_named_positions_and_no_other(family, point, where):
    model, edit = local(family), Add(Site(1, point), vector(), 2.0, where=where)
    with model.steered([edit]):
        found = model.score(PROMPTS, COMPLETIONS)
    for prompt, completion, values in zip(PROMPTS, COMPLETIONS, found, strict=True):
        table = logits_by_hand(model, prompt, prompt + completion, edit)[len(prompt) - 1 : -1].log_softmax(-1)
        wanted = table[range(len(completion)), completion].tolist()
        assert values == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("point", [PRE, POST])
def test_the_change_at_the_site_is_the_vector_itself(point):
    model, site = local("llama"), Site(1, point)
    off = model.capture(WHOLE, [site], everywhere(WHOLE))[site]
    with model.steered([Add(site, vector(), -1.5)]):
        on = model.capture(WHOLE, [site], everywhere(WHOLE))[site]
    assert torch.equal(on, off - 1.5 * vector())


def test_projecting_out_leaves_nothing_along_the_direction_and_clamping_the_value():
    model, site = local("gpt_neox"), Site(0)
    unit = vector() / vector().norm()
    off = model.capture(WHOLE, [site], everywhere(WHOLE))[site]
    with model.steered([ProjectOut(site, vector())]):
        projected = model.capture(WHOLE, [site], everywhere(WHOLE))[site]
    with model.steered([Clamp(site, 5 * vector(), 2.5)]):
        clamped = model.capture(WHOLE, [site], everywhere(WHOLE))[site]
    assert (off @ unit).abs().min() > 1e-4
    assert torch.allclose(projected, off - (off @ unit)[:, None] * unit, atol=1e-5)
    assert torch.allclose(clamped @ unit, torch.full((len(clamped),), 2.5), atol=1e-5)
    assert torch.allclose(clamped - projected, 2.5 * unit.expand_as(off), atol=1e-5)


@pytest.mark.parametrize("where", [Where.last, Where.generated, Where.all])
def test_steered_packed_rows_equal_steered_single_ones(where):
    model = local("qwen2")
    prompts, completions = [[9] * 40, *[[k, k + 1] for k in range(1, 9)]], [[7, 8, 9]] * 9
    with model.steered([Add(Site(0), vector(), 3.0, where=where)]):
        together = model.score(prompts, completions)
        alone = [model.score([p], [c])[0] for p, c in zip(prompts, completions, strict=True)]
    assert together == [pytest.approx(values, abs=1e-4) for values in alone]


@pytest.mark.parametrize("where", list(Where))
def test_padding_is_never_among_the_named_tokens(where):
    device, lengths = torch.device("cpu"), [len(p) for p in PROMPTS]
    for batch in (
        left_padded(PROMPTS, device),
        right_padded(WHOLE, lengths, device),
        packed([*WHOLE, [1, 2]], [*lengths, 1], [[1, 2], [0]], device),
    ):
        assert (batch.positions < 0).any()
        assert not (_selected(batch, where) & (batch.positions < 0)).any()


def test_a_coefficient_of_zero_is_off_to_the_last_bit_and_in_the_fingerprint():
    model = local("phi3")
    plain = list(model.sample(requests(4), SamplingParams(max_tokens=6), key=1))
    with model.steered([Add(Site(0), vector(), 0.0)]):
        assert list(model.sample(requests(4), SamplingParams(max_tokens=6), key=1)) == plain


def test_nested_contexts_are_one_context_with_both_edits_in_order():
    model = local("llama")
    outer, inner = Add(Site(0), vector(1), 2.0), Clamp(Site(0), vector(2), 1.0)
    with model.steered([outer, inner]):
        both, name = model.score(PROMPTS, COMPLETIONS), model.fingerprint
    with model.steered([outer]):
        with model.steered([inner]):
            assert model.score(PROMPTS, COMPLETIONS) == both
            assert model.fingerprint == name
        first = model.score(PROMPTS, COMPLETIONS)
    with model.steered([inner, outer]):
        assert model.score(PROMPTS, COMPLETIONS) != both
        assert model.fingerprint != name
    assert first != both


def test_the_fingerprint_of_a_steered_model_is_its_own():
    model, names = local("llama"), set()
    for edit in (
        Add(Site(0), vector(), 2.0),
        Add(Site(0), vector(), 3.0),
        Add(Site(1), vector(), 2.0),
        Add(Site(0, PRE), vector(), 2.0),
        Add(Site(0), vector(1), 2.0),
        Add(Site(0), vector(), 2.0, where=Where.prompt),
        ProjectOut(Site(0), vector()),
        Clamp(Site(0), vector(), 2.0),
    ):
        with model.steered([edit]):
            names.add(model.fingerprint)
            row = next(model.sample(requests(1), SamplingParams(max_tokens=3), key=1))
            assert row.model == model.fingerprint
    assert len({*names, model.fingerprint}) == 9
    assert model.fingerprint.adapter == ""


@pytest.mark.parametrize(
    "edit",
    [
        Add(Site(0), vector(), 1.0, where=Where.generated),  # there is no generated token
        Add(Site(0), vector(), 1e-30),  # lost in the rounding
        Add(Site(0), torch.zeros(32)),
    ],
)
def test_an_edit_that_changed_nothing_raises_when_the_context_ends(edit):
    model = local("llama")
    with (
        pytest.raises(InputError, match="the Add edit at layer 0 resid_post changed nothing"),
        model.steered([edit]),
    ):
        model.next_token(PROMPTS, [1])
    assert hooks_left(model) == 0


def test_a_context_in_which_nothing_ran_raises():
    with (
        pytest.raises(InputError, match="changed nothing"),
        local("llama").steered([ProjectOut(Site(0), vector())]),
    ):
        pass


def test_an_exception_inside_passes_through_and_removes_the_hooks():
    model = local("llama")
    plain, name = model.score(PROMPTS, COMPLETIONS), model.fingerprint
    with pytest.raises(KeyError), model.steered([Add(Site(0), vector())]):
        raise KeyError
    assert hooks_left(model) == 0
    assert model.score(PROMPTS, COMPLETIONS) == plain
    assert model.fingerprint == name


def test_samples_asked_for_under_steering_are_not_written_without_it():
    model = local("llama")
    with model.steered([Add(Site(0), vector())]):
        rows = model.sample(requests(3), SamplingParams(max_tokens=3, n=64), key=1)
        next(rows)
    with pytest.raises(RuntimeError, match="no longer the one"):
        list(rows)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Add(Site(0), torch.full((32,), torch.nan)),
        lambda: Add(Site(0), torch.zeros(2, 16)),
        lambda: ProjectOut(Site(0), torch.zeros(32)),
        lambda: local("llama").steered([Add(Site(2), vector())]).__enter__(),
        lambda: local("llama").steered([Add(Site(0), vector()), Add(Site(-1), vector())]).__enter__(),
        lambda: local("llama").steered([Add(Site(0), vector(width=31))]).__enter__(),
        lambda: local("llama").capture(WHOLE, [Site(2)], everywhere(WHOLE)),
        lambda: local("llama").capture(WHOLE, [], everywhere(WHOLE)),
        lambda: local("llama").capture([[1, 2]], [Site(0)], [[2]]),
        lambda: local("llama").capture([[1, 2]], [Site(0)], []),
        lambda: local("llama").capture([[]], [Site(0)], [[]]),
    ],
)
def test_edits_and_sites_that_do_not_fit_are_refused(bad):
    with pytest.raises(ValueError):
        bad()
    assert hooks_left(local("llama")) == 0


def test_capture_stops_after_the_last_site_and_makes_no_logits(monkeypatch):
    model = make_local("llama", num_hidden_layers=5)
    ran = []
    for i, layer in enumerate(model.trunk.layers):
        layer.mlp.register_forward_hook(lambda *_, i=i: ran.append(i))
    model.net.get_output_embeddings().register_forward_hook(lambda *_: ran.append("head"))
    model.capture(WHOLE, [Site(2), Site(1, PRE)], everywhere(WHOLE))
    assert ran == [0, 1, 2]
    ran.clear()
    model.capture(WHOLE, [Site(2, PRE)], everywhere(WHOLE))
    assert ran == [0, 1]


def test_captured_rows_keep_the_order_asked_for_over_many_batches():
    model, site = local("gpt2"), Site(1, PRE)
    sequences = [[1 + (7 * i + k) % 400 for k in range(1 + 13 * i % 70)] for i in range(60)]
    places = [[-1] if i % 3 else [-1, 0] for i in range(60)]
    found = model.capture(sequences, [site], places)[site]
    alone = [model.capture([s], [site], [p])[site] for s, p in zip(sequences, places, strict=True)]
    assert len(found) == 80
    assert torch.allclose(found, torch.cat(alone), atol=1e-4)


def test_captured_activations_can_be_trained_on():
    found = local("llama").capture(WHOLE, [Site(0)], everywhere(WHOLE))[Site(0)]
    weight = torch.zeros(32, requires_grad=True)
    ((found @ weight) ** 2).sum().backward()
    assert weight.grad is not None


def test_gradients_flow_through_edits():
    model = make_local("llama")
    with model.steered([Add(Site(0), vector(), 2.0), ProjectOut(Site(1), vector(1))]):
        completion_logprobs(model.trunk, PROMPTS, COMPLETIONS).sum().backward()
    assert model.net.get_input_embeddings().weight.grad.abs().sum() > 0


def test_a_steered_net_called_around_its_trunk_raises_instead_of_guessing_positions():
    model = local("llama")
    with pytest.raises(RuntimeError, match="through its trunk"), model.steered([Add(Site(0), vector())]):
        model.net(torch.tensor([[1, 2, 3]]))
    assert hooks_left(model) == 0


def test_half_precision_is_changed_in_float32_and_rounded_once():
    model = make_local("llama", dtype=torch.bfloat16)
    site = Site(0)
    off = model.capture(WHOLE, [site], everywhere(WHOLE))[site]
    with model.steered([Clamp(site, vector(), 1.0)]):
        on = model.capture(WHOLE, [site], everywhere(WHOLE))[site]
    unit = vector() / vector().norm()
    wanted = off.float() + (1 - off.float() @ unit)[:, None] * unit
    assert on.dtype == off.dtype == torch.bfloat16
    assert torch.equal(on, wanted.bfloat16())


def test_a_generated_edit_acts_from_the_second_token_on_and_a_last_edit_on_the_first():
    model, asked = local("llama"), [ask("count the gulls", id="x")]
    greedy = SamplingParams(temperature=0, max_tokens=2)
    plain = next(model.sample(asked, greedy, key=1))
    with model.steered([Add(Site(0), vector(), 4.0, where=Where.generated)]):
        late = next(model.sample(asked, greedy, key=1))
    with model.steered([Add(Site(0), vector(), 4.0, where=Where.last)]):
        early = next(model.sample(asked, greedy, key=1))
    assert late.logprobs[0] == plain.logprobs[0]
    assert late.logprobs[1] != plain.logprobs[1]
    assert early.logprobs[0] != plain.logprobs[0]
