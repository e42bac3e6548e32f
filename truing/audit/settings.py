"""The settings of an audit: what is asked, how it is decoded, and what counts as a finding."""

from dataclasses import dataclass

from truing.types import Record, SamplingParams


@dataclass(frozen=True)
class Settings(Record):
    """What is asked, how answers are drawn, and what counts as a finding."""

    limit: int | None = None
    """At most this many items of each suite, drawn evenly over its dimensions."""
    seed: int = 0
    """Key of every draw: which items a limit keeps, how answers are sampled, how intervals resample."""
    temperature: float = 0.0
    """0 is greedy decoding."""
    top_p: float = 1.0
    """Nucleus: keep the likeliest tokens of this total probability."""
    top_k: int = 0
    """Keep this many of the likeliest tokens; 0 is off."""
    max_tokens: int = 512
    """New tokens an answer may have. A longer answer is truncated, which is missing evidence."""
    thinking: bool | None = None
    """Switch the reasoning of models whose chat template has the switch; by default as the template does."""
    margin: float = 0.05
    """The loss (a share of the items of a dimension) that an audit which passes must have been able to see."""
    alpha: float = 0.05
    """Chance of a false alarm over all dimensions together (Holm)."""
    power: float = 0.8
    """Chance with which a loss of the size of the margin must be found."""
    coverage: float = 0.95
    """Least share of the planned items on which both models must have been judged."""

    def check(self) -> None:
        """Every setting lies in its range."""
        _ = self.params
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed lies in [0, 2^64), not {self.seed}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is at least 1, not {self.limit}")
        for name in ("margin", "alpha", "power"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} lies between 0 and 1, not {getattr(self, name)}")
        if not 0 < self.coverage <= 1:
            raise ValueError(f"coverage lies in (0, 1], not {self.coverage}")

    @property
    def params(self) -> SamplingParams:
        """How answers are drawn."""
        return SamplingParams(
            temperature=self.temperature, top_p=self.top_p, top_k=self.top_k, max_tokens=self.max_tokens
        )
