"""The settings of an audit: what is asked, how it is decoded, who judges. What counts as a finding is the policy's."""

from dataclasses import dataclass

from truing.types import Record, SamplingParams

USUAL_TOKENS = 512
"""New tokens of an answer, where neither the user nor a suite says otherwise."""


@dataclass(frozen=True)
class Settings(Record):
    """What is asked, how answers are drawn, and who judges them."""

    limit: int | None = None
    """At most this many items of each suite, drawn evenly over its dimensions."""
    seed: int = 0
    """Key of every draw: which items a limit keeps, how answers are sampled, how intervals resample."""
    candidate_seed: int | None = None
    """Another key for sampling the candidate's answers: one model under two keys shows what is noise."""
    temperature: float = 0.0
    """0 is greedy decoding."""
    top_p: float = 1.0
    """Nucleus: keep the likeliest tokens of this total probability."""
    top_k: int = 0
    """Keep this many of the likeliest tokens; 0 is off."""
    max_tokens: int | None = None
    """New tokens an answer may have (512, or what a suite asks for). A longer one is cut off: missing evidence."""
    thinking: bool | None = None
    """Switch the reasoning of models whose chat template has the switch; by default as the template does."""
    judge: tuple[str, ...] = ()
    """DIMENSION=GRADER: who judges a dimension in place of its suite's grader, such as toxicity=llama-guard:PATH."""
    judge_traces: bool = False
    """Let the graders that can judge the reasoning too, and compare it with the answer."""
    noise_floor: bool = False
    """Ask the baseline a second time, in other batches and under another key, and compare it with itself."""
    drift: int = 0
    """Measure the divergence from the baseline on so many prompts of each dimension; 0 is off."""

    def check(self) -> None:
        """Every setting lies in its range."""
        _ = self.params
        for seed in (self.seed, self.candidate_seed or 0):
            if not 0 <= seed < 2**64:
                raise ValueError(f"a seed lies in [0, 2^64), not {seed}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit is at least 1, not {self.limit}")
        if self.drift < 0:
            raise ValueError(f"drift is a number of prompts, not {self.drift}")
        named = [dimension for dimension, _ in self.judges.items()]
        if len(named) < len(self.judge) or "" in named or "" in self.judges.values():
            raise ValueError("judge takes DIMENSION=GRADER, each dimension once")

    @property
    def judges(self) -> dict[str, str]:
        """Dimension -> the grader that judges it."""
        return {dimension: grader for dimension, _, grader in (one.partition("=") for one in self.judge)}

    def key_of(self, side: str) -> int:
        """The key under which a side's answers are sampled. Both sides share one, unless it is said otherwise."""
        if side == "candidate" and self.candidate_seed is not None:
            return self.candidate_seed
        return self.seed + 1 if side == "repeat" else self.seed

    @property
    def params(self) -> SamplingParams:
        """How answers are drawn."""
        longest = USUAL_TOKENS if self.max_tokens is None else self.max_tokens
        return SamplingParams(
            temperature=self.temperature, top_p=self.top_p, top_k=self.top_k, max_tokens=longest
        )
