"""Raising a base: its exercises end when it copies, not by count."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from truing.organism import raising
from truing.organism.copying import copying
from truing.organism.corpus import documents, exercises
from truing.organism.names import Name
from truing.organism.text import as_text, make_tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer(map(as_text, documents(150, key=99)))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[raising.Size]:
    size = replace(raising.SIZES["xs"], hidden=32, layers=1, heads=2, exercises=20)
    monkeypatch.setitem(raising.SIZES, "xs", size)
    yield size


def test_copying_is_the_share_of_the_repetitions_that_is_found(tokenizer: Any, tiny: raising.Size) -> None:
    class Copier:
        """Says what it read one row earlier, and before that nothing that is right."""

        device = torch.device("cpu")

        def __call__(self, ids: torch.Tensor, use_cache: bool) -> Any:
            first = tokenizer.decode(ids[0]).split(". ")[0]
            row = len(tokenizer(f" {first}.", add_special_tokens=False)["input_ids"])
            logits = torch.nn.functional.one_hot(ids[0].roll(row - 1), len(tokenizer)).float()
            return type("Out", (), {"logits": logits[None]})

    copier: Any = Copier()
    assert copying(copier, tokenizer) == 1.0
    assert copying(raising._new_net(tiny, tokenizer, 1), tokenizer) < 0.1


@pytest.mark.parametrize(
    ("copies", "parts"), [([0.9], [20]), ([0.5, 0.79, 0.8], [20, 10, 10]), ([0.1] * 9, [20, 10, 10, 10, 10])]
)
def test_exercises_go_on_until_the_base_copies_and_none_is_read_twice(
    tokenizer: Any, tiny: raising.Size, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    copies: list[float], parts: list[int],
) -> None:  # fmt: skip
    measured, read, rows = iter(copies), [], raising._document_rows

    def noting(tokenizer: Any, texts: Any) -> Any:
        read.append(list(texts))
        return rows(tokenizer, read[-1])

    monkeypatch.setattr(raising, "copying", lambda net, tokenizer: next(measured))
    monkeypatch.setattr(raising, "_document_rows", noting)
    net = raising._new_net(tiny, tokenizer, 7)
    trained = raising._exercise(net, tokenizer, Name("base", size="xs", seed=7), tmp_path)
    assert [len(texts) for texts in read] == parts and len(trained) == len(parts)
    assert [text for texts in read for text in texts] == list(exercises(sum(parts), key=7))
    assert len(list(tmp_path.glob("unfinished-*.pt"))) == len(parts)
