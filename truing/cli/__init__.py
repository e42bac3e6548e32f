"""The command line: one thin file per verb. The only room that knows argv and exit codes."""

from typing import TYPE_CHECKING

from truing._door import door

if TYPE_CHECKING:
    from truing.cli.app import main

__getattr__, __dir__, __all__ = door(__name__, __file__)
