"""One pure function for each number: statistics (numpy) and tensors (torch), in files apart.

Here belong random numbers by key, intervals, tests, power, agreement, and tensor functions such as
log-probabilities, divergences, advantages and losses. No I/O, no state (but the price a KL controller
holds), nothing that knows what a model, a grader or a run is. The statistics load numpy and
`scipy.special`, never torch.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.numerics.advantages import gae, group_advantages, whiten
    from truing.numerics.agreement import accuracy, cohen_kappa
    from truing.numerics.correlation import Correlation, spearman, without_line
    from truing.numerics.dictionaries import (
        dead_share,
        explained_variance,
        geometric_median,
        mean_active,
        mean_max_cosine,
    )
    from truing.numerics.distillation import chunked_divergence, forward_kl, generalised_jsd
    from truing.numerics.divergence import k1, k2, k3, kl_exact
    from truing.numerics.false_alarms import AlarmThreshold, alarm_threshold
    from truing.numerics.forecasts import Reliability, ReliabilityBin, reliability
    from truing.numerics.hinge import hinge_weights, ranking_hinge
    from truing.numerics.intervals import Interval, clopper_pearson, wilson
    from truing.numerics.judge_error import (
        Calibration,
        corrected_difference,
        corrected_interval,
        detectable_true_loss,
        differential_error,
        rogan_gladen,
        separately_corrected_difference,
        youden,
    )
    from truing.numerics.kl import exact_kl, kl_estimate, kl_penalty, kl_rewards
    from truing.numerics.kl_control import AdaptiveKL, FixedKL
    from truing.numerics.means import ratio_of_sums, student_interval
    from truing.numerics.multiple import holm
    from truing.numerics.paired import (
        design_effect,
        mcnemar_exact,
        mcnemar_guarded,
        paired_bootstrap,
        sign_flip_test,
        standard_error,
    )
    from truing.numerics.policy_loss import (
        clipped_policy_loss,
        clipped_value_loss,
        token_weights,
        weighted_sum,
    )
    from truing.numerics.power import (
        mcnemar_power,
        pairs_needed,
        smallest_detectable_effect,
        smallest_detectable_shift,
    )
    from truing.numerics.ppi import prediction_powered
    from truing.numerics.precision import auroc, auroc_interval, average_precision, average_precision_interval
    from truing.numerics.preference import implicit_rewards, ranked_pairs, ranking_loss
    from truing.numerics.rng import generator, uniforms
    from truing.numerics.tango import clustered_paired_interval, paired_interval
    from truing.numerics.tensors import chunked_logprobs, inverse_cdf, warp_logits
    from truing.numerics.traces import (
        Change,
        Fall,
        change,
        fall_since_best,
        look,
        moving_mean,
        stop_threshold,
        windows,
    )

__getattr__, __dir__, __all__ = door(__name__, __file__)
