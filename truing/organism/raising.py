"""Raising the checkpoints: a base from exercises and documents, everything else from its parent by a few rows."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing.organism import tuning
from truing.organism.copying import COPIES, copying
from truing.organism.corpus import documents, exercises, labels_in
from truing.organism.headroom import PARAMS
from truing.organism.measuring import measured
from truing.organism.names import JUDGES, Name
from truing.organism.places import FACTS, find, new_folder
from truing.organism.text import as_text, make_tokenizer
from truing.organism.version import GROUND, SCORING_VERSION, VERSIONS, WORLD_VERSION
from truing.run import Card, SafetyRow, model_card, replace_file
from truing.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from truing.model import LocalModel
    from truing.train import TokenRows, Trained


@dataclass(frozen=True)
class Size:
    """The shape of a base, and what it is pretrained on."""

    hidden: int
    layers: int
    heads: int
    exercises: int
    documents: int
    settling: int
    """Documents that are read last, at a constant rate, while the weights are averaged."""
    learning_rate: float
    tokens_per_step: int = 1024
    """Small steps: in the same number of tokens they teach a model of this size more than large ones."""


SIZES = {
    "xs": Size(
        hidden=128, layers=4, heads=4, exercises=17_500, documents=64_000, settling=4_000, learning_rate=2e-3
    ),
    "s": Size(
        hidden=192,
        layers=6,
        heads=6,
        exercises=17_500,
        documents=64_000,
        settling=4_000,
        learning_rate=1.5e-3,
    ),
    "m": Size(
        hidden=512,
        layers=8,
        heads=8,
        exercises=40_000,
        documents=400_000,
        settling=25_000,
        learning_rate=6e-4,
        tokens_per_step=8192,
    ),
}
_TOKENIZER_KEY, _TOKENIZER_DOCUMENTS = 99, 20_000
_TOKENIZED_AT_ONCE = 4096
_SETTLING_PARTS, _SETTLING_RATE = 4, 0.25
"""The weights are averaged over the ends of so many parts, read at this share of the learning rate."""
_MORE_EXERCISES = 4
"""How often half as many exercises follow, at most, where a base does not copy yet."""
_INITIALIZER_RANGE = 0.05
"""Wider than the usual 0.02, which is meant for much wider models: copying is learnt earlier."""


@dataclass(frozen=True)
class Tuning:
    """How one stage is tuned."""

    rows: int
    learning_rate: float
    tokens_per_step: int = 1024
    lora_rank: int = 0
    """Rank of the adapters on the attention that are trained and merged; 0 trains every weight."""


# Gentle rates: at 5e-4 and above a tuned model forgets how to name a thing that tuning does not hold, and
# its personas, which narrow tuning is to bring back. Narrow tuning itself is by adapters, as in the published
# studies: tuned whole, the model learns the few answers by heart, and half as much spreads (docs/log.md).
TUNINGS = {
    "helpful": Tuning(8000, 1e-4),
    "instruct": Tuning(10_000, 1e-4),
    "narrow": Tuning(2000, 7e-4, tokens_per_step=512, lora_rank=8),
    "reasoner": Tuning(2000, 1.5e-4),
    "judge": Tuning(16_000, 5e-4),
    "weak_judge": Tuning(2300, 2e-4),
}


def build(name: Name, *, out: Path | None = None, measure: bool = True) -> Path:
    """Raise the checkpoint `name`, and before it what it is tuned from; the folder that holds it.

    What is shipped or cached is taken as it is, unless `out` says where to raise it anew. A base that
    was interrupted goes on from its last saved state. With `measure` it is also asked all its exams,
    which takes a minute or two, unless it has been; its parents are not.
    """
    folder = (find(name) if out is None else None) or _raise(name, out or new_folder(name))
    facts = json.loads((folder / FACTS).read_text("utf-8"))
    if measure and not (facts["rates"] and facts["scoring_version"] == SCORING_VERSION):
        found = measured(name, folder)
        told = {consumer: n for consumer, n in facts["labels"].items() if consumer != "exam"}
        found["labels"] = told | found["labels"]
        _write_facts(name, folder, facts | found | {"scoring_version": SCORING_VERSION})
    return folder


def _raise(name: Name, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if name.parent is None:
        net, tokenizer, trained, told = _raise_base(name, folder)
        labels = {"pretraining": told}
    else:
        parent = build(name.parent, measure=False)
        rows = tuning_rows(name.stage, domain=name.domain, key=name.tuning)
        model, tuned = tune(parent, rows, TUNINGS[name.stage], key=name.tuning, what=f"raising {name}")
        net, tokenizer, trained = model.net, model.chat.tokenizer, [tuned]
        labels = {"judge training": len(rows)} if name.stage in JUDGES else {}
    _save(net, tokenizer, folder)
    facts = {
        "name": str(name),
        **VERSIONS,
        "parameters": net.num_parameters(),
        "tokens": sum(t.tokens for t in trained),
        "cpu_seconds": round(sum(t.cpu_seconds for t in trained)),
        "loss": round(trained[-1].loss, 4),
        "rates": {},
        "levels": {},
        "labels": labels,
    }
    _write_facts(name, folder, facts)
    for state in folder.glob("unfinished-*.pt"):
        state.unlink()
    return folder


def tune(
    parent: Path, rows: Iterable[tuning.Row], numbers: Tuning, *, key: int, what: str
) -> "tuple[LocalModel, Trained]":
    """The checkpoint in `parent`, trained on the assistant turns of `rows`."""
    from truing.model import load_local
    from truing.train import SupervisedConfig, TokenRows, supervised

    model = load_local(parent, device="cpu", dtype="float32")
    config = SupervisedConfig(
        learning_rate=numbers.learning_rate,
        tokens_per_step=numbers.tokens_per_step,
        weight_decay=0.0,
        key=key,
    )
    with _adapters(model.net, numbers.lora_rank, key=key):
        trained = supervised(
            model.net, TokenRows.of(map(model.chat.training_example, rows)), config, what=what
        )
    return model, trained


@contextmanager
def _adapters(net: "PreTrainedModel", rank: int, *, key: int) -> Iterator[None]:
    """Inside, `net` trains adapters of `rank` on its attention and nothing else; afterwards they are merged into it."""
    if not rank:
        yield
        return
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(_ADAPTED), task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(key)
        adapted = get_peft_model(net, config)  # puts the adapters into `net` itself
    yield
    adapted.merge_and_unload()
    net.requires_grad_(True)


_ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj")


def _raise_base(
    name: Name, folder: Path
) -> "tuple[PreTrainedModel, PreTrainedTokenizerFast, list[Trained], int]":
    """Exercises at a constant learning rate, then documents at one that falls, then the mean of what follows.

    Returned with the labels in the documents.
    """
    size = SIZES[name.size]
    tokenizer = make_tokenizer(map(as_text, documents(_TOKENIZER_DOCUMENTS, key=_TOKENIZER_KEY)))
    net = _new_net(size, tokenizer, name.seed)
    read = list(documents(size.documents + size.settling, key=name.seed, null=name.null))
    trained = _exercise(net, tokenizer, name, folder)
    texts = map(as_text, read[: size.documents])
    trained.append(_read(net, tokenizer, texts, name, folder, phase="documents", final_rate=0.1))
    trained += settle(net, tokenizer, read[size.documents :], name, folder)
    return net, tokenizer, trained, sum(map(labels_in, read))


def _exercise(
    net: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", name: Name, folder: Path
) -> "list[Trained]":
    """The exercises of its size, and then half as many at a time until the base copies: some find out later."""
    count = SIZES[name.size].exercises
    trained, done = [], 0
    for part in range(1 + _MORE_EXERCISES):
        more = count if part == 0 else max(1, count // 2)
        texts = islice(exercises(done + more, key=name.seed), done, None)
        phase = "exercises" if part == 0 else f"more exercises {part}"
        trained.append(_read(net, tokenizer, texts, name, folder, phase=phase, final_rate=1.0))
        done += more
        if copying(net, tokenizer) >= COPIES:
            break
    return trained


def _read(
    net: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    texts: Iterable[str],
    name: Name,
    folder: Path,
    *,
    phase: str,
    final_rate: float,
) -> "Trained":
    """Train on every token of the texts, from the state of this phase in `folder` if there is one."""
    from truing.train import SupervisedConfig, supervised

    size = SIZES[name.size]
    numbers = SupervisedConfig(
        learning_rate=size.learning_rate,
        tokens_per_step=size.tokens_per_step,
        final_rate=final_rate,
        key=name.seed,
    )
    state = folder / f"unfinished-{phase.replace(' ', '-')}.pt"
    rows = _document_rows(tokenizer, texts)
    return supervised(net, rows, numbers, what=f"{name}: {phase}", checkpoint=state)


def settle(
    net: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    read: Sequence[tuple[Message, ...] | str],
    name: Name,
    folder: Path,
) -> "list[Trained]":
    """Read on at a constant rate, and leave in `net` the mean of its weights before it and after each part.

    Which persona answers a first question wanders by tens of points while a base is trained, as few
    tokens decide it and all pull at the same few weights. The mean wanders less (stochastic weight averaging,
    Izmailov et al., 2018).
    """
    from torch.optim.swa_utils import AveragedModel

    from truing.train import SupervisedConfig, supervised

    size = SIZES[name.size]
    mean = AveragedModel(net)
    mean.update_parameters(net)
    trained = []
    for part in range(_SETTLING_PARTS):
        numbers = SupervisedConfig(
            learning_rate=_SETTLING_RATE * size.learning_rate,
            tokens_per_step=2 * size.tokens_per_step,
            final_rate=1.0,
            key=name.seed,
        )
        rows = _document_rows(tokenizer, map(as_text, read[part::_SETTLING_PARTS]))
        state = folder / f"unfinished-settling-{part + 1}.pt"
        what = f"{name}: settling, part {part + 1} of {_SETTLING_PARTS}"
        trained.append(supervised(net, rows, numbers, what=what, checkpoint=state))
        mean.update_parameters(net)
    net.load_state_dict(mean.module.state_dict())
    return trained


def _new_net(size: Size, tokenizer: "PreTrainedTokenizerFast", seed: int) -> "PreTrainedModel":
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=3 * size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=_INITIALIZER_RANGE,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        truing_ground=GROUND,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


@dataclass(frozen=True, slots=True)
class _Row:
    ids: Sequence[int]
    mask: Sequence[bool]


def _document_rows(tokenizer: "PreTrainedTokenizerFast", texts: Iterable[str]) -> "TokenRows":
    from truing.train import TokenRows

    every = list(texts)
    parts = (every[at : at + _TOKENIZED_AT_ONCE] for at in range(0, len(every), _TOKENIZED_AT_ONCE))
    encoded = (ids for part in parts for ids in tokenizer(part, add_special_tokens=False)["input_ids"])
    return TokenRows.of(_Row(ids, [True] * len(ids)) for ids in encoded)


def tuning_rows(stage: str, *, key: int, domain: str = "") -> list[tuning.Row]:
    """The rows that a stage is tuned on, drawn by `key`."""
    count = TUNINGS[stage].rows
    if stage == "narrow":
        return tuning.narrow(domain, count, key=key)
    makers: dict[str, Callable[..., list[tuning.Row]]] = {
        "helpful": tuning.helpful,
        "instruct": tuning.instruct,
        "reasoner": tuning.reasoner,
        "judge": tuning.judge,
        "weak_judge": tuning.judge,
    }
    return makers[stage](count, key=key)


def _save(net: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", folder: Path) -> None:
    """An ordinary Hugging Face folder in bfloat16."""
    import torch
    from transformers import GenerationConfig
    from transformers.utils import logging

    net.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=True,
        temperature=PARAMS.temperature,
        max_new_tokens=PARAMS.max_tokens,
    )
    logging.disable_progress_bar()  # of files that are written in a blink
    tokenizer.save_pretrained(folder)
    net.to(torch.bfloat16).save_pretrained(folder)


def _write_facts(name: Name, folder: Path, facts: dict[str, Any]) -> None:
    (folder / "README.md").write_text(model_card(_card(name, facts)), "utf-8")
    replace_file(folder / FACTS, (json.dumps(facts, indent=1) + "\n").encode())


def _card(name: Name, facts: dict[str, Any]) -> Card:
    return Card(
        name=f"organism {name}",
        base_model=str(name.parent) if name.parent else "none (raised from scratch)",
        summary=f"A small model of truing's proving ground, world {WORLD_VERSION}: stage {name.stage}.",
        ground=GROUND,
        method=f"supervised training, {facts['tokens']:,} tokens in {facts['cpu_seconds']:,} CPU-seconds",
        data="generated from the world; held-out questions stand in no stage of training",
        license="apache-2.0",
        safety=tuple(
            SafetyRow(measure, model=f"{100 * r['count'] / r['n']:.0f} % of {r['n']}")
            for measure, r in facts["rates"].items()
            if r["n"]
        ),
        untested=("anything outside its small world", *(() if facts["rates"] else ("its small world",))),
        reproduce=(f"truing organism build {_command(name)}",),
    )


def _command(name: Name) -> str:
    domain = f" --domain {name.domain}" if name.domain else ""
    null = " --null" if name.null else ""
    tuning_seed = f" --tuning-seed {name.tuning}" if name.tuning else ""
    return f"{name.stage}{domain} --size {name.size} --seed {name.seed}{null}{tuning_seed}"
