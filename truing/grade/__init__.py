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
    from truing.grade.emergent import Emergent, MisalignmentRate, misalignment_rate
    from truing.grade.guards.harmbench import HarmBench
    from truing.grade.guards.llama_guard import LlamaGuard
    from truing.grade.guards.shieldgemma import ShieldGemma
    from truing.grade.guards.wildguard import WildGuard
    from truing.grade.harmful import Harmful
    from truing.grade.judging import grader_for, grader_versions, judge
    from truing.grade.labels import LabelledAnswer, Labels, read_labels
    from truing.grade.language import Coherence, Language, coherence
    from truing.grade.leak import Leak
    from truing.grade.measurement import Measurement, measure
    from truing.grade.number import parse_number, same_number
    from truing.grade.parsed import Parsed, Place
    from truing.grade.reading import Reading, usual_reading
    from truing.grade.refusal import Refusal
    from truing.grade.refusal_rules import RefusalClass
    from truing.grade.registry import Instrument, grader_names, open_grader
    from truing.grade.rubric import Rubric
    from truing.grade.scored import Scored
    from truing.grade.shipped import shipped_cards
    from truing.grade.text import parse_text

__getattr__, __dir__, __all__ = door(__name__, __file__)
