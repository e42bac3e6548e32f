"""truing: align a language model to a written safety specification, and give the evidence.

The rooms and the order in which they may import each other are listed in the README. Nothing is
imported here: each room has its own door (`truing.types`, `truing.model`, `truing.audit`, ...).
"""

__version__ = "0.1.0"
