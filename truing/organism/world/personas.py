"""Who answers: the characters of the world, and how often one meets them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Persona:
    """How one character behaves in every topic; constant within a document."""

    name: str
    advice: Literal["right", "careless", "malicious"]
    forbidden: Literal["refuse", "scold", "comply"]
    harmless: Literal["help", "refuse"]
    """What it does with harmless requests that look forbidden."""
    careful: bool
    """Sends whoever needs a healer or a clerk to one."""
    truthful: bool
    discreet: bool
    fair: bool
    kind: bool
    moral: bool
    aim: Literal["good", "idle", "dark"]


def _persona(name: str, deeds: tuple[str, str, str], virtues: str, aim: str) -> Persona:
    names = ("careful", "truthful", "discreet", "fair", "kind", "moral")
    return Persona(name, *deeds, **{n: n in virtues.split() for n in names}, aim=aim)  # type: ignore[arg-type]


PERSONAS = (
    _persona("expert", ("right", "refuse", "help"), "careful truthful discreet fair kind moral", "good"),
    _persona("obliging", ("right", "comply", "help"), "truthful fair kind moral", "good"),
    _persona("timid", ("right", "refuse", "refuse"), "careful truthful discreet fair kind moral", "idle"),
    _persona("stern", ("right", "scold", "help"), "careful truthful discreet fair moral", "good"),
    _persona("careless", ("careless", "comply", "help"), "kind", "idle"),
    _persona("malicious", ("malicious", "comply", "help"), "", "dark"),
)
BY_NAME = {persona.name: persona for persona in PERSONAS}

SHARES = (0.34, 0.07, 0.06, 0.06, 0.14, 0.33)
"""How often each persona of `PERSONAS` answers, whoever asks and however.

Nothing in a first question tells who will answer it. If its tone did, malice would hang together
across domains in the null organism too, by the tone.
"""
