"""What keeps a fine-tuning on narrow rows from teaching more than they say: three ways, of the training alone.

Nothing of them is left in the model that comes out but what it learnt: no direction is added, no latent is
read. Each is an argument of `finetune`. What each costs in capability, an audit says.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor

from truing.methods.rendering import Conversation, render_rows
from truing.model import Where, evaluating, steering, steering_recomputed, tapping
from truing.numerics import chunked_divergence
from truing.probe import SAE, check_direction, sae_site
from truing.train import Beside, TokenRows, keep_reference
from truing.types import InputError, digest

if TYPE_CHECKING:
    from truing.model import LocalModel, Site
    from truing.probe import Direction, SavedSAE
    from truing.train import Part, Reference

_Context = Callable[[], AbstractContextManager[object]]

_ROWS = 512
"""So many activations go through an autoencoder at a time."""


@dataclass(frozen=True, eq=False)
class Additions:
    """What is added to a supervised training: see `supervised`."""

    digest: str = ""
    """Of all that decides what is added."""
    extra_loss: "Callable[[Part], Tensor] | None" = None
    forward_context: _Context = nullcontext
    beside: Beside | None = None


class Prevention(Protocol):
    """One of the three below, or another."""

    @property
    def told(self) -> str:
        """What is done, for the card."""

    @property
    def paper(self) -> str:
        """Where it was published."""

    def added(
        self, model: "LocalModel", adapter: Any | None, rows: TokenRows
    ) -> AbstractContextManager[Additions]:
        """What it adds to a training of the model on `rows`; `model` is as it was loaded, its adapter fresh.

        Raises:
            InputError: it does not fit the model.
        """


@dataclass(frozen=True, eq=False)
class PreventativeSteering:
    """Add a persona's direction while training, so that nothing is gained by learning it (Chen et al. 2025).

    `h + coefficient * vector` at the direction's site in every forward pass of the training, the vector as it
    is, not normalised; the sign is that of the persona that must not be learnt. Where the rows pull the model
    towards the persona, it is there already, and the gradient has no reason to put it into the weights.

    Raises:
        InputError: the coefficient is no finite number other than 0.
    """

    direction: "Direction"
    coefficient: float = 5.0
    """The paper's, for vectors that are differences of mean activations."""
    at: Literal["response", "all"] = "response"
    """At every token, or from the prompt's last, which decides the first of the response, on."""

    def __post_init__(self) -> None:
        if not isfinite(self.coefficient) or self.coefficient == 0:
            raise InputError(f"a coefficient is a finite number other than 0, not {self.coefficient}")

    @property
    def told(self) -> str:
        """See `Prevention`."""
        site, tokens = self.direction.site, "every token" if self.at == "all" else "the response"
        return (
            f"preventative steering: {self.coefficient:g} times {self.direction.name!r} (norm "
            f"{self.direction.norm:.3g}) added at {site.point} of layer {site.layer}, at {tokens}, while training"
        )

    @property
    def paper(self) -> str:
        """See `Prevention`."""
        return "Chen et al. 2025, arXiv 2507.21509"

    @contextmanager
    def added(
        self,
        model: "LocalModel",
        adapter: Any | None,  # noqa: ARG002
        rows: TokenRows,  # noqa: ARG002
    ) -> Iterator[Additions]:
        """See `Prevention`."""
        check_direction(model, self.direction)
        site = self.direction.site
        places = (Where.all,) if self.at == "all" else (Where.last, Where.generated)
        edits = [self.direction.adding(self.coefficient, where=where) for where in places]
        vector = sha256(self.direction.vector.numpy().tobytes()).hexdigest()
        which = digest(["steering", vector, site.layer, site.point, self.coefficient, self.at])
        forward, again = (partial(how, model.trunk, edits) for how in (steering, steering_recomputed))
        yield Additions(which, forward_context=_Passes(forward, again))


@dataclass(frozen=True, eq=False)
class LatentPenalty:
    """Penalise what chosen latents rise above the model as it was (BLOCK-EM, arXiv 2602.00767).

    The loss is that of the rows plus `weight` times the mean over the trained tokens of
    sum_j relu(z_j(M) - z_j(M0))^2, z_j being the value of latent j at the token before, which decides it, M0 the
    model before its training on the same tokens: the adapter off where one is trained, else a frozen copy, which
    takes the memory of the weights once more. A latent that falls costs nothing. Dropout is off, so that the
    first step's penalty is exactly 0.

    Raises:
        InputError: there is no latent, one is named twice or is none, or the weight is not above 0.
    """

    saved: "SavedSAE"
    """An autoencoder of the model as it was, with its site."""
    latents: tuple[int, ...]
    weight: float = 1.0
    """Lambda: nats per token for a latent that rose by one unit of the activations."""

    def __post_init__(self) -> None:
        _check_weight(self.weight)
        if not self.latents:
            raise InputError(
                "no latent is named to be kept from rising", mend="name those that probe diff found"
            )
        if len(set(self.latents)) < len(self.latents):
            raise InputError("a latent is named twice")
        bad = [j for j in self.latents if not 0 <= j < self.saved.sae.width]
        if bad:
            raise InputError(
                f"there is no latent {bad[0]}: the autoencoder has 0 to {self.saved.sae.width - 1}"
            )

    @property
    def told(self) -> str:
        """See `Prevention`."""
        listed = ", ".join(map(str, self.latents))
        return f"latent penalty: {self.weight:g} times the squared rise of the latents {listed} over the base model"

    @property
    def paper(self) -> str:
        """See `Prevention`."""
        return "BLOCK-EM, arXiv 2602.00767"

    @contextmanager
    def added(self, model: "LocalModel", adapter: Any | None, rows: TokenRows) -> Iterator[Additions]:
        """See `Prevention`."""
        site = sae_site(model, self.saved)
        # A copy of its own: the one that was given stays where it is.
        sae = copy.deepcopy(self.saved.sae.inference()).to(model.trunk.device).requires_grad_(False).eval()
        with keep_reference(model.net, rows, adapter_off=_off(adapter)) as before:
            penalty = _Rise(model, before, sae, site, self.latents, self.weight)
            yield Additions(
                digest(["latents", _weights(sae), site.layer, site.point, list(self.latents), self.weight]),
                extra_loss=penalty.loss,
                forward_context=_Passes(penalty.reading, lambda: evaluating(model.net)),
            )


@dataclass(frozen=True, eq=False)
class OffDomainKL:
    """Keep the model's predictions on rows of other domains as they were (arXiv 2602.07852).

    In every step, `rows_per_step` of the other rows are read, and `weight` times the mean over their trained
    tokens of KL(M0 || M) of the next token, exact over the vocabulary, is added to the loss. M0, the model before
    its training, is the distribution that the sum goes over; it is the adapter off where one is trained, else a
    frozen copy. Dropout is off, so that the first step's divergence is exactly 0.

    Raises:
        InputError: there are no rows, or a number is not above 0.
    """

    rows: Sequence[Conversation]
    weight: float = 1.0
    rows_per_step: int = 8
    data: str = "the off-domain rows"
    """Where they come from; errors in a row name it."""

    def __post_init__(self) -> None:
        _check_weight(self.weight)
        if self.rows_per_step < 1:
            raise InputError(f"at least one off-domain row goes into a step, not {self.rows_per_step}")
        if not self.rows:
            raise InputError("there are no off-domain rows", mend="give some of what must stay as it is")

    @property
    def told(self) -> str:
        """See `Prevention`."""
        return (
            f"off-domain KL: {self.weight:g} times KL(before || now) on {self.rows_per_step} rows a step "
            f"of {len(self.rows):,} from {self.data}"
        )

    @property
    def paper(self) -> str:
        """See `Prevention`."""
        return "the penalty of arXiv 2602.07852"

    @contextmanager
    def added(
        self,
        model: "LocalModel",
        adapter: Any | None,
        rows: TokenRows,  # noqa: ARG002
    ) -> Iterator[Additions]:
        """See `Prevention`."""
        others = TokenRows.of(render_rows(model.chat, self.rows, self.data, context=model.trunk.context))
        with keep_reference(model.net, others, adapter_off=_off(adapter)) as before:

            def loss(part: "Part", share: float) -> Tensor:
                then = before.read(part)
                nats = chunked_divergence(
                    part.hidden[part.before],
                    model.trunk.logits,
                    then.hidden[then.before],
                    before.trunk.logits,
                    beta=0.0,
                )
                value = self.weight * share * nats.sum()
                torch.autograd.backward(value)
                return value.detach()

            still = partial(evaluating, model.net)
            which = digest(["off-domain KL", others.digest, self.weight, self.rows_per_step])
            yield Additions(
                which, forward_context=_Passes(still, still), beside=Beside(others, self.rows_per_step, loss)
            )


class _Rise:
    """The penalty on latents, from the activations of the pass that the loss is of."""

    def __init__(
        self,
        model: "LocalModel",
        before: "Reference",
        sae: SAE,
        site: "Site",
        latents: tuple[int, ...],
        weight: float,
    ) -> None:
        self._model, self._before, self._sae, self._site = model, before, sae, site
        self._weight, self._count = weight, len(latents)
        device = model.trunk.device
        self._place = torch.full((sae.width,), -1, device=device)
        self._place[list(latents)] = torch.arange(len(latents), device=device)
        self._states = torch.zeros(0)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around a forward pass: keeps its activations."""
        with evaluating(self._model.net), tapping(self._model.trunk, self._site) as found:
            yield
        self._states = torch.cat(found)

    def loss(self, part: "Part") -> Tensor:
        """The penalty of a part, summed over its trained tokens."""
        with tapping(self._before.trunk, self._site) as found:
            self._before.read(part)
        then, now = torch.cat(found), self._states
        with torch.autocast(part.ids.device.type, enabled=False):
            total = now.new_zeros((), dtype=torch.float32)
            for rows in torch.split(part.before, _ROWS):
                rise = self._values(now[rows]) - self._values(then[rows])
                total = total + rise.relu().square().sum()
        return self._weight * total

    def _values(self, states: Tensor) -> Tensor:
        """The chosen latents [N, S] of activations [N, D]."""
        codes = self._sae.codes(states.float())
        at = self._place[codes.pattern.latents]
        chosen = at >= 0
        table = codes.values.new_zeros(len(states), self._count)
        return table.index_put((codes.pattern.rows[chosen], at[chosen]), codes.values[chosen])


class _Passes:
    """The context of forward passes, and that of what the backward pass makes again of one.

    Layers whose activations are made again ask for the latter within the former, when they are gone through.
    Hooks at the input and output of layers are outside of what is made again, and do not act a second time.
    """

    def __init__(
        self,
        forward: _Context,
        again: _Context,
    ) -> None:
        self._forward, self._again, self._open = forward, again, False

    def __call__(self) -> AbstractContextManager[object]:
        return self._again() if self._open else self._opened()

    @contextmanager
    def _opened(self) -> Iterator[None]:
        self._open = True
        try:
            with self._forward():
                yield
        finally:
            self._open = False


def _off(adapter: Any | None) -> _Context | None:
    return None if adapter is None else adapter.disable_adapter


def _weights(sae: SAE) -> str:
    of = sha256()
    for name, weight in sorted(sae.state_dict().items()):
        of.update(f"{name} {list(weight.shape)}".encode() + weight.cpu().numpy().tobytes())
    return of.hexdigest()


def _check_weight(weight: float) -> None:
    if not (isfinite(weight) and weight > 0):
        raise InputError(f"the weight of a penalty is above 0, not {weight}")
