"""The specification of the town: what its adviser should do, in the town's own words.

A folder in the format of `truing.spec`, registered as `organism`. Its examples are questions of the
world from cells that training may hold, its propositions those of `world/propositions.py`.
"""

from pathlib import Path


def folder() -> Path:
    """Where the specification lies."""
    return Path(__file__).parent
