"""Who judges an answer: parsers, the refusal grader, and how far each can be trusted.

Here belongs what turns one answer into a `Verdict`: reading a choice, a number or a text out of it,
telling refusals from help and language from gibberish, and measuring a grader against people's
labels. It knows nothing of benchmarks, models or runs: what a file's rows mean lies in
`audit/suites`, what many verdicts mean in `audit`, and the statistics in `numerics`.

A missing or unreadable answer is its own outcome and has no score.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.grade.choice import parse_choice
    from truing.grade.judging import grader_for, grader_versions, judge
    from truing.grade.language import Coherence, Language, coherence
    from truing.grade.measurement import Measurement, measure
    from truing.grade.number import parse_number, same_number
    from truing.grade.parsed import Parsed, Place
    from truing.grade.refusal import Refusal, RefusalClass
    from truing.grade.registry import Instrument, grader_names, open_grader
    from truing.grade.text import parse_text

__getattr__, __dir__, __all__ = door(__name__, __file__)
