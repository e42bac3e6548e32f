"""What a comparison of a given size could have seen."""

from math import ceil, inf, isinf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrik, betainc, ndtri, stdtrit

_TAIL = 1e-10  # probability of the numbers of discordant pairs that are left out


def mcnemar_power(n: int, effect: float, discordance: float, *, alpha: float = 0.05) -> float:
    """The exact power of the one-sided exact McNemar test in `n` independent pairs.

    A pair is a loss with probability (psi + effect) / 2 and a gain with (psi - effect) / 2, where
    psi = max(discordance, effect) is the share of pairs in which the models differ. Sums over the
    number of such pairs, which is binomial.

    Raises:
        ValueError: an argument is outside its range.
    """
    _check(n, discordance, alpha)
    if not 0 <= effect <= 1:
        raise ValueError(f"an effect lies in [0, 1], not {effect}")
    psi = max(discordance, effect)
    if psi == 0:
        return 0.0
    spread = 7 * sqrt(n * psi * (1 - psi)) + 30
    m = np.arange(max(0, int(n * psi - spread)), min(n, ceil(n * psi + spread)) + 1)
    weight = _at_least(m, n, psi) - _at_least(m + 1, n, psi)
    power = weight @ _at_least(_critical(m, alpha), m, (1 + effect / psi) / 2)
    return float(np.clip(power, 0.0, 1.0))


def smallest_detectable_effect(
    n: int, discordance: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The smallest net loss that the one-sided exact McNemar test finds with the given power.

    In shares of all pairs, under the model of `mcnemar_power`, to within 1e-6. `inf` where not even
    the loss of everything would be found (n below 5 at alpha 0.05), so that it exceeds every margin.

    Raises:
        ValueError: an argument is outside its range.
    """
    _check_power(power)
    if mcnemar_power(n, 1.0, discordance, alpha=alpha) < power:
        return inf
    missed, found = 0.0, 1.0
    while found - missed > 1e-6:
        middle = (missed + found) / 2
        if mcnemar_power(n, middle, discordance, alpha=alpha) < power:
            missed = middle
        else:
            found = middle
    return found


def pairs_needed(effect: float, discordance: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """The number of pairs at which the one-sided exact McNemar test reaches the given power.

    One pair fewer does not reach it. (The exact power wobbles a little as n grows, so a few more
    pairs can again fall short by a hair.)

    Raises:
        ValueError: an argument is outside its range; an effect of 0 is never found.
    """
    _check_power(power)
    if not 0 < effect <= 1:
        raise ValueError(f"an effect to be found lies in (0, 1], not {effect}")
    short, enough = 0, 1
    while mcnemar_power(enough, effect, discordance, alpha=alpha) < power:
        short, enough = enough, 2 * enough
    while enough - short > 1:
        middle = (short + enough) // 2
        if mcnemar_power(middle, effect, discordance, alpha=alpha) < power:
            short = middle
        else:
            enough = middle
    return enough


def smallest_detectable_shift(
    standard_error: float, *, degrees: float = inf, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The smallest loss of a mean that a one-sided t-test finds with about the given power.

    In the unit of `standard_error`, which is that of the mean difference: (t_alpha + t_power) times
    it, with `degrees` of freedom (of G clusters, G - 1; infinite for the normal distribution).

    Raises:
        ValueError: an argument is outside its range.
    """
    _check(0, 0.0, alpha)
    _check_power(power)
    if not 0 <= standard_error <= inf or not degrees > 0:
        raise ValueError(
            f"a standard error is at least 0 and degrees above 0, not {standard_error} and {degrees}"
        )
    if isinf(degrees):
        return float(ndtri(1 - alpha) + ndtri(power)) * standard_error
    return float(stdtrit(degrees, 1 - alpha) + stdtrit(degrees, power)) * standard_error


def _critical(m: NDArray[np.int64], alpha: float) -> NDArray[np.int64]:
    """The least number of losses among m discordant pairs that is significant; m + 1 where none is."""
    k = np.ceil(np.where(m > 0, bdtrik(1 - alpha, np.maximum(m, 1), 0.5), 0)).astype(np.int64)
    # The inverse is continuous and rounded: move to the exact boundary.
    while (up := (_at_least(k, m, 0.5) > alpha)).any():
        k = k + up
    while (down := (k > 0) & (_at_least(k - 1, m, 0.5) <= alpha)).any():
        k = k - down
    return k


def _at_least(k: NDArray[np.int64], n: NDArray[np.int64] | int, p: float) -> NDArray[np.float64]:
    """P(X >= k) for X ~ Binomial(n, p); 0 beyond n."""
    inside = (k > 0) & (k <= n)
    tail = betainc(np.where(inside, k, 1), np.where(inside, n - k + 1, 1), p)
    return np.where(inside, tail, np.where(k <= 0, 1.0, 0.0))


def _check(n: int, discordance: float, alpha: float) -> None:
    if n < 0:
        raise ValueError(f"a number of pairs is at least 0, not {n}")
    if not 0 <= discordance <= 1:
        raise ValueError(f"a share of discordant pairs lies in [0, 1], not {discordance}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies in (0, 1), not {alpha}")


def _check_power(power: float) -> None:
    if not 0 < power < 1:
        raise ValueError(f"a power to be reached lies in (0, 1), not {power}")
