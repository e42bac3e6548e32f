"""A language model: load by reference, render a conversation, sample, score, read and change activations.

Here belong everything that turns a reference into a model and text into token ids and back, the
samplers and scorers (in this process and behind an endpoint), and hooks on activations. What to do
with the answers does not: judging lives in `grade`, training in `train`, choosing directions in
`probe`.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.model.capturing import Captured, tapping
    from truing.model.chat import ChatFormat, Rendered
    from truing.model.divergence import PairedScores, paired_kl
    from truing.model.endpoint import EndpointModel
    from truing.model.endpoint_tops import TopTokens
    from truing.model.fingerprint import fingerprint_folder
    from truing.model.hooks import (
        Add,
        Clamp,
        Edit,
        Point,
        ProjectOut,
        Site,
        Where,
        ablation,
        steering,
        steering_recomputed,
    )
    from truing.model.identity import identify
    from truing.model.loading import computes_bfloat16, load, load_local
    from truing.model.local import LocalModel
    from truing.model.memory import BATCH_ROWS, BATCH_TOKENS, MemoryEstimate, estimate
    from truing.model.memory_training import TrainingMemory, TrainingSetup, training_memory
    from truing.model.packing import PackedForward
    from truing.model.reasoning import Split
    from truing.model.refs import find_folder
    from truing.model.rollout_engine import TRAINABLE, EndpointRollout, RolloutEngine
    from truing.model.scalar import ScalarModel
    from truing.model.scalar_folder import scalar_head
    from truing.model.score import completion_logprobs
    from truing.model.sharded import is_sharded, save_net, whole
    from truing.model.trunk import Trunk, context_length, decoder_layers, evaluating, unwrapped

__getattr__, __dir__, __all__ = door(__name__, __file__)
