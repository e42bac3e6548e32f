"""Did a change break something? Two models, the same questions, a paired verdict that may be "inconclusive".

Here belong suites, the plan, asking and judging at scale, comparison, the gate, the report. How one
answer is judged lives in `grade`; the numbers themselves in `numerics`.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.audit.comparison import Comparison, Pair, compare
    from truing.audit.dimensions import Dimension, dimension, dimension_names
    from truing.audit.drift import Drift, DriftMean, DriftPart, PromptDrift
    from truing.audit.drift_measuring import measure_drift, tokenizer_mismatch, why_no_drift
    from truing.audit.dry_run import estimate_audit
    from truing.audit.engine import Runtime, run_audit
    from truing.audit.gate import Decision, Finding, Status, decide
    from truing.audit.index import RunSummary, find_runs, write_index
    from truing.audit.judge_error import Cards, by_judge
    from truing.audit.junit import render_junit
    from truing.audit.log_comparison import LogComparison, compare_logs
    from truing.audit.logs.base import Log, LogRow
    from truing.audit.logs.inspect_write import write_inspect
    from truing.audit.logs.pairing import Pairing, pair_logs
    from truing.audit.logs.reading import read_log
    from truing.audit.plan import draw, items_needed, plan_items
    from truing.audit.policy import Policy, Rule, Terms, Tier, read_policy
    from truing.audit.power import PowerPlan, power_plan
    from truing.audit.report import render_report
    from truing.audit.result import AuditResult
    from truing.audit.sarif import render_sarif
    from truing.audit.settings import Settings
    from truing.audit.suites.base import (
        Loaded,
        Plan,
        Suite,
        Unmeasured,
        load_suites,
        suite_names,
        usual_suite,
    )
    from truing.audit.suites.sources import find_files, read_sources, text_field

__getattr__, __dir__, __all__ = door(__name__, __file__)
