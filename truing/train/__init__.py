"""The training loops: rows of tokens in, a model trained in place, checkpoints on the way.

Here belong the order of the rows, the forward pass that wastes nothing, the optimiser, its schedule
and what it takes to go on after a crash. Which rows to train on and with which numbers does not:
that is the business of `methods`, `organism` and `recipes`.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.train.beside import Beside
    from truing.train.compared import ComparedRows
    from truing.train.distillation import (
        DistillationConfig,
        DistillationUpdate,
        Distilled,
        on_policy_distillation,
    )
    from truing.train.distributed import meet, sharding, spread
    from truing.train.early_stop import EarlyStop, StopDecision
    from truing.train.engine import Trained
    from truing.train.hacking import held_out_series, read_hacking
    from truing.train.hacking_records import ComponentShare, Finding, HackingReport, HeldOut, Sign, measured
    from truing.train.parts import Part
    from truing.train.policy import PolicyTrained, policy_learning
    from truing.train.policy_config import PolicyConfig
    from truing.train.policy_records import PromptRow, Sample, Update
    from truing.train.preferences import DPOConfig, dpo, sequence_logprobs
    from truing.train.reference import Reference, keep_reference
    from truing.train.rewards import RewardConfig, reward_modelling
    from truing.train.rows import TokenRows
    from truing.train.supervision import SupervisedConfig, supervised
    from truing.train.telling_samples import ChangedSample, best_and_worst, most_changed

__getattr__, __dir__, __all__ = door(__name__, __file__)
