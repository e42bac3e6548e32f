"""The look of every page: one base template, one style sheet, building blocks, plots.

Here belongs how things look and that any text can be shown. What a page says belongs to the room
that fills it: its templates lie in its own `templates` folder, extend `base.html.j2` and import
`macros.html.j2`. Pages are self-contained, need no script and no network, and hold no clock.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.pages.cells import bar
    from truing.pages.drift import DriftPoint, drift_plot
    from truing.pages.histograms import HistogramRow, histogram_plot
    from truing.pages.intervals import IntervalRow, paired_interval_plot
    from truing.pages.lineage import LineageRow, lineage_plot
    from truing.pages.names import short_names
    from truing.pages.outcomes import OutcomeRow, outcome_bars
    from truing.pages.page import render, visible
    from truing.pages.refusals import RefusalPoint, refusal_plane
    from truing.pages.reliability import reliability_plot
    from truing.pages.shares import ShareRow, share_plot
    from truing.pages.traces import TraceLine, TracePanel, trace_plot
    from truing.pages.words import cut, minus, points, signed

__getattr__, __dir__, __all__ = door(__name__, __file__)
