"""What every run leaves behind: a folder with its lock, journals, files, a ledger, a model card.

Here belong writing that survives a crash, resuming, counting what is scarce, and telling how far a
job is. What a row or a file means belongs to the room that writes it; pages are made in `pages`.
"""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.run.card import Card, SafetyRow, model_card, with_safety
    from truing.run.disk import check_folder, replace_file
    from truing.run.folder import Run
    from truing.run.journal import Journal
    from truing.run.ledger import Ledger, RunRow
    from truing.run.meter import progress
    from truing.run.ranks import local_rank, rank, world_size

__getattr__, __dir__, __all__ = door(__name__, __file__)
