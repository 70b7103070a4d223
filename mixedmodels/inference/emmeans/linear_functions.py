"""Linear functions of the fixed effects with labels: marginal means and contrasts, before they are tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.fixed_effects import not_estimable
from mixedmodels.inference.contrasts import FixedEffects, contrast_tests
from mixedmodels.inference.emmeans.response_scale import ResponseScale, back_transformed
from mixedmodels.inference.fixed_effects import Ddf, fixed_effects

#: What functions are: means, contrasts of them, or all pairwise differences of one family.
Kind = Literal["means", "contrasts", "pairs"]
#: Scale of a table: that of the linear predictor or that of the response.
Scale = Literal["link", "response"]
# Degrees of freedom that differ by less are one number when means become estimates of their own.
EQUAL_DF = 0.01


@dataclass(frozen=True, slots=True)
class Basis:
    """Estimates that linear functions are of.

    Attributes
    ----------
    fixed : FixedEffects
        Estimates, covariance and degrees of freedom.
    kept : ndarray of int
        Positions of the estimates among the columns of L.
    dependence : ndarray or None
        The other columns as combinations of those kept; None where all are kept.
    method : str
        Name of the method of degrees of freedom as tables say it; empty where none is said.
    """

    fixed: FixedEffects
    kept: IntArray
    dependence: FloatArray | None
    method: str

    def unknown(self, L: FloatArray) -> BoolArray:
        """Return the rows of L that the data do not determine, shape (m,)."""
        unknown = np.isnan(L).any(axis=1)
        if self.dependence is not None:
            unknown |= not_estimable(np.nan_to_num(L), self.kept, self.dependence)
        return np.asarray(unknown)


@dataclass(frozen=True, slots=True)
class Family:
    """How the functions of one table are tested together.

    Attributes
    ----------
    kind : {"means", "contrasts", "pairs"}
        What they are; Tukey's adjustment is for all pairs.
    adjust : str
        Adjustment of p-values and limits by default.
    intervals, tests : bool
        Whether a table shows limits and tests by default.
    cross_adjust : str
        Adjustment of p-values across the families, after that within each.
    """

    kind: Kind = "means"
    adjust: str = "none"
    intervals: bool = True
    tests: bool = False
    cross_adjust: str = "none"


@dataclass(frozen=True, slots=True)
class LinearFunctions:
    """Linear functions of estimates, one a row.

    Attributes
    ----------
    labels : DataFrame, m rows
        Levels of each variable, those in `by` last.
    by : tuple of str
        Variables that divide the rows into families.
    L : ndarray, shape (m, columns)
        The functions; NaN in rows that are averages over nothing.
    offset : ndarray, shape (m,)
        What is added.
    basis : Basis
        The estimates.
    name : str
        Name of the column of estimates.
    scale : ResponseScale or None
        From the estimates to the response.
    type : {"link", "response"}
        Scale of tables by default.
    family : Family
        How they are tested together.
    level : float
        Confidence level of tables by default.
    sigma : float or None
        Standard deviation for the adjustment of bias.
    bias_adjust : bool
        Whether back-transformed means are adjusted for bias.
    averaged : tuple of str
        Variables averaged over.
    notes : tuple of str
        What tables say below.
    nesting : dict
        Nested variable -> what it is nested in.
    is_ratio : bool
        Whether differences on the scale are logarithms of ratios, so that labels have " / " for " - ".
    """

    labels: pd.DataFrame
    by: tuple[str, ...]
    L: FloatArray
    offset: FloatArray
    basis: Basis
    name: str = "emmean"
    scale: ResponseScale | None = None
    type: Scale = "link"
    family: Family = Family()
    level: float = 0.95
    sigma: float | None = None
    bias_adjust: bool = False
    averaged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    nesting: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_ratio: bool = False


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates of linear functions, each (m,); NaN where the data determine none."""

    estimate: FloatArray
    se: FloatArray
    df: FloatArray


def basis_of(fit: Fit, ddf: Ddf, vcov: Any) -> Basis:
    """Return the fixed effects of a fit as a basis."""
    recipe = fit.design.recipe
    fixed = fixed_effects(fit, ddf, vcov)
    return Basis(fixed, recipe.kept, recipe.dependence, _method(fit, fixed))


def _method(fit: Fit, fixed: FixedEffects) -> str:
    """Return the name of the method of degrees of freedom; only linear mixed models have a choice of it."""
    method = fixed.degrees.method.lower()
    for name in ("satterthwaite", "kenward-roger", "residual"):
        if name in method:
            return name
    return method or ("asymptotic" if fit.family() is None and fit.random else "")


def estimates(functions: LinearFunctions) -> Estimates:
    """Return the functions' estimates, standard errors and degrees of freedom, on their own scale."""
    basis, m = functions.basis, len(functions.L)
    known = np.flatnonzero(~basis.unknown(functions.L))
    found = Estimates(np.full(m, np.nan), np.full(m, np.nan), np.full(m, np.nan))
    if len(known):
        tests = contrast_tests(basis.fixed, functions.L[known][:, basis.kept])
        found.estimate[known] = tests.estimate + functions.offset[known]
        found.se[known], found.df[known] = tests.se, tests.df
    return found


def covariance(functions: LinearFunctions) -> FloatArray:
    """Return the covariance of the functions, shape (m, m); NaN where the data determine no estimate."""
    unknown = functions.basis.unknown(functions.L)
    L = functions.L[:, functions.basis.kept].copy()
    L[unknown] = 0.0
    V = L @ functions.basis.fixed.covariance @ L.T
    V[unknown] = np.nan
    V[:, unknown] = np.nan
    return np.asarray(V)


def families(functions: LinearFunctions, by: Sequence[str]) -> list[IntArray]:
    """Return the rows of each combination of levels of `by`, in the order of their first rows."""
    if not by:
        return [np.arange(len(functions.labels))]
    keys = list(functions.labels[list(by)].itertuples(index=False, name=None))
    places: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(keys):
        places.setdefault(key, []).append(row)
    return [np.array(rows, dtype=np.intp) for rows in places.values()]


@dataclass(frozen=True, slots=True)
class Inherited:
    """Degrees of freedom of estimates that were functions of others: the smallest of those that take part.

    Attributes
    ----------
    df : ndarray, shape (estimates,)
        Those of the estimates.
    """

    df: FloatArray
    method: str = ""

    def of_rows(self, L: FloatArray) -> FloatArray:
        """Return the smallest degrees of freedom of the estimates in each row, shape (m,)."""
        return np.asarray(np.min(np.where(L != 0.0, self.df, np.inf), axis=1, initial=np.inf))

    def of_hypothesis(self, L: FloatArray) -> tuple[float, float]:
        """Return the smallest of the rows', and 1."""
        return float(self.of_rows(L).min()), 1.0


def as_estimates(
    functions: LinearFunctions, values: FloatArray, V: FloatArray, df: FloatArray
) -> tuple[Basis, FloatArray]:
    """Return a basis in which each function is an estimate of its own, and the identity in it.

    Parameters
    ----------
    functions : LinearFunctions
        The functions.
    values, df : ndarray, shape (m,)
        Their estimates and degrees of freedom; NaN where not estimable.
    V : ndarray, shape (m, m)
        Covariance of the estimates.
    """
    kept = np.flatnonzero(~np.isnan(values))
    known = df[kept]
    if len(known) and _are_equal(known):
        known = np.full(len(kept), float(np.mean(known)))
    names = tuple(" ".join(map(str, row)) for row in functions.labels.iloc[kept].itertuples(index=False))
    fixed = FixedEffects(values[kept], V[np.ix_(kept, kept)], Inherited(known), names)
    lost = len(values) - len(kept)
    dependence = np.zeros((len(kept), lost)) if lost else None
    method = functions.basis.method
    if method and not method.startswith("inherited"):
        method = f"inherited from {method} when re-gridding"
    return Basis(fixed, kept, dependence, method), np.eye(len(values))


def _are_equal(df: FloatArray) -> bool:
    return bool(np.isinf(df).all() or df.max() - df.min() < EQUAL_DF)


def on_response_scale(functions: LinearFunctions) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the estimates back-transformed, their covariance by the delta method, and their df."""
    found = estimates(functions)
    V = covariance(functions)
    if functions.scale is None or not functions.scale.is_known:
        return found.estimate, V, found.df
    sigma = functions.sigma if functions.bias_adjust else None
    mu, slope = back_transformed(functions.scale, found.estimate, sigma)
    return mu, slope[:, None] * V * slope, found.df
