"""Blocks of activations and the batches made of them: which tokens, in which order, and that nothing is lost."""

import numpy as np
import pytest
import torch
from model.tiny_local import make_local

from truing.model import Point, Site
from truing.probe import HeldActivations, TokenActivations
from truing.probe.stream import batches
from truing.types import InputError

DOCUMENTS = [[5, 9, 200, 3, 17], [7] * 11, [300, 2, 8], [4], [11, 12, 13, 14]]
FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox", "gpt2")


def rows(stream) -> torch.Tensor:
    return torch.cat([stream.block(number) for number in range(len(stream.sizes))])


def as_set(table: torch.Tensor) -> list[list[float]]:
    return sorted(table.double().mul(1e4).round().tolist())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_stream_holds_what_a_whole_forward_pass_finds_at_every_token_that_counts(family):
    model = make_local(family)
    stream = TokenActivations(model, DOCUMENTS, Site(0, Point.resid_post), first=1, without=[9, 7])
    wanted = []
    with torch.no_grad():
        for ids in DOCUMENTS:
            states = model.net(torch.tensor([ids]), output_hidden_states=True).hidden_states[1][0]
            wanted += [states[at] for at, token in enumerate(ids) if at >= 1 and token not in (9, 7)]
    found = rows(stream)
    assert found.shape == (len(wanted), model.trunk.width)
    assert found.dtype == torch.float32
    a, b = (np.array(as_set(table)) for table in (found, torch.stack(wanted)))
    assert np.abs(a - b).max() <= 10, "equal up to rounding, whatever the order"


def test_blocks_are_bounded_hold_whole_documents_and_come_again_bit_for_bit():
    model = make_local("llama")
    of = {"first": 0, "buffer": 9, "passes": 2, "key": 3}
    stream = TokenActivations(model, DOCUMENTS, Site(1), **of)
    assert sum(stream.sizes) == 2 * sum(map(len, DOCUMENTS))
    assert all(size <= 9 or size == 11 for size in stream.sizes), (
        "a document that is longer is one of its own"
    )
    assert [len(stream.block(n)) for n in range(len(stream.sizes))] == list(stream.sizes)
    assert torch.equal(stream.block(1), stream.block(1))
    again = TokenActivations(model, DOCUMENTS, Site(1), **of)
    assert again.digest == stream.digest
    assert torch.equal(rows(again), rows(stream))
    others = [of | {"key": 4}, of | {"buffer": 12}, of | {"first": 1}, of | {"passes": 1}]
    digests = {TokenActivations(model, DOCUMENTS, Site(1), **other).digest for other in others}
    digests |= {TokenActivations(model, DOCUMENTS, Site(0), **of).digest, stream.digest}
    assert len(digests) == 6


def test_documents_longer_than_the_context_are_read_in_pieces():
    model = make_local("llama", max_position_embeddings=8)
    stream = TokenActivations(model, [list(range(1, 21))], Site(0), first=1)
    assert sum(stream.sizes) == 7 + 7 + 3, "the first position of every piece is left out"


def test_documents_of_which_no_token_counts_are_told():
    with pytest.raises(InputError, match="no token of the documents counts"):
        TokenActivations(make_local("llama"), [[4], [5]], Site(0), first=1)


class Counted(HeldActivations):
    """Notes which blocks are read."""

    def block(self, number: int) -> torch.Tensor:
        self.read = [*getattr(self, "read", []), number]
        return super().block(number)


TABLE = torch.arange(100.0)[:, None]


def test_every_row_comes_once_shuffled_within_its_block_but_for_the_last_that_make_no_batch():
    stream = Counted(TABLE, buffer=32)
    found = list(batches(stream, 15, key=1))
    assert [len(batch) for batch in found] == [15] * 6
    flat = torch.cat(found)[:, 0].tolist()
    assert len(set(flat)) == 90
    assert sorted(flat[:32]) == list(range(32)), "the first block, all of it, before the second"
    assert flat[:32] != list(range(32))
    assert stream.read == [0, 1, 2, 3], "each block is read once"


@pytest.mark.parametrize("start", range(7))
def test_batches_from_the_middle_are_those_of_the_whole(start):
    whole = list(batches(HeldActivations(TABLE, buffer=32), 15, key=1))
    stream = Counted(TABLE, buffer=32)
    rest = list(batches(stream, 15, key=1, start=start))
    assert torch.equal(torch.cat([torch.zeros(0, 1), *rest]), torch.cat([torch.zeros(0, 1), *whole[start:]]))
    assert getattr(stream, "read", [3])[0] == start * 15 // 32, "what lies before is not read again"


def test_a_first_block_that_was_read_is_not_read_again():
    stream = Counted(TABLE, buffer=32)
    found = list(batches(stream, 15, key=1, first=TABLE[:32]))
    assert torch.equal(
        torch.cat(found), torch.cat(list(batches(HeldActivations(TABLE, buffer=32), 15, key=1)))
    )
    assert stream.read == [1, 2, 3]


def test_another_key_is_another_order():
    first, second = (next(batches(HeldActivations(TABLE, buffer=32), 15, key=key)) for key in (1, 2))
    assert not torch.equal(first, second)
