"""The written specification: what the model should do, in files that a lawyer can read.

Here belong reading a specification and its rules, their content hashes, what a person asks of a text
(is it consistent, what changed, what does it say of one category) and the algebra of propositions.
Nothing here compiles a specification into a grader, a reward or a suite: each room that does so has
its own `from_spec.py`. Nothing in a specification is ever executed.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.spec.analysis import Answers, Reclassified
    from truing.spec.changes import Change, Kind
    from truing.spec.check import check_spec
    from truing.spec.classification import Classification, Placed, classify_file
    from truing.spec.diff import SpecDiff, diff_specs
    from truing.spec.excerpt import Excerpt, rough_tokens
    from truing.spec.findings import Checked, Finding, Severity
    from truing.spec.foreign.importing import Imported, import_document
    from truing.spec.model import UNSTATED, Category, Clause, Example, Principle, Section, Spec, Style
    from truing.spec.propositions import ClassRule, Derived, Proposition, Shot
    from truing.spec.rules import RuleSet
    from truing.spec.rules_reading import read_rules
    from truing.spec.shipped import default_spec, is_rules, read_spec, spec_names
    from truing.spec.telling import outline, tell_diff

__getattr__, __dir__, __all__ = door(__name__, __file__)
