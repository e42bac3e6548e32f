"""Whole jobs made of the other rooms: the demo today, align-then-audit and policy updates later.

Here belongs the order in which rooms are used for one purpose. A recipe computes no number, judges
no answer and parses no argument itself.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.recipes.align_policy import PolicySource, align_grpo, align_ppo
    from truing.recipes.align_then_audit import Audited, align_and_audit
    from truing.recipes.aligning import align_dpo, align_linear, align_rm, align_sft
    from truing.recipes.conversion import ORGANISM_TUNING, convert
    from truing.recipes.demo import Demo, run_demo
    from truing.recipes.distilling import align_distill
    from truing.recipes.hacking_page import hacking_summary, policy_page
    from truing.recipes.memory_plan import DryMethod, dry_run, dry_table
    from truing.recipes.preventing import PreventionSource
    from truing.recipes.realign_words import realign_next, realign_summary
    from truing.recipes.realignment import RealignSource, align_realign, realign_in_town
    from truing.recipes.rule_reward_rows import read_gold, read_recipes, read_rule_rows
    from truing.recipes.rule_rewards import RuleRewardJob, align_rbr
    from truing.recipes.tiny import break_model, raise_model
    from truing.recipes.town import Errand, taught_and_held_out

__getattr__, __dir__, __all__ = door(__name__, __file__)
