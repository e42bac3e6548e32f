"""One file for each published method, readable from top to bottom: config, data recipe, loss, order of steps.

Here belong the numbers of a method, what it learns from and what comes after what. Loops do not: they
are in `train`; what a run leaves behind and its pages are made in `recipes`; a method knows no other.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.methods.distill import Distance, DistillConfig, DistilledOnPolicy, distill_on_policy
    from truing.methods.dpo import DPOFigures, DPOTuned, DPOTuningConfig, Shift, tune_by_dpo
    from truing.methods.grpo import GRPO_PRESETS, GRPOTuningConfig, tune_by_grpo
    from truing.methods.held_out import PROXY
    from truing.methods.instructgpt import PPO_PRESETS, Mixed, PPOTuningConfig, make_start, tune_by_ppo
    from truing.methods.linear_reward import LinearRewardConfig, LinearRewardTrained, train_linear_reward
    from truing.methods.merging import Merged, merge_adapter
    from truing.methods.policy_prompts import PolicyPrompts, read_prompts
    from truing.methods.policy_saving import PolicyRun, PolicyTuned, measured_before
    from truing.methods.pretraining import read_pretraining
    from truing.methods.prevention import LatentPenalty, OffDomainKL, PreventativeSteering, Prevention
    from truing.methods.rbr_comparisons import (
        RankedAnswers,
        Reject,
        SafetyPrompt,
        Told,
        Written,
        telling,
        write_comparisons,
    )
    from truing.methods.rbr_diagnostics import (
        RBR_ALONE,
        RM_ALONE,
        RM_AND_RBR,
        FeatureContribution,
        Violations,
        centred_rewards,
        feature_contributions,
        order_errors,
        order_violations,
        reward_signals,
    )
    from truing.methods.rbr_recipes import Kind, Recipe, Trait, ideal_truths, usual_recipe
    from truing.methods.rbr_tables import AnswerTable, answer_tables
    from truing.methods.rbr_thresholds import tune_thresholds
    from truing.methods.realign import RealignConfig, Realigned, realign_by_sft
    from truing.methods.realign_measuring import Measurement, Watchlist, aligned_again, not_aligned
    from truing.methods.reward_model import (
        REWARD_PRESETS,
        RewardModelConfig,
        RewardModelTrained,
        train_reward_model,
    )
    from truing.methods.rule_based_rewards import RBRConfig, RuleFit, TypeFit, fit_rule_weights
    from truing.methods.sft import SFT_PRESETS, SFTConfig, Tuned, Validation, finetune, read_conversations
    from truing.methods.size_presets import SIZE_PRESETS
    from truing.methods.teacher_answers import DistilledAnswers, TeacherAnswers, distill_answers

__getattr__, __dir__, __all__ = door(__name__, __file__)
