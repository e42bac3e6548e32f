"""The packed forward pass against one row at a time: end to end, and rows that go on from others."""

import pytest
import torch
import transformers as hf
from model.tiny_local import ALL, make_local

from truing.model import PackedForward

A, B, C, D = [7, 8, 9, 10, 11, 12, 13, 14, 15, 16], [20, 21, 22, 23, 24], [30], [40, 41, 42, 43]


def alone(net: hf.PreTrainedModel, row: list[int]) -> torch.Tensor:
    """The last states of a row by itself [T, D]."""
    with torch.no_grad():
        return net.base_model(input_ids=torch.tensor([row]), use_cache=False).last_hidden_state[0]


def forward_of(net: hf.PreTrainedModel) -> PackedForward:
    return PackedForward(net, [torch.tensor(D), torch.tensor(A + B)])


@pytest.mark.parametrize("family", ALL)
def test_rows_that_go_on_from_a_row_are_as_if_it_stood_before_them(family: str) -> None:
    """Ten tokens that two rows share, beside a row that shares nothing; windows of eight among the families."""
    net = make_local(family).net
    forward = forward_of(net)
    assert forward.packs
    with torch.no_grad(), forward.attending():
        states = forward(torch.tensor(A + D + B + C), [10, 4, 5, 1], after=[0, 0])
    wanted = [alone(net, A), alone(net, D), alone(net, A + B)[10:], alone(net, A + C)[10:]]
    torch.testing.assert_close(states, torch.cat(wanted), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("packs", [True, False])
def test_rows_end_to_end_are_as_each_by_itself(packs: bool) -> None:
    net = make_local("llama").net
    forward = forward_of(net)
    forward.packs = packs
    with torch.no_grad(), forward.attending():
        states = forward(torch.tensor(A + D + D[::-1] + C), [10, 4, 4, 1])
    wanted = torch.cat([alone(net, row) for row in (A, D, D[::-1], C)])
    torch.testing.assert_close(states, wanted, rtol=1e-4, atol=1e-4)


def test_a_row_does_not_see_its_sibling() -> None:
    net = make_local("llama").net
    forward = forward_of(net)
    with torch.no_grad(), forward.attending():
        one, other = (
            forward(torch.tensor(A + B + last), [10, 5, 4], after=[0, 0]) for last in (D, [99, 98, 97, 96])
        )
    assert torch.equal(one[:15], other[:15])
    assert not torch.allclose(one[15:], other[15:], atol=1e-3)


def test_a_model_that_does_not_pack_reads_every_row_from_its_beginning() -> None:
    net = make_local("llama").net
    forward = forward_of(net)
    forward.packs = False
    with pytest.raises(ValueError, match="reads every row from its beginning"):
        forward(torch.tensor(A + B), [10, 5], after=[0])


def test_a_trunk_knows_what_goes_through_the_packed_pass() -> None:
    model = make_local("llama")
    forward, seen = forward_of(model.net), []
    hook = model.net.model.norm.register_forward_hook(lambda *_: seen.append(model.trunk.batch))
    with torch.no_grad(), forward.attending():
        forward(torch.tensor(A + B + C), [10, 5, 1], after=[0, 0], prompts=[10, 12, 10])
    hook.remove()
    (batch,) = seen
    assert batch is not None
    assert batch.positions.tolist() == [[*range(10), *range(10, 15), 10]]
    assert batch.prompt_lengths.tolist() == [[10] * 10 + [12] * 5 + [10]]
    assert model.trunk.batch is None


def test_what_is_measured_is_the_longest_row_beside_the_beginning_of_another() -> None:
    net = make_local("llama").net
    read: list[int] = []
    hook = net.model.embed_tokens.register_forward_hook(lambda _, args, __: read.append(args[0].numel()))
    assert PackedForward(net, [torch.arange(100), torch.arange(120)]).packs
    hook.remove()
    assert read == [16, 120, 16 + 120]
