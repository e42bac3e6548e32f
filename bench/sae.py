"""Training a TopK autoencoder against SAELens' runner: tokens per second, the model's activations included.

A random Llama of 4 layers and width 256 reads rows of 128 tokens, and 4096 latents learn what leaves its third
layer, 32 of them active, 4096 tokens a step, Adam. First both sides open each other's files; then each trains
on the same tokens, and what both explain of others is told, so that speed is not bought with what is learnt.
What the steps alone take, on activations that are there already, is told besides. SAELens is as it comes: its
sparse activations do not run on a CPU with this torch. Seconds are the processor's, with one thread.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from bench.pairs import time_pairs
from bench.sae_exchange import exchanged
from bench.training_part import VOCABULARY, dataset, policy, silence, tokenizer
from truing.model import ChatFormat, LocalModel, Site
from truing.numerics import explained_variance, generator
from truing.probe import SAE, HeldActivations, TokenActivations, TopKConfig, train_saes
from truing.types import Fingerprint

LAYER, WIDTH, K, BATCH, STEPS = 2, 4096, 32, 4096, 4
CONTEXT, BUFFER, RATE, PAIRS = 128, 8192, 4e-4, 3
LEAST = 1.5
"""So many times as fast is promised, activations included."""
TOKENS = STEPS * BATCH

Train = Callable[[], Any]


def main() -> int:
    """Print what was found; the last line is that with the activations included."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with torch.no_grad():
        kept = exchanged()
    told = f"{WIDTH} latents, k {K}, width 256, batch {BATCH}"
    kept &= _learnt()
    _compare(f"steps of an autoencoder alone, {told}, peer: SAELens", steps_alone, their_steps())
    kept &= _compare(f"training an autoencoder, {told}, peer: SAELens", ours, theirs()) >= LEAST
    return int(not kept)


def _compare(what: str, mine: Train, peer: Train) -> float:
    found = time_pairs(what, mine, peer, pairs=PAIRS, clock=time.process_time)
    print(
        f"{what}: {TOKENS / found['ours']:.0f} tokens per CPU-second, "
        f"the peer {TOKENS / found['peer']:.0f}; {found['ratio']:.2f} times as fast"
    )
    print(json.dumps(found))
    return float(found["ratio"])


def _learnt() -> bool:
    """What both explain of tokens that they did not see, with as many steps as are timed."""
    sequences = rows("held out", 32)
    x = model().capture(sequences, [Site(LAYER)], [range(CONTEXT)] * len(sequences))[Site(LAYER)]
    sae: SAE = ours()
    peer = theirs()()
    with torch.no_grad():
        mine, its = explained_variance(x, sae(x)), explained_variance(x, peer(x))
    print(f"explained variance of unseen tokens after {STEPS} steps: {mine:.3f}, SAELens {its:.3f}")
    return mine >= its


def ours() -> SAE:
    """Our training, from token ids on."""
    with silence():
        stream = TokenActivations(model(), rows()[: TOKENS // CONTEXT], Site(LAYER), first=0, buffer=BUFFER)
        return train_saes(stream, [config()], batch=BATCH)[0].sae


def steps_alone() -> SAE:
    """Our training on held activations."""
    with silence():
        return train_saes(HeldActivations(held(), buffer=BUFFER), [config()], batch=BATCH)[0].sae


def theirs() -> Train:
    """SAELens' runner, from the same token ids on."""
    from sae_lens import LanguageModelSAETrainingRunner
    from sae_lens.load_model import HookedProxyLM

    data = dataset([{"input_ids": list(ids)} for ids in rows()])

    def train() -> Any:
        with silence():
            net = HookedProxyLM(policy().eval(), tokenizer(), hook_names=[f"model.layers.{LAYER}"])
            runner = LanguageModelSAETrainingRunner(
                _runner_config(), override_dataset=data, override_model=net
            )
            return runner.run()

    return train


def their_steps() -> Train:
    """SAELens' trainer on held activations."""
    from sae_lens import saes
    from sae_lens.training.sae_trainer import SAETrainer

    def train() -> Any:
        with silence():
            runner = _runner_config()
            batches = iter(held()[torch.randperm(TOKENS)].split(BATCH))
            return SAETrainer(runner.to_sae_trainer_config(), saes.TopKTrainingSAE(runner.sae), batches).fit()

    return train


def _runner_config() -> Any:
    from sae_lens import LanguageModelSAERunnerConfig, LoggingConfig, saes

    return LanguageModelSAERunnerConfig(
        sae=saes.TopKTrainingSAEConfig(d_in=256, d_sae=WIDTH, k=K),
        model_name="random", model_class_name="AutoModelForCausalLM", hook_name=f"model.layers.{LAYER}",
        dataset_path="given", is_dataset_tokenized=True, context_size=CONTEXT, prepend_bos=False,
        n_batches_in_buffer=BUFFER // CONTEXT, training_tokens=TOKENS, train_batch_size_tokens=BATCH, lr=RATE,
        logger=LoggingConfig(log_to_wandb=False), checkpoint_path=None, output_path=None, verbose=False,
    )  # fmt: skip


def config() -> TopKConfig:
    """The same numbers on our side, with a schedule as flat as theirs."""
    return TopKConfig(WIDTH, K, learning_rate=RATE, warmup=0.0, decay=0.0)


def rows(name: str = "rows", count: int = TOKENS // CONTEXT + BUFFER // CONTEXT) -> list[tuple[int, ...]]:
    """Token ids of some documents of which a few words are most of what is said; SAELens reads ahead."""
    drawn = generator(0, "sae", name).zipf(1.2, (count, CONTEXT))
    return [tuple((2 + row % (VOCABULARY - 2)).tolist()) for row in drawn]


@cache
def model() -> LocalModel:
    """The model on our side."""
    made = tokenizer()
    made.chat_template = "{% for m in messages %}{{ m['content'] }}<end>{% endfor %}"
    return LocalModel(policy(), ChatFormat(made, eos_ids=frozenset({1})), Fingerprint("random"))


@cache
def held() -> Tensor:
    """Activations of as many tokens as are trained on."""
    chosen = rows()[: TOKENS // CONTEXT]
    return model().capture(chosen, [Site(LAYER)], [range(CONTEXT)] * len(chosen))[Site(LAYER)]


if __name__ == "__main__":
    sys.exit(main())
