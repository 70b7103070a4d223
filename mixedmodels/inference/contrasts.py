"""Tests of linear combinations of the fixed effects, from their covariance and degrees of freedom.

Everything that tests fixed effects (the summary, analysis of variance tables, linear hypotheses, marginal
means) asks :class:`FixedEffects` and nothing else: where its covariance comes from, and how many degrees of
freedom a contrast has, is decided once, in :mod:`mixedmodels.inference.fixed_effects`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import special

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import listed
from mixedmodels.reports.text_tables import fill_line

# A row of L is dependent where the rows before it leave less than this of its norm.
INDEPENDENT_SHARE = 1e-8


class DegreesOfFreedom(Protocol):
    """Degrees of freedom of contrasts of the fixed effects; infinite for normal and chi-square tests."""

    @property
    def method(self) -> str:
        """Name of the method as tables print it, ``"Satterthwaite's method"``; empty where none is said."""
        ...

    def of_rows(self, L: FloatArray) -> FloatArray:
        """Return the degrees of freedom of the t test of every row of L, shape (m,)."""
        ...

    def of_hypothesis(self, L: FloatArray) -> tuple[float, float]:
        """Return the denominator degrees of freedom of the F test of ``L beta = 0`` and the factor of F.

        The rows of L are linearly independent. The factor is 1 but for Kenward and Roger's method.
        """
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The same degrees of freedom for every contrast: the residual ones, or infinity for normal tests."""

    df: float
    method: str = ""

    def of_rows(self, L: FloatArray) -> FloatArray:
        """Return the degrees of freedom for every row of L, shape (m,)."""
        return np.full(len(L), self.df)

    def of_hypothesis(self, L: FloatArray) -> tuple[float, float]:
        """Return the degrees of freedom, and 1."""
        return self.df, 1.0


@dataclass(frozen=True, slots=True)
class FixedEffects:
    """Fixed effects with what tests of them need.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Estimates.
    covariance : ndarray, shape (p, p)
        Their covariance as the tests use it.
    degrees : DegreesOfFreedom
        Degrees of freedom of contrasts.
    names : tuple of str
        Names of the coefficients.
    notes : tuple of str
        What is to be said about the degrees of freedom of this fit.
    """

    beta: FloatArray
    covariance: FloatArray
    degrees: DegreesOfFreedom
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def asymptotic(fixed: FixedEffects) -> FixedEffects:
    """Return the fixed effects with infinite degrees of freedom: chi-square and normal tests."""
    return replace(fixed, degrees=Constant(np.inf))


@dataclass(frozen=True, slots=True)
class ContrastTests:
    """Estimates and t tests of the rows of L, each an array of shape (m,).

    Attributes
    ----------
    estimate, se, df, statistic, p_value : ndarray
        Estimate less the value under the hypothesis is what `statistic` divides by `se`; p-values two-sided.
    """

    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    statistic: FloatArray
    p_value: FloatArray


@dataclass(frozen=True, slots=True)
class HypothesisTest:
    """The F test of ``L beta = rhs``.

    Attributes
    ----------
    statistic : float
        F; the Wald chi-square is `numerator_df` times this where `df` is infinite.
    numerator_df : int
        Rank of L.
    df : float
        Denominator degrees of freedom; infinite for the chi-square test.
    p_value : float
        Upper tail.
    scale : float
        Factor that F was multiplied by (Kenward & Roger); 1 for other methods.
    """

    statistic: float
    numerator_df: int
    df: float
    p_value: float
    scale: float


def contrast_tests(fixed: FixedEffects, L: FloatArray, null: FloatArray | float = 0.0) -> ContrastTests:
    """Test every row of ``L beta`` against `null` by a t test, or a normal test where df is infinite.

    Parameters
    ----------
    fixed : FixedEffects
        Estimates, covariance and degrees of freedom.
    L : ndarray, shape (m, p)
        One contrast a row.
    null : float or ndarray, shape (m,)
        Values under the hypotheses.
    """
    estimate = L @ fixed.beta
    se = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", L, fixed.covariance, L), 0.0))
    df = fixed.degrees.of_rows(L)
    with np.errstate(divide="ignore", invalid="ignore"):  # a contrast of zeros has no test: NaN
        statistic = (estimate - null) / se
    return ContrastTests(estimate, se, df, statistic, two_sided(statistic, df))


def two_sided(statistic: FloatArray, df: FloatArray) -> FloatArray:
    """Return the two-sided p-values of t statistics; normal where `df` is infinite."""
    finite = np.isfinite(df)
    tail = np.where(
        finite, special.stdtr(np.where(finite, df, 1.0), -np.abs(statistic)), special.ndtr(-np.abs(statistic))
    )
    return np.asarray(2.0 * tail)


def quantiles(df: FloatArray, level: float) -> FloatArray:
    """Return the two-sided quantiles of t with `df` degrees of freedom, normal where they are infinite."""
    tail = (1.0 + level) / 2.0
    finite = np.isfinite(df)
    return np.where(finite, special.stdtrit(np.where(finite, df, 1.0), tail), special.ndtri(tail))


def hypothesis_test(fixed: FixedEffects, L: FloatArray, rhs: FloatArray | float = 0.0) -> HypothesisTest:
    """Test ``L beta = rhs`` by an F test, or a chi-square test where the degrees of freedom are infinite.

    Rows of L that depend on others are left out.

    Parameters
    ----------
    fixed : FixedEffects
        Estimates, covariance and degrees of freedom.
    L : ndarray, shape (m, p)
        The hypotheses, one a row.
    rhs : float or ndarray, shape (m,)
        Their values.
    """
    rows = independent_rows(L)
    difference = (L @ fixed.beta - rhs)[rows]
    L = L[rows]
    rank = len(L)
    if rank == 0:
        return HypothesisTest(np.nan, 0, np.nan, np.nan, 1.0)
    df, scale = fixed.degrees.of_hypothesis(L)
    wald = float(difference @ np.linalg.solve(L @ fixed.covariance @ L.T, difference))
    statistic = scale * wald / rank
    return HypothesisTest(statistic, rank, df, upper_tail(statistic, rank, df), scale)


def untested_note(names: Sequence[str], ranks: Sequence[float], df: Sequence[float]) -> tuple[str, ...]:
    """Return what tables say of hypotheses that no degrees of freedom are left for; nothing of others.

    Parameters
    ----------
    names : sequence of str
        What is tested.
    ranks, df : sequence of float
        Numerator and denominator degrees of freedom of each.
    """
    lost = [
        f"{name} ({q:.0f} coefficients)"
        for name, q, v in zip(names, ranks, df, strict=True)
        if q > 0 and np.isnan(v)
    ]
    if not lost:
        return ()
    text = (
        f"Note: no test of {listed(lost)}: so few clusters leave no degrees of freedom for it. Test fewer "
        "together, or by linear_hypothesis(test='Chisq')."
    )
    return (fill_line(text.split(" ")),)


def upper_tail(F: float, numerator_df: float, df: float) -> float:
    """Return P(F distribution > F), of chi-square over its degrees of freedom where `df` is infinite."""
    if np.isinf(df):
        return float(special.chdtrc(numerator_df, numerator_df * F))
    return float(special.fdtrc(numerator_df, df, F))


def independent_rows(L: FloatArray) -> list[int]:
    """Return the indices of the first rows of L that span all of them."""
    kept: list[int] = []
    basis = np.zeros((0, L.shape[1]))
    for i, row in enumerate(L):
        norm = float(np.linalg.norm(row))
        rest = row - basis.T @ (basis @ row)
        rest -= basis.T @ (basis @ rest)
        if norm > 0.0 and np.linalg.norm(rest) > INDEPENDENT_SHARE * norm:
            kept.append(i)
            basis = np.vstack([basis, rest / np.linalg.norm(rest)])
    return kept
