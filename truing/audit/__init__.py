"""Did a change break something? Two models, the same questions, a paired verdict that may be "inconclusive".

Here belong suites, the plan, asking and judging at scale, comparison, the gate, the report. How one
answer is judged lives in `grade`; the numbers themselves in `numerics`.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.audit.comparison import Comparison, Pair, compare
    from truing.audit.dry_run import estimate_audit
    from truing.audit.engine import run_audit
    from truing.audit.gate import Decision, Finding, Status, decide
    from truing.audit.plan import draw
    from truing.audit.report import render_report
    from truing.audit.result import AuditResult
    from truing.audit.settings import Settings
    from truing.audit.suites.base import Loaded, Suite, Unmeasured, load_suites, suite_names
    from truing.audit.suites.sources import find_files, read_sources, text_field

__getattr__, __dir__, __all__ = door(__name__, __file__)
