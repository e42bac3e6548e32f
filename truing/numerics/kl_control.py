"""What a nat of divergence from the reference costs: the same all the time, or steered to a target."""

import math


class FixedKL:
    """A price that stays."""

    def __init__(self, value: float) -> None:
        self.value = value

    def update(self, observed_kl: float, episodes: int) -> None:
        """Nothing changes."""

    def state(self) -> dict[str, float]:
        """What `restore` takes."""
        return {"value": self.value}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from a `state`."""
        self.value = state["value"]


class AdaptiveKL(FixedKL):
    """A price that rises while a completion diverges by more than the target, and falls while by less.

    value *= 1 + clip(observed / target - 1, -0.2, 0.2) episodes / horizon, after the step that
    `value` was read for. Ziegler et al. 2019, section 2.2.
    """

    def __init__(self, value: float, *, target: float, horizon: float = 10_000) -> None:
        """Begin at `value`; `target` in nats per completion, `horizon` in episodes.

        Raises:
            ValueError: a number is not above 0.
        """
        if not (value > 0 and target > 0 and horizon > 0):
            raise ValueError(
                f"no control has the value {value}, the target {target} and the horizon {horizon}"
            )
        super().__init__(value)
        self.target, self.horizon = target, horizon

    def update(self, observed_kl: float, episodes: int) -> None:
        """Take in the mean divergence (nats per completion) of a step of so many episodes.

        Raises:
            ValueError: the divergence is not finite.
        """
        if not math.isfinite(observed_kl):
            raise ValueError(f"a divergence of {observed_kl} cannot steer its price")
        error = min(max(observed_kl / self.target - 1, -0.2), 0.2)
        self.value *= 1 + error * episodes / self.horizon
