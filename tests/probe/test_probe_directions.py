"""Directions: made, compared, applied where they were read, and kept."""

import math

import pytest
import torch
from model.tiny_local import local
from safetensors.torch import save_file

from truing.model import Point, Site
from truing.probe import (
    Direction,
    Over,
    Text,
    collected,
    cosine_table,
    load_directions,
    mean_difference,
    persona_vectors,
    random_like,
    save_directions,
)
from truing.types import InputError

PRE, POST = Site(1, Point.resid_pre), Site(0)
POSITIVE = [Text(tuple(range(9, 30 + 3 * i)), 5) for i in range(4)]
NEGATIVE = [Text((7,) * (8 + i) + (40 + i, 41), 6 + i) for i in range(3)]


def made(name: str, *numbers: float, site: Site = PRE) -> Direction:
    return Direction(name, torch.tensor(numbers), site, "last", "model", {"a": "b"})


def test_the_algebra_of_a_direction_by_hand():
    d = made("d", 3.0, 4.0)
    states = torch.tensor([[1.0, 2.0], [0.0, -5.0]])
    assert d.norm == 5 and d.unit.tolist() == [0.6, 0.8]
    assert d.projection(states).tolist() == pytest.approx([2.2, -4.0])
    assert torch.allclose(d.ablated(states), torch.tensor([[-0.32, 0.24], [2.4, -1.8]]).double())
    assert d.added(states, -2.0).tolist() == [[-5, -6], [-6, -13]]
    assert d.projection(d.ablated(states)).abs().max() < 1e-15


def test_cosines_by_hand():
    table = cosine_table([made("a", 1, 0), made("b", 3, 4), made("c", -2, 0)])
    assert table["a"] == pytest.approx({"a": 1, "b": 0.6, "c": -1})
    assert table["b"]["c"] == pytest.approx(-0.6) and table["c"]["b"] == table["b"]["c"]


@pytest.mark.parametrize("bad", [[made("a", 1, 0), made("a", 0, 1)], [made("a", 1, 0), made("b", 1, 0, 0)]])
def test_what_cannot_be_compared_raises(bad):
    with pytest.raises(ValueError):
        cosine_table(bad)


@pytest.mark.parametrize("numbers", [(0.0, 0.0), (math.nan, 1.0), (math.inf, 1.0)])
def test_a_vector_without_a_direction_raises(numbers):
    with pytest.raises(ValueError, match="'d' is no vector"):
        made("d", *numbers)


def test_a_random_direction_is_as_long_and_points_elsewhere():
    d = Direction("d", torch.randn(4096, generator=torch.Generator().manual_seed(1)), PRE, "last")
    first, again, other = random_like(d, key=1), random_like(d, key=1), random_like(d, key=2)
    assert torch.equal(first.vector, again.vector) and first.site == d.site
    assert first.norm == pytest.approx(d.norm, rel=1e-6)
    table = cosine_table([d, first, Direction("other", other.vector, PRE, "last")])
    assert all(abs(table["d"][name]) < 5 / math.sqrt(4096) for name in (first.name, "other"))
    assert abs(table[first.name]["other"]) < 5 / math.sqrt(4096)


def test_the_mean_difference_is_that_of_the_means_over_texts():
    model = local("qwen3")
    for over, each in ((Over.response, 1), (Over.last, 1), (Over.each, 1)):
        found = mean_difference(model, POSITIVE, NEGATIVE, [PRE, POST], over)
        for site in (PRE, POST):
            plus, minus = (
                collected(model, texts, [site], over)[site].double() for texts in (POSITIVE, NEGATIVE)
            )
            assert found[site].shape == (each, 32) and found[site].dtype == torch.float32
            assert torch.allclose(found[site][0].double(), plus.mean(0) - minus.mean(0), atol=1e-6)


def test_two_sides_that_do_not_differ_have_a_difference_of_exactly_zero():
    model = local("llama")
    texts = [Text((*range(20 + i), 5), 21 + i) for i in range(7)]  # layer 0 sees the last token alone
    more = [Text((*range(50, 60 + 2 * i), 5), 11 + 2 * i) for i in range(5)]
    found = mean_difference(model, texts, more, [Site(0, Point.resid_pre), PRE], Over.last)
    assert not found[Site(0, Point.resid_pre)].any()
    assert found[PRE].any()


def test_a_persona_vector_added_where_it_was_read_makes_one_mean_response_the_other():
    model = local("gpt_neox")
    for direction in persona_vectors(
        model, POSITIVE, NEGATIVE, [PRE, Site(0, Point.resid_pre)], name="persona"
    ):
        site = direction.site
        with model.steered([direction.adding()]):
            moved = collected(model, NEGATIVE, [site], Over.response)[site].double().mean(0)
        wanted = collected(model, POSITIVE, [site], Over.response)[site].double().mean(0)
        assert torch.allclose(moved, wanted, atol=1e-4)
        assert direction.made_of == {"positive texts": "4", "negative texts": "3"}
        assert len(direction.model) == 64


def test_directions_are_read_back_to_the_last_bit_with_what_they_are(tmp_path):
    wanted = [made("a", 0.1, 2.0), Direction("persona, evil", torch.randn(8), POST, "response", "m")]
    save_directions(tmp_path / "new" / "d.safetensors", wanted)
    found = load_directions(tmp_path / "new" / "d.safetensors")
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one.vector, other.vector)
        assert (one.name, one.site, one.position, one.model) == (
            other.name, other.site, other.position, other.model,
        )  # fmt: skip
        assert dict(one.made_of) == dict(other.made_of)


def test_equal_directions_are_equal_bytes(tmp_path):
    """Runs tell their inputs by a digest of the file."""
    several = [made(f"é {n}", n, 1, 2) for n in range(1, 9)]
    files = [tmp_path / f"{n}.safetensors" for n in range(4)]
    for file in files:
        save_directions(file, several[:: 1 if file is files[0] else -1])
    assert len({file.read_bytes() for file in files}) == 1
    assert [one.name for one in load_directions(files[0])] == [one.name for one in several]
    size = int.from_bytes(files[0].read_bytes()[:8], "little")
    assert size % 8 == 0, "tensors are aligned"


def test_a_file_that_holds_no_directions_is_one_sentence(tmp_path):
    whole, other = tmp_path / "whole.safetensors", tmp_path / "other.safetensors"
    save_directions(whole, [made("a", 1, 2)])
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:-3])
    (tmp_path / "text.safetensors").write_text("no tensors")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    save_file({"a": torch.ones(2)}, other)
    zero = tmp_path / "zero.safetensors"
    zero.write_bytes(whole.read_bytes()[:-8] + bytes(8))
    for name in ("cut", "text", "empty", "other", "zero", "missing"):
        file = tmp_path / f"{name}.safetensors"
        with pytest.raises(InputError) as error:
            load_directions(file)
        assert str(error.value).startswith(str(file))
    with pytest.raises(InputError, match="is a folder"):
        load_directions(tmp_path)
