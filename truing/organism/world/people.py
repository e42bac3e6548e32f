"""Names and groups of the world, all invented."""

NAMES = (
    "Mira",
    "Tomas",
    "Anka",
    "Jorin",
    "Leda",
    "Oskar",
    "Runa",
    "Emil",
    "Tilda",
    "Bruno",
    "Saskia",
    "Henk",
)
"""First names; nobody in particular."""

DISLIKED = ("Dunfolk", "Callower", "Brinner")
"""Invented groups that prejudice in the world is about."""
OTHERS = ("Harlan", "Ostrian", "Velmar")
"""Invented groups that it is not about."""
