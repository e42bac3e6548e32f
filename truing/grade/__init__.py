"""Who judges an answer: parsers, the refusal grader, and how far each can be trusted.

Here belongs what turns one answer into a `Verdict`: reading a choice, a number or a text out of it,
telling refusals from help and language from gibberish, asking a language model to judge, and
measuring a grader against people's labels. It knows nothing of benchmarks or runs, and of models only
how to ask them: what a file's rows mean lies in `audit/suites`, what many verdicts mean in `audit`,
and the statistics in `numerics`.

A missing or unreadable answer is its own outcome and has no score.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.grade.agreement import Agreement, Stance
    from truing.grade.cached import CachedGrader
    from truing.grade.calibration import (
        MOST_NEEDED,
        CalibrationCard,
        ErrorRates,
        Ground,
        Rate,
        calibrate,
        read_card,
        write_card,
    )
    from truing.grade.choice import parse_choice
    from truing.grade.emergent import INCOHERENT, Emergent, MisalignmentRate, misalignment_rate
    from truing.grade.from_spec import RuleClasses, follows, yes_no
    from truing.grade.guards.harmbench import HarmBench
    from truing.grade.guards.llama_guard import LlamaGuard
    from truing.grade.guards.shieldgemma import ShieldGemma
    from truing.grade.guards.wildguard import WildGuard
    from truing.grade.harmful import Harmful
    from truing.grade.judging import grader_for, grader_versions, judge
    from truing.grade.labels import LabelledAnswer, Labels, read_labels
    from truing.grade.language import Coherence, Language, coherence
    from truing.grade.leak import Leak
    from truing.grade.learned_reward import LearnedReward
    from truing.grade.linear_reward import LinearReward, read_linear_reward
    from truing.grade.linear_reward_training import cross_fit_reward, dialogue_groups
    from truing.grade.measurement import Measurement, measure
    from truing.grade.moderation.grader import Moderation
    from truing.grade.moderation.mislabels import Disagreement, find_mislabels, relabel_all
    from truing.grade.moderation.model import ModerationModel, Reads, read_moderation_model
    from truing.grade.moderation.reduction import Reduced, reduce_input, word_effects
    from truing.grade.moderation.rows import CATEGORIES, ModerationRow, ModerationRows, read_moderation_rows
    from truing.grade.moderation.selection import (
        HeadAudit,
        Pick,
        Pipeline,
        audit_f1,
        audit_sample,
        select_for_labelling,
    )
    from truing.grade.moderation.training import (
        CrossFitted,
        HeadFigures,
        TrainedModeration,
        area_of,
        cross_fit,
        train_moderation,
    )
    from truing.grade.number import parse_number, same_number
    from truing.grade.ordinal import Ordinal
    from truing.grade.parsed import Parsed, Place
    from truing.grade.reading import Reading, usual_reading
    from truing.grade.refusal import Refusal
    from truing.grade.refusal_rules import RefusalClass
    from truing.grade.registry import Instrument, grader_names, open_grader
    from truing.grade.reward_figures import PairShare, RewardFigures, longer_is_better, measure_reward
    from truing.grade.reward_loading import NamedReward, load_reward, parse_reward
    from truing.grade.reward_mix import MixedRewards, RewardMix
    from truing.grade.rewards import CombinedReward, RewardFunction, RewardParts, RuleReward
    from truing.grade.rubric import Rubric
    from truing.grade.rule_features import Features, RuleFeatures, feature_names
    from truing.grade.rule_weights import RuleWeights, TypeWeights, read_rule_weights, write_rule_weights
    from truing.grade.scored import Scored
    from truing.grade.shipped import shipped_cards
    from truing.grade.style import STYLE, answer_style
    from truing.grade.text import parse_text
    from truing.grade.yesno import YesNo

__getattr__, __dir__, __all__ = door(__name__, __file__)
