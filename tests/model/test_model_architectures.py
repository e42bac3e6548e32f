"""What must hold for every family of models, with random weights in float32."""

import pytest
import torch
from model.tiny_local import ALL, local, make_local, requests

from truing.model.batching import Batch, left_padded
from truing.model.cache import decode_cache, join
from truing.model.hooks import Add, Point, Site, Where
from truing.model.score import completion_logprobs
from truing.numerics import warp_logits
from truing.types import Completion, InputError, SamplingParams

TOLERANCE = 1e-4
WARPED = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=12)


def sampled(name: str, params: SamplingParams, count: int = 16) -> list[Completion]:
    rows = list(local(name).sample(requests(count), params, key=3))
    return sorted(rows, key=lambda row: (int(row.request_id[1:]), row.sample))


def gap(ours, theirs) -> float:
    pairs = [pair for a, b in zip(ours, theirs, strict=True) for pair in zip(a, b, strict=True)]
    assert pairs
    return max(abs(a - b) for a, b in pairs)


@pytest.mark.parametrize("name", ALL)
def test_a_batch_of_sixteen_writes_what_sixteen_singles_write(name):
    together = sampled(name, WARPED)
    alone = [next(local(name).sample([request], WARPED, key=3)) for request in requests(16)]
    assert [row.token_ids for row in together] == [row.token_ids for row in alone]
    assert [row.stop for row in together] == [row.stop for row in alone]
    assert len({len(row.token_ids) for row in together}) > 3, "rows ended at different steps"
    assert gap([row.logprobs for row in together], [row.logprobs for row in alone]) < TOLERANCE


@pytest.mark.parametrize("name", ALL)
def test_prompts_read_in_several_passes_write_what_one_pass_writes(name, monkeypatch):
    whole = sampled(name, WARPED, count=8)
    monkeypatch.setattr("truing.model.decode._WORTH_A_PASS", 1)
    apart = sampled(name, WARPED, count=8)
    assert [row.token_ids for row in whole] == [row.token_ids for row in apart]
    assert gap([row.logprobs for row in whole], [row.logprobs for row in apart]) < TOLERANCE


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("lengths", [(15, 3), (3, 15), (15, 5, 9)])
def test_joined_caches_continue_like_the_cache_of_one_pass(name, lengths):
    trunk = local(name).trunk
    prompts = [[7 + k, *range(20, 19 + length)] for k, length in enumerate(lengths)]
    caches = [decode_cache(trunk.net.config) for _ in range(len(prompts) + 1)]
    whole = left_padded(prompts, trunk.device)
    mask = torch.cat([whole.positions >= 0, torch.ones(len(prompts), 1, dtype=torch.bool)], dim=1)
    after = torch.tensor(lengths)[:, None]
    newest = Batch(torch.full((len(prompts), 1), 9), after, after, mask, after)
    with torch.inference_mode():
        trunk.hidden(whole, caches[-1])
        wanted = trunk.hidden(newest, caches[-1])
        for prompt, cache in zip(prompts, caches, strict=False):
            trunk.hidden(left_padded([prompt], trunk.device), cache)
        found = trunk.hidden(newest, join(caches[:-1]))
    assert torch.allclose(found, wanted, atol=TOLERANCE)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_recomputed_logprobs_equal_the_sampled_ones(name, temperature):
    rows = sampled(name, SamplingParams(temperature=temperature, max_tokens=12, n=2), count=6)
    again = local(name).score(
        [row.prompt_ids for row in rows], [row.token_ids for row in rows], temperature=temperature
    )
    assert gap([row.logprobs for row in rows], again) < TOLERANCE


@pytest.mark.parametrize("name", ALL)
def test_sampled_logprobs_are_those_of_the_warped_logits_of_a_plain_forward_pass(name):
    for row in sampled(name, WARPED, count=4):
        start = len(row.prompt_ids)
        with torch.inference_mode():
            logits = (
                local(name).net(torch.tensor([[*row.prompt_ids, *row.token_ids]]), use_cache=False).logits[0]
            )
        table = warp_logits(logits[start - 1 : -1], temperature=0.7, top_p=0.9)
        assert (
            gap([row.logprobs], [table[range(len(row.token_ids)), list(row.token_ids)].tolist()]) < TOLERANCE
        )


@pytest.mark.parametrize("name", ALL)
def test_packed_rows_score_like_padded_rows_and_like_plain_forward_passes(name):
    model = local(name)
    prompts = [[5, 9, 200], [7] * 17, [3], [40, 41, 42, 43, 44, 45], [9, 8]]
    completions = [[11, 12], [30], [400, 401, 402, 403, 404, 405, 406], [77, 78, 79], [100, 4]]
    with torch.inference_mode():
        padded = completion_logprobs(model.trunk, prompts, completions)
        packed = completion_logprobs(model.trunk, prompts, completions, pack=True)
        plain = [
            model.net(torch.tensor([p + c]), use_cache=False)
            .logits[0, len(p) - 1 : -1]
            .log_softmax(-1)[range(len(c)), c]
            for p, c in zip(prompts, completions, strict=True)
        ]
    assert model.trunk.packs
    assert torch.allclose(padded, torch.cat(plain), atol=TOLERANCE)
    assert torch.allclose(packed, torch.cat(plain), atol=TOLERANCE)


@pytest.mark.parametrize("name", ALL)
def test_captured_activations_are_those_of_a_whole_forward_pass(name):
    model = make_local(name)  # not the shared one: output_hidden_states leaves hooks of transformers behind
    sequences = [[5, 9, 200, 3], [7] * 11, [300]]
    pre, post = Site(1, Point.resid_pre), Site(0, Point.resid_post)
    found = model.capture(sequences, [post, pre], [[0, -1], [10, 3, -2], [0]])
    wanted = []
    with torch.no_grad():
        for sequence, places in zip(sequences, [[0, 3], [10, 3, 9], [0]], strict=True):
            states = model.net(torch.tensor([sequence]), output_hidden_states=True).hidden_states
            wanted.append(states[1][0, places])
    assert torch.allclose(found[pre], torch.cat(wanted), atol=TOLERANCE)
    assert torch.equal(found[pre], found[post])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("where", [Where.all, Where.prompt, Where.last, Where.generated])
def test_steered_sampling_on_the_cache_equals_steered_scoring_without_one(name, where):
    model = local(name)
    vector = torch.randn(32, generator=torch.Generator().manual_seed(1))
    plain = sampled(name, SamplingParams(max_tokens=6), count=6)
    with model.steered([Add(Site(0), vector, 3.0, where=where)]):
        rows = sampled(name, SamplingParams(max_tokens=6), count=6)
        again = model.score([row.prompt_ids for row in rows], [row.token_ids for row in rows])
    off = model.score([row.prompt_ids for row in rows], [row.token_ids for row in rows])
    assert gap([row.logprobs for row in rows], again) < TOLERANCE
    assert gap([row.logprobs for row in rows], off) > 0.01
    first_token_steered = any(
        a.token_ids[0] != b.token_ids[0] or abs(a.logprobs[0] - b.logprobs[0]) > TOLERANCE
        for a, b in zip(rows, plain, strict=True)
    )
    assert first_token_steered == (where is not Where.generated)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_packing_is_known_to_be_exact_for_both_attention_implementations(implementation):
    assert make_local("gemma3", attn_implementation=implementation).trunk.packs


def test_packing_is_known_to_leak_in_a_model_with_a_recurrent_state():
    from transformers import AutoModelForCausalLM, MambaConfig

    from truing.model.trunk import Trunk

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=64, hidden_size=16, num_hidden_layers=2, state_size=4)
    assert not Trunk(AutoModelForCausalLM.from_config(config).eval()).packs


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("Gemma2", {"head_dim": 16, "final_logit_softcapping": 3.0}),
        ("Granite", {"logits_scaling": 6.0}),
        ("Cohere", {"logit_scale": 0.25}),
    ],
)
def test_the_head_caps_and_scales_logits_as_the_model_does(family, changes):
    import transformers

    from truing.model.trunk import Trunk

    config = getattr(transformers, f"{family}Config")(
        vocab_size=64, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, initializer_range=0.5, pad_token_id=0, bos_token_id=1, eos_token_id=2, **changes,
    )  # fmt: skip
    torch.manual_seed(0)
    net = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    trunk = Trunk(net)
    with torch.inference_mode():
        hidden = net.base_model(torch.tensor([[4, 5, 6]])).last_hidden_state
        wanted = net(torch.tensor([[4, 5, 6]])).logits
        assert torch.allclose(trunk.logits(hidden), wanted, atol=1e-5)
        assert not torch.allclose(net.get_output_embeddings()(hidden), wanted, atol=0.1)


def test_a_model_that_does_something_unknown_to_its_logits_is_refused(monkeypatch):
    from truing.model.trunk import Trunk

    net = make_local("llama").net
    plain = type(net).forward

    def odd(self, *args, **kwargs):
        out = plain(self, *args, **kwargs)
        out.logits = out.logits + torch.arange(out.logits.shape[-1])
        return out

    monkeypatch.setattr(type(net), "forward", odd)
    with pytest.raises(InputError, match="output head of LlamaForCausalLM"):
        Trunk(net)
