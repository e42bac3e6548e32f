"""The model card that goes with a model: Hugging Face's format, with nothing unmeasured left unsaid."""

from collections.abc import Sequence
from dataclasses import dataclass

_MISSING, _SAFETY = "not measured", "Safety evaluation"


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
    kl_per_completion: float | None = None
    """The same in nats per completion, which is what Gao et al. 2023 draw rewards against."""
    hacking: str = ""
    """What a metric that the reward was not made of says about the gain."""
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
    spent = [(card.kl_spent, "token"), (card.kl_per_completion, "completion")]
    told = [f"{nats:.4g} nats per {what}" for nats, what in spent if nats is not None]
    kl = ", ".join([*told, "KL(model || base)"]) if told else ""
    sections = {
        "What it is": "\n\n".join(filter(None, (card.summary, card.ground))),
        "Method": f"{card.method or _MISSING}\n\nPublished in: {card.paper or _MISSING}",
        "Data": card.data,
        _SAFETY: _table(card.safety),
        "Reward definition": card.reward,
        "KL spent": kl,
        "Reward hacking": card.hacking,
        "Known failure modes": _bullets(card.failures),
        "What it was not tested for": _bullets(card.untested),
        "How to reproduce": "\n".join(f"    {command}" for command in card.reproduce),
    }
    body = "\n\n".join(f"## {title}\n\n{text or _MISSING}" for title, text in sections.items())
    return f"---\n{front}---\n\n# {card.name}\n\n{body}\n"


def with_safety(card: str, rows: Sequence[SafetyRow]) -> str:
    """A card of `model_card` with another safety evaluation; one without such a section is left as it is."""
    head, found, rest = card.partition(f"\n## {_SAFETY}\n\n")
    _, more, below = rest.partition("\n\n## ")
    return f"{head}{found}{_table(rows) or _MISSING}{more}{below}" if found else card


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
