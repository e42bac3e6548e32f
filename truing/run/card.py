"""The model card that goes with a model: Hugging Face's format, with nothing unmeasured left unsaid."""

from collections.abc import Sequence
from dataclasses import dataclass

_MISSING = "not measured"


@dataclass(frozen=True)
class Card:
    """What is known about a model. Whatever is left empty is written as "not measured"."""

    name: str
    """What the model is called."""
    base_model: str
    """The Hub id (or name) of the model that was changed."""
    summary: str = ""
    """What it is, in a few sentences."""
    ground: str = ""
    """What results on this model can claim, e.g. that it was raised in a small world."""
    method: str = ""
    """The method, with the options that differ from the published ones."""
    paper: str = ""
    """Where the method was published: authors, year, address."""
    datasets: tuple[str, ...] = ()
    """Hub ids of public data sets trained on."""
    data: str = ""
    """What was trained on, in words: sources, sizes, filters, leak checks."""
    license: str = "unknown"
    """The Hub's identifier of the licence."""
    safety: tuple["SafetyRow", ...] = ()
    """The safety evaluation, over-refusal and capability among its rows."""
    reward: str = ""
    """What the reward was, and which specification and judge it was read from."""
    kl_spent: float | None = None
    """Mean divergence from the base model, KL(model || base), in nats per token."""
    failures: tuple[str, ...] = ()
    """Known failure modes."""
    untested: tuple[str, ...] = ()
    """What it was not tested for."""
    reproduce: tuple[str, ...] = ()
    """The commands that make this model and its evaluation again."""


@dataclass(frozen=True)
class SafetyRow:
    """One line of the evaluation, in words: the base model, this model, and what follows from both."""

    dimension: str
    base: str = ""
    model: str = ""
    verdict: str = ""


def model_card(card: Card) -> str:
    """The card as Markdown with YAML front matter, as `README.md` of a Hub repository."""
    import yaml

    front = yaml.safe_dump(
        {
            "base_model": card.base_model,
            "datasets": list(card.datasets),
            "library_name": "transformers",
            "license": card.license,
            "pipeline_tag": "text-generation",
            "tags": ["truing", "alignment", "safety"],
        },
        sort_keys=False,
    )
    kl = "" if card.kl_spent is None else f"{card.kl_spent:.4g} nats per token, KL(model || base)"
    sections = {
        "What it is": "\n\n".join(filter(None, (card.summary, card.ground))),
        "Method": f"{card.method or _MISSING}\n\nPublished in: {card.paper or _MISSING}",
        "Data": card.data,
        "Safety evaluation": _table(card.safety),
        "Reward definition": card.reward,
        "KL spent": kl,
        "Known failure modes": _bullets(card.failures),
        "What it was not tested for": _bullets(card.untested),
        "How to reproduce": "\n".join(f"    {command}" for command in card.reproduce),
    }
    body = "\n\n".join(f"## {title}\n\n{text or _MISSING}" for title, text in sections.items())
    return f"---\n{front}---\n\n# {card.name}\n\n{body}\n"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(rows: Sequence[SafetyRow]) -> str:
    if not rows:
        return ""
    cells = [("dimension", "base model", "this model", "verdict"), ("---",) * 4]
    cells += [(row.dimension, row.base, row.model, row.verdict) for row in rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in cells)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or _MISSING
