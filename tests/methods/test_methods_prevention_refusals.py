"""What a prevention does not take: one sentence, and nothing is left behind."""

from pathlib import Path
from typing import Any

import pytest
from methods.test_methods_prevention import OTHERS, ROWS, autoencoder, direction, tuned

from truing.methods import LatentPenalty, OffDomainKL, PreventativeSteering
from truing.model import Site
from truing.types import InputError


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: PreventativeSteering(direction(16)), "layer 0 and width 16, and the model has 2 layers of width 32"),
        (lambda: PreventativeSteering(direction(site=Site(7))), "of layer 7 and width 32"),
        (lambda: PreventativeSteering(direction(), 0.0), "a finite number other than 0"),
        (lambda: PreventativeSteering(direction(), float("nan")), "a finite number other than 0"),
        (lambda: LatentPenalty(autoencoder(16), (1,)), "of a model of width 16"),
        (lambda: LatentPenalty(autoencoder(site=Site(5)), (1,)), "the autoencoder is of layer 5"),
        (lambda: LatentPenalty(autoencoder(site=None), (1,)), "names no layer"),
        (lambda: LatentPenalty(autoencoder(), ()), "no latent is named"),
        (lambda: LatentPenalty(autoencoder(), (1, 1)), "a latent is named twice"),
        (lambda: LatentPenalty(autoencoder(), (24,)), "there is no latent 24: the autoencoder has 0 to 23"),
        (lambda: LatentPenalty(autoencoder(), (1,), -1.0), "above 0, not -1"),
        (lambda: OffDomainKL([]), "there are no off-domain rows"),
        (lambda: OffDomainKL(OTHERS, float("inf")), "above 0, not inf"),
        (lambda: OffDomainKL(OTHERS, rows_per_step=0), "at least one off-domain row"),
        (lambda: OffDomainKL([ROWS[0], ROWS[0][:1]], data="o.jsonl"), "o.jsonl, row 2: a training example ends"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, make: Any, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        tuned(tmp_path / "out", make())
    assert not (tmp_path / "out").exists()
