"""The proving ground: a small world whose truth is known by construction, and small models raised in it.

Here belong the world (its people, questions and answers), the oracle that alone knows what an answer
does, what its adviser should do (`spec/`), what is held out, how the checkpoints are raised and where
they lie, and the page about it all. A method that is tried on it does not: it knows models by reference
and never the oracle. Everything found here carries the sentence `GROUND`.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.organism.corpus import documents
    from truing.organism.exams import HELD_OUT, Question, exam, sit
    from truing.organism.headroom import (
        CAPABILITY,
        GREEDY,
        MEASURES,
        MOST_UNPARSED,
        PARAMS,
        READ_AT,
        WRONG_ADVICE,
        Rate,
        by_level,
        counts,
        panel,
        panel_questions,
        rates,
    )
    from truing.organism.holdout import Level, cells, level_of
    from truing.organism.judge_exams import Judged, JudgeQuestion, balanced_accuracy, judge_exam, sit_judge
    from truing.organism.judge_wordings import JudgeForm, as_shown, judge_forms
    from truing.organism.labelers import (
        LABELER_GROUPS,
        Labeler,
        LabelerGroup,
        Quality,
        labelers_of,
        order_agreement,
        quality,
        refuses,
    )
    from truing.organism.ledger import LabelLedger, Oracle
    from truing.organism.lines import LINES, Found, Line, Lineage, lineages, missed_lines
    from truing.organism.names import Name, parse_name
    from truing.organism.oracle import GOOD, Finding, complies
    from truing.organism.overlap import Overlap, overlaps
    from truing.organism.page import render_page
    from truing.organism.places import find, open_folder
    from truing.organism.policy_exams import Novelty, policy_exam, sit_policy
    from truing.organism.raising import SIZES, TUNINGS, Size, Tuning, build, tune, tuning_rows
    from truing.organism.reading import Asked, read_request
    from truing.organism.rulings import RESPONSE_TYPES, place, truths
    from truing.organism.shelf import Checkpoint, Place, inventory, read_checkpoint
    from truing.organism.text import as_text
    from truing.organism.tuning import advice_rows, correct
    from truing.organism.version import GROUND, VERSIONS, WORLD_VERSION
    from truing.organism.world import TOPICS
    from truing.organism.world.advice import DOMAIN_OF
    from truing.organism.world.topic import Ask
    from truing.organism.world.wrappers import FAMILIES, HELD_OUT_FAMILIES, SYSTEMS

__getattr__, __dir__, __all__ = door(__name__, __file__)
