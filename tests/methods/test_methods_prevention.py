"""Preventions against formulas by hand, in every family, and what they promise of a fine-tuning."""

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from methods.crashing import CrashError, crash_in_step
from methods.small import conversation_rows
from model.tiny import checkpoint
from safetensors.torch import load_file
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from truing.data import to_messages
from truing.methods import (
    LatentPenalty,
    OffDomainKL,
    PreventativeSteering,
    Prevention,
    SFTConfig,
    finetune,
)
from truing.methods.adapters import lora
from truing.model import LocalModel, Point, Site, load_local
from truing.probe import Direction, SavedSAE, TopK
from truing.train import SupervisedConfig, TokenRows, parts, resume, supervised
from truing.types import InputError, Message

FAMILIES = ("llama", "qwen3", "gemma3", "gpt_neox")
SITE = Site(0)
LATENTS = (2, 5, 11, 17, 23)
ONE_STEP = SupervisedConfig(1e-3, tokens_per_step=10**6, clip=1e9, weight_decay=0.0)


def conversations(count: int, *, start: int = 0) -> list[tuple[Message, ...]]:
    return [tuple(to_messages(row["messages"])) for row in conversation_rows(start + count)[start:]]


ROWS, OTHERS = conversations(7), conversations(5, start=20)


def direction(width: int = 32, site: Site = SITE) -> Direction:
    vector = torch.randn(width, generator=torch.Generator().manual_seed(3))
    return Direction("persona", vector, site, "response")


def autoencoder(width: int = 32, site: Site | None = SITE) -> SavedSAE:
    sae = TopK(24, width, 12).begin(torch.zeros(width), key=4)
    return SavedSAE(sae.eval().requires_grad_(False), "tiny", site)


PREVENTIONS: dict[str, Prevention] = {
    "steering": PreventativeSteering(direction(), 0.7),
    "steering all": PreventativeSteering(direction(site=Site(1, Point.resid_pre)), -0.4, "all"),
    "steering mlp": PreventativeSteering(direction(site=Site(0, Point.mlp)), 0.7),
    "latents": LatentPenalty(autoencoder(), LATENTS, 0.3),
    "latents attention": LatentPenalty(autoencoder(site=Site(1, Point.attention)), LATENTS, 0.3),
    "kl": OffDomainKL(OTHERS, 0.8, 3),
}


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in float32 also where the processor has bfloat16: formulas are compared to five digits."""
    monkeypatch.setattr(parts, "computes_bfloat16", lambda _: False)


@functools.cache
def kept(family: str) -> LocalModel:
    """A shared one."""
    return load_local(checkpoint(family), device="cpu", dtype="float32")


def loaded(family: str) -> LocalModel:
    """One of its own."""
    return copy.deepcopy(kept(family))


def perturbed(net: torch.nn.Module) -> None:
    """Move what is trained away from where it was, as training does."""
    drawn = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for p in net.parameters():
            if p.requires_grad:
                p += 0.02 * torch.randn(p.shape, generator=drawn)


def laid_out(model: LocalModel, rows: list[tuple[Message, ...]]) -> TokenRows:
    return TokenRows.of(model.chat.training_example(row) for row in rows)


@contextmanager
def at_site(model: LocalModel, site: Site, use: Any) -> Iterator[None]:
    """A hook of our own, on the layer, or on a Llama's sublayer."""
    layer = model.trunk.layers[site.layer]
    layer = getattr(layer, {Point.attention: "self_attn", Point.mlp: "mlp"}.get(site.point, ""), layer)
    if site.point is Point.resid_pre:
        handle = layer.register_forward_pre_hook(lambda _, args: (use(args[0]), *args[1:]))
    else:

        def after(_: Any, __: Any, out: Any) -> Any:
            return use(out) if isinstance(out, Tensor) else (use(out[0]), *out[1:])

        handle = layer.register_forward_hook(after)
    yield
    handle.remove()


def nll(logits: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Summed over the tokens that carry loss."""
    return -logits[:-1].log_softmax(-1).gather(1, ids[1:, None])[mask[1:], 0].sum()


def states(model: LocalModel, ids: Tensor, site: Site) -> Tensor:
    """[T, D] at the site."""
    kept: list[Tensor] = []
    with at_site(model, site, lambda h: kept.append(h) or h):
        model.net(input_ids=ids[None], use_cache=False)
    return kept[0][0]


def by_hand(name: str, model: LocalModel, before: LocalModel) -> Tensor:
    """The loss of one step over all rows, row by row through transformers' own forward pass."""
    prevention: Any = PREVENTIONS[name]
    rendered = [model.chat.training_example(row) for row in ROWS]
    total, extra, count = torch.zeros(()), torch.zeros(()), sum(sum(one.mask) for one in rendered)
    for one in rendered:
        ids, mask = torch.tensor(one.ids), torch.tensor(one.mask)
        first = one.mask.index(True)
        if name.startswith("steering"):
            start = 0 if name == "steering all" else first - 1
            push = torch.zeros(len(ids), 1)
            push[start:] = prevention.coefficient
            steer = prevention.direction
            with at_site(model, steer.site, lambda h, by=push * steer.vector: h + by):
                logits = model.net(input_ids=ids[None], use_cache=False).logits[0]
        else:
            logits = model.net(input_ids=ids[None], use_cache=False).logits[0]
        total = total + nll(logits, ids, mask)
        if name.startswith("latents"):
            at = torch.tensor([i - 1 for i, m in enumerate(one.mask) if m])
            sae, site = prevention.saved.sae, prevention.saved.site
            with torch.no_grad():
                old = sae.encode(states(before, ids, site)[at])
            new = sae.encode(states(model, ids, site)[at])
            extra = extra + (new - old)[:, list(LATENTS)].relu().pow(2).sum()
    if name != "kl":
        return (total + 0.3 * extra) / count
    chosen = chosen_others()
    nats, tokens = torch.zeros(()), 0
    for row in (OTHERS[i] for i in chosen):
        one = model.chat.training_example(row)
        ids, mask = torch.tensor(one.ids), torch.tensor(one.mask)
        logp = model.net(input_ids=ids[None], use_cache=False).logits[0].log_softmax(-1)[:-1][mask[1:]]
        with torch.no_grad():
            logq = before.net(input_ids=ids[None], use_cache=False).logits[0].log_softmax(-1)[:-1][mask[1:]]
        nats = nats + (logq.exp() * (logq - logp)).sum()
        tokens += int(mask.sum())
    return total / count + 0.8 * nats / tokens


def chosen_others() -> list[int]:
    """The rows beside of the first step."""
    from truing.train.rollout import drawn

    return sorted(drawn(0, "beside", 0, 3, len(OTHERS)).tolist())


def one_step(
    name: str, model: LocalModel, adapter: Any, *, move: bool, config: SupervisedConfig = ONE_STEP
) -> tuple[float, dict[str, Tensor]]:
    """The loss and the gradients of a step of training, on weights moved after the reference was kept."""
    found: dict[str, Tensor] = {}
    rows = laid_out(model, ROWS)

    def record(optimizer: torch.optim.Optimizer, *_: object) -> None:
        found.update({n: p.grad.clone() for n, p in model.net.named_parameters() if p.grad is not None})

    handle = register_optimizer_step_pre_hook(record)
    with PREVENTIONS[name].added(model, adapter, rows) as added:
        if move:
            perturbed(model.net)
        told = supervised(
            model.net,
            rows,
            replace(config, also=added.digest),
            what="test",
            extra_loss=added.extra_loss,
            forward_context=added.forward_context,
            beside=added.beside,
        )
    handle.remove()
    return told.loss, found


CASES = [(family, name, 0) for family in FAMILIES for name in ("steering", "latents", "kl")]
CASES += [("llama", name, 0) for name in ("steering all", "steering mlp", "latents attention")]
CASES += [("llama", name, 4) for name in ("steering", "latents", "kl")]


@pytest.mark.parametrize(("family", "name", "rank"), CASES)
def test_a_step_has_the_loss_and_the_gradient_of_the_formula(
    family: str, name: str, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several uneven micro-batches; whole weights, and LoRA."""
    monkeypatch.setattr(parts, "MICRO_TOKENS", 70)
    before, oracle, model = kept(family), loaded(family), loaded(family)
    adapters = [
        lora(m.net, str(checkpoint(family)), rank=rank, key=1, task="CAUSAL_LM") if rank else None
        for m in (oracle, model)
    ]
    perturbed(oracle.net)
    wanted = by_hand(name, oracle, before)
    wanted.backward()
    theirs = {n: p.grad for n, p in oracle.net.named_parameters() if p.grad is not None}
    loss, ours = one_step(name, model, adapters[1], move=True)
    assert loss == pytest.approx(float(wanted.detach()), rel=1e-5)
    assert set(ours) == set(theirs)
    for key, gradient in theirs.items():
        scale = float(gradient.abs().max()) + 1e-3
        torch.testing.assert_close(ours[key], gradient, rtol=2e-3, atol=2e-5 * scale)


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("name", ["latents", "kl"])
def test_the_first_step_is_that_of_plain_training_bit_for_bit(name: str, rank: int) -> None:
    """Nothing has risen and nothing diverges: the penalty and its gradient are exactly 0."""

    def start() -> tuple[LocalModel, Any]:
        model = loaded("llama")
        return model, lora(model.net, "x", rank=rank, key=1, task="CAUSAL_LM") if rank else None

    monkey = pytest.MonkeyPatch()
    monkey.setattr("truing.methods.adapters.find_folder", lambda ref: Path(ref))
    model, adapter = start()
    loss, found = one_step(name, model, adapter, move=False)
    plain, _ = start()
    monkey.undo()
    wanted: dict[str, Tensor] = {}
    handle = register_optimizer_step_pre_hook(
        lambda *_: wanted.update(
            {n: p.grad.clone() for n, p in plain.net.named_parameters() if p.grad is not None}
        )
    )
    assert supervised(plain.net, laid_out(plain, ROWS), ONE_STEP, what="test").loss == loss
    handle.remove()
    assert all(torch.equal(found[n], gradient) for n, gradient in wanted.items())


@pytest.mark.parametrize("name", PREVENTIONS)
def test_activations_made_again_give_the_same_gradient(name: str) -> None:
    whole, again = (
        one_step(name, loaded("llama"), None, move=True, config=replace(ONE_STEP, recompute=on))
        for on in (False, True)
    )
    assert again[0] == whole[0]
    assert all(torch.equal(again[1][n], gradient) for n, gradient in whole[1].items())


SMALL = SFTConfig(learning_rate=1e-2, tokens_per_step=100, passes=3)


def weights(folder: Path) -> dict[str, Tensor]:
    (file,) = folder.glob("*.safetensors")
    found: dict[str, Tensor] = load_file(file)
    return found


def tuned(
    out: Path, prevention: Prevention | None, rank: int = 0, checkpoint_file: Path | None = None
) -> Path:
    return finetune(
        str(checkpoint("llama")), ROWS, out, replace(SMALL, lora_rank=rank), what="a test", data="rows",
        checkpoint=checkpoint_file, device="cpu", prevention=prevention,
    ).folder  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, Tensor]]:
    """The weights that the rows alone make, by the rank of the adapter."""

    @functools.cache
    def made(rank: int) -> dict[str, Tensor]:
        return weights(tuned(tmp_path_factory.mktemp("plain") / "out", None, rank))

    return made


@pytest.mark.parametrize(
    ("name", "rank"), [("steering", 0), ("steering", 4), ("latents", 0), ("latents", 4), ("kl", 0), ("kl", 4)]
)
def test_a_crashed_fine_tuning_goes_on_to_the_same_weights_and_the_card_says_what_was_done(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    rank: int,
    plain: Callable[[int], dict[str, Tensor]],
) -> None:
    prevention = PREVENTIONS[name]
    whole = tuned(tmp_path / "whole", prevention, rank)
    state = tmp_path / "state"
    monkeypatch.setattr(resume, "_EVERY", 0.0)
    with monkeypatch.context() as patch, pytest.raises(CrashError):
        crash_in_step(patch, 4)
        tuned(tmp_path / "out", prevention, rank, state)
    with pytest.raises(InputError, match="another configuration"):
        tuned(tmp_path / "out", None, rank, state)
    resumed = tuned(tmp_path / "out", prevention, rank, state)
    found, rows_alone = weights(resumed), plain(rank)
    for key, weight in weights(whole).items():
        assert torch.equal(found[key], weight)
    assert any(not torch.equal(rows_alone[key], weight) for key, weight in found.items())
    card = (whole / "README.md").read_text()
    assert prevention.told in card and prevention.paper in card


@pytest.mark.parametrize("change", [
    ("steering", {"coefficient": 0.9}), ("steering", {"at": "all"}),
    ("steering", {"direction": direction(site=Site(1))}),
    ("latents", {"weight": 3.0}), ("latents", {"latents": (1, 3)}), ("latents", {"saved": autoencoder(site=Site(1))}),
    ("kl", {"weight": 4.0}), ("kl", {"rows_per_step": 1}), ("kl", {"rows": conversations(5, start=40)}),
])  # fmt: skip
def test_every_number_has_an_effect_and_is_part_of_the_digest(change: tuple[str, dict[str, Any]]) -> None:
    name, numbers = change
    one: Any = PREVENTIONS[name]
    other = replace(one, **numbers)
    found = []
    for prevention in (one, other):
        model = loaded("llama")
        rows = laid_out(model, ROWS)
        with prevention.added(model, None, rows) as added:
            perturbed(model.net)
            config = replace(ONE_STEP, also=added.digest)
            loss = supervised(
                model.net, rows, config, what="test", extra_loss=added.extra_loss,
                forward_context=added.forward_context, beside=added.beside,
            ).loss  # fmt: skip
            found.append((loss, added.digest))
    assert found[0][0] != found[1][0] and found[0][1] != found[1][1]


def test_a_penalty_keeps_the_latents_and_the_predictions_near_to_what_they_were(tmp_path: Path) -> None:
    base, plain = loaded("llama"), load_local(tuned(tmp_path / "plain", None), device="cpu")
    held = load_local(tuned(tmp_path / "latents", LatentPenalty(autoencoder(), LATENTS, 30.0)), device="cpu")
    kept = load_local(tuned(tmp_path / "kl", OffDomainKL(OTHERS, 30.0, 5)), device="cpu")

    def rise(model: LocalModel) -> float:
        sae, total = autoencoder().sae, 0.0
        for row in ROWS:
            one = model.chat.training_example(row)
            ids = torch.tensor(one.ids)
            at = torch.tensor([i - 1 for i, m in enumerate(one.mask) if m])
            with torch.no_grad():
                new, old = (sae.encode(states(m, ids, SITE)[at])[:, list(LATENTS)] for m in (model, base))
            total += float((new - old).relu().pow(2).sum())
        return total

    def nats(model: LocalModel) -> float:
        total = 0.0
        for row in OTHERS:
            ids = torch.tensor(model.chat.training_example(row).ids)
            with torch.no_grad():
                logq, logp = (m.net(input_ids=ids[None]).logits[0].log_softmax(-1) for m in (base, model))
            total += float((logq.exp() * (logq - logp)).sum())
        return total

    assert rise(held) < 0.3 * rise(plain)
    assert nats(kept) < 0.3 * nats(plain)
