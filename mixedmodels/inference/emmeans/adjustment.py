"""P-values and limits of a family of estimates, adjusted for how many they are.

The methods and their rules are those of R's emmeans and p.adjust: Tukey's only for all pairs of one set of
means, Dunnett's by the approximation ``dunnettx``, limits of a stepwise method by Bonferroni's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy
from scipy import special

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.control import one_of
from mixedmodels.inference.contrasts import quantiles
from mixedmodels.inference.emmeans import studentized_range
from mixedmodels.inference.emmeans.multivariate_t import largest_t

STEPWISE = ("holm", "hochberg", "hommel", "bh", "fdr", "by")
#: Names of the adjustments.
METHODS = ("none", "tukey", "scheffe", "sidak", "bonferroni", "dunnettx", "mvt", *STEPWISE)
#: Those that p-values alone suffice for, across families.
CROSS_METHODS = ("none", "sidak", "bonferroni", *STEPWISE)
# Degrees of freedom of equal contrasts differ by rounding: beyond these digits they move no p-value.
DIGITS_OF_DF = 9
# Where Tukey's and Sidak's limits are so near, that between them is found by no search (emmeans).
NEARLY_EQUAL = 1e-12


@dataclass(frozen=True, slots=True)
class Statistics:
    """The t statistics of one family.

    Attributes
    ----------
    t, df : ndarray, shape (m,)
        Statistics and degrees of freedom; NaN where not estimable.
    tail : int
        -1 for left-tailed, 0 for two-sided, 1 for right-tailed p-values.
    correlation : ndarray, shape (m, m), or None
        Correlations of the estimates, for ``"mvt"``.
    rank : int
        Rank of the functions, for ``"scheffe"``.
    """

    t: FloatArray
    df: FloatArray
    tail: int
    correlation: FloatArray | None
    rank: int


def adjustment_named(adjust: str) -> str:
    """Return the name of an adjustment, lower case.

    Raises
    ------
    ControlError
        If there is none of that name.
    """
    name = adjust.lower() if isinstance(adjust, str) else adjust
    name = "dunnettx" if name == "dunnett" else name
    one_of("adjust", name, METHODS)
    return str(name)


def applied(adjust: str, tests: int, all_pairs: bool, one_sided: bool) -> str:
    """Return the adjustment applied to a family: none to one test, Sidak's where another has no sense."""
    if tests == 1 and adjust != "scheffe":
        return "none"
    if one_sided and adjust in ("tukey", "scheffe", "dunnettx"):
        return "sidak"
    return "sidak" if adjust == "tukey" and not all_pairs else adjust


def unadjusted(t: FloatArray, df: FloatArray, tail: int) -> FloatArray:
    """Return p-values, shape (m,); normal where `df` is infinite."""
    x = -np.abs(t) if tail == 0 else -tail * t
    finite = np.isfinite(df)
    p = np.where(finite, special.stdtr(np.where(finite, df, 1.0), x), special.ndtr(x))
    return np.asarray(2.0 * p if tail == 0 else p)


def p_values(statistics: Statistics, adjust: str) -> FloatArray:
    """Return the p-values of one family under an adjustment that `applied` returned, shape (m,)."""
    t, df, tail = statistics.t, statistics.df, statistics.tail
    p = unadjusted(t, df, tail)
    m = len(t)
    if adjust in CROSS_METHODS:
        return adjusted_p_values(p, adjust)
    if adjust == "scheffe":
        return np.array(
            [_f_tail(x**2 / statistics.rank, statistics.rank, v) for x, v in zip(t, df, strict=True)]
        )
    if adjust == "mvt":
        return _mvt_p_values(statistics)
    tukey = _by_df(np.abs(t), df, _groups(m))
    if adjust == "tukey":
        return tukey
    sidak = -np.expm1(m * np.log1p(-np.minimum(p, 1.0 - 1e-16)))
    return np.asarray((1.0 - 1.0 / m) * tukey + sidak / m)


def cross_adjustment_named(adjust: str) -> str:
    """Return the name of an adjustment across families, lower case.

    Raises
    ------
    ControlError
        If there is none of that name.
    """
    name = adjust.lower() if isinstance(adjust, str) else adjust
    one_of("cross_adjust", name, CROSS_METHODS)
    return str(name)


def adjusted_p_values(p: FloatArray, method: str) -> FloatArray:
    """Return p-values adjusted for how many they are, by a method that needs nothing else, shape (m,)."""
    m = len(p)
    if method == "none":
        return p
    if method == "bonferroni":
        return np.minimum(m * p, 1.0)
    if method == "sidak":
        return np.asarray(-np.expm1(m * np.log1p(-np.minimum(p, 1.0 - 1e-16))))
    return stepwise(p, method)


def _groups(tests: int) -> float:
    """Return how many means have so many pairs; not a whole number for the approximation of Dunnett's."""
    return float(0.5 * (1.0 + np.sqrt(1.0 + 8.0 * tests)))


def _by_df(x: FloatArray, df: FloatArray, groups: float) -> FloatArray:
    """Return the tail of the studentized range at ``sqrt(2) x``, each at its degrees of freedom."""
    p = np.full(len(x), np.nan)
    for v, mine in _rows_by_df(df):
        p[mine] = studentized_range.upper_tail(np.sqrt(2.0) * x[mine], groups, v)
    return p


def _rows_by_df(df: FloatArray) -> list[tuple[float, BoolArray]]:
    """Return each value of the degrees of freedom with its rows; values that differ by rounding are one."""
    rounded = np.array([float(f"{v:.{DIGITS_OF_DF}g}") for v in df])
    return [(float(v), np.asarray(rounded == v)) for v in np.unique(rounded[~np.isnan(rounded)])]


def _f_tail(F: float, rank: int, df: float) -> float:
    if np.isnan(F):
        return float("nan")
    return float(special.chdtrc(rank, rank * F) if np.isinf(df) else special.fdtrc(rank, df, F))


def _mvt_p_values(statistics: Statistics) -> FloatArray:
    """Return the probability that the largest of the family's statistics is beyond each of them."""
    t, df, tail = statistics.t, statistics.df, statistics.tail
    known = ~np.isnan(t)
    p = np.full(len(t), np.nan)
    if known.any() and statistics.correlation is not None:
        largest = largest_t(statistics.correlation[np.ix_(known, known)], tail == 0)
        x = np.abs(t) if tail == 0 else tail * t
        p[known] = [float(largest.upper_tail(x[i : i + 1], df[i])[0]) for i in np.flatnonzero(known)]
    return p


def stepwise(p: FloatArray, method: str) -> FloatArray:
    """Return p-values adjusted by a stepwise method, as R's ``p.adjust``; NaN stays and counts as a test.

    Holm (1979), Hochberg (1988), Hommel (1988), Benjamini & Hochberg (1995), Benjamini & Yekutieli (2001).
    """
    known = np.flatnonzero(~np.isnan(p))
    n, values = len(p), p[known]
    order = np.argsort(values)
    ranked = values[order]
    i = np.arange(1, len(values) + 1)
    if method == "holm":
        steps = np.maximum.accumulate((n - i + 1) * ranked)
    elif method == "hommel":
        steps = _hommel(ranked, n)
    else:
        harmonic = np.sum(1.0 / np.arange(1, n + 1)) if method == "by" else 1.0
        factor = n - i + 1.0 if method == "hochberg" else harmonic * n / i
        steps = np.minimum.accumulate((factor * ranked)[::-1])[::-1]
    adjusted = np.full(len(p), np.nan)
    adjusted[known[order]] = np.minimum(steps, 1.0)
    return adjusted


def _hommel(ranked: FloatArray, n: int) -> FloatArray:
    """Return Hommel's adjusted p-values of sorted ones: the largest over closed families of each size."""
    p = np.concatenate([ranked, np.ones(n - len(ranked))])
    i = np.arange(1, n + 1)
    adjusted = np.full(n, np.min(n * p / i))
    largest = adjusted.copy()
    for m in range(n - 1, 1, -1):
        low, high = np.arange(n - m + 1), np.arange(n - m + 1, n)
        q = np.min(m * p[high] / np.arange(2, m + 1))
        adjusted[low] = np.minimum(m * p[low], q)
        adjusted[high] = adjusted[n - m]
        largest = np.maximum(largest, adjusted)
    return np.asarray(np.maximum(largest, p)[: len(ranked)])


def critical_values(statistics: Statistics, adjust: str, level: float) -> FloatArray:
    """Return how many standard errors the limits of one family are from the estimates, shape (m,)."""
    df, m = statistics.df, len(statistics.df)
    two_sided = statistics.tail == 0
    if adjust in STEPWISE:
        adjust = "bonferroni"
    if adjust in ("none", "sidak", "bonferroni"):
        outside = {
            "none": 1.0 - level,
            "sidak": -np.expm1(np.log(level) / m),
            "bonferroni": (1.0 - level) / m,
        }
        return quantiles(df, 1.0 - outside[adjust] * (1.0 if two_sided else 2.0))
    found = np.full(m, np.nan)
    for v, mine in _rows_by_df(df):
        found[mine] = _one_critical_value(statistics, adjust, level, v)
    return found


def _one_critical_value(statistics: Statistics, adjust: str, level: float, df: float) -> float:
    """Return the critical value of Scheffe's, Tukey's, Dunnett's or the multivariate t method at one df."""
    m, rank = len(statistics.t), statistics.rank
    if adjust == "scheffe":
        quantile = (
            special.chdtri(rank, 1.0 - level) / rank if np.isinf(df) else special.fdtri(rank, df, level)
        )
        return float(np.sqrt(rank * quantile))
    if adjust == "mvt":
        known = ~np.isnan(statistics.df)
        assert statistics.correlation is not None
        largest = largest_t(statistics.correlation[np.ix_(known, known)], statistics.tail == 0)
        return largest.quantile(level, df)
    tukey = studentized_range.quantile(level, _groups(m), df) / np.sqrt(2.0)
    return tukey if adjust == "tukey" else _dunnett_value(tukey, m, df, level)


def _dunnett_value(tukey: float, m: int, df: float, level: float) -> float:
    """Return where the mixture of Tukey's and Sidak's distributions has probability `level`."""
    sidak = float(quantiles(np.array([df]), level ** (1.0 / m))[0])

    def excess(x: float) -> float:
        one = Statistics(np.full(m, x), np.full(m, df), 0, None, m)
        return float(p_values(one, "dunnettx")[0]) - (1.0 - level)

    low, high = sorted((tukey, sidak))
    if high - low < NEARLY_EQUAL:
        return low
    return float(scipy.optimize.brentq(excess, low - NEARLY_EQUAL, high + NEARLY_EQUAL, xtol=1e-10))
