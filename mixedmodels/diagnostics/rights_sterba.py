"""The decomposition of the variance of a linear mixed model with two levels (Rights & Sterba 2019).

Every predictor is split into its cluster means and the deviations from them; so is each row z of a random
term, ``z = zbar + w``. Then the variance of the response is the sum of

    f1   within clusters, by fixed effects       var(X beta - mean of X beta)
    f2   between clusters, by fixed effects      var(mean of X beta)
    v    within clusters, by random slopes       tr(T Cov(w))
    m    between clusters, by random effects     mean of zbar' T zbar
    s    residual                                sigma^2, its mean over rows that differ in it

With predictors centred within clusters m is the variance of the intercepts, and all are the authors' own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.diagnostics.variance_components import residual_variance
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.nonlinear import refuse_nonlinear
from mixedmodels.reports.page import Page, frame_table, html_of

SOURCES = ("fixed, within", "fixed, between", "slope variation", "mean variation", "sigma2")
#: Measures by the sources they are made of, out of the variance in all, within and between clusters.
MEASURES = {
    "f1": ((0,), ("total", "within")),
    "f2": ((1,), ("total", "between")),
    "v": ((2,), ("total", "within")),
    "m": ((3,), ("total", "between")),
    "f": ((0, 1), ("total",)),
    "fv": ((0, 1, 2), ("total",)),
    "fvm": ((0, 1, 2, 3), ("total",)),
    "f1v": ((0, 2), ("within",)),
}
WITHIN, BETWEEN = (0, 2, 4), (1, 3)


@dataclass(frozen=True, slots=True, repr=False)
class RightsSterba:
    """The variance of the response by its sources, in all, within and between clusters.

    Attributes
    ----------
    variances : Series
        Variance by source.
    decomposition : DataFrame
        Share of each source in the variance in all, within and between clusters; NaN where it has no part.
    r2 : DataFrame
        The measures f1, f2, v, m and their sums (rows) of the three variances (columns).
    """

    variances: pd.Series
    decomposition: pd.DataFrame
    r2: pd.DataFrame

    def __repr__(self) -> str:
        rounded = [table.round(4) for table in (self.decomposition, self.r2)]
        tables = [frame_table(table.to_string(na_rep=""), table) for table in rounded]
        return Page(["# Decomposition of Rights & Sterba", "", tables[0], "", "# R2", "", tables[1]])

    def _repr_html_(self) -> str:
        return html_of(repr(self))


def rights_sterba(fit: MixedFit) -> RightsSterba:
    """Decompose the variance of the response.

    Raises
    ------
    NotAvailableError
        If the model is not linear, or has not exactly one grouping factor of independent levels.
    """
    refuse_nonlinear(fit, "a split of the variance")
    groups = list(dict.fromkeys(term.group for term in fit.random))
    if not isinstance(fit, LinearFit):
        raise NotAvailableError(
            "the decomposition of Rights & Sterba is for linear mixed models, from lmer()."
        )
    if len(groups) > 1 or any(term.relationship is not None for term in fit.random):
        raise NotAvailableError(
            "the decomposition of Rights & Sterba is for one grouping factor of independent levels; this "
            f"model has {', '.join(groups)}. method='nakagawa' is for any number."
        )
    codes = np.asarray(fit.random[0].codes, dtype=np.intp)
    eta = (fit.design.X @ fit.beta)[:, None]
    between = cluster_means(eta, codes)
    slopes = means = 0.0
    for term, record in zip(fit.random, fit.term_covariances(), strict=True):
        zbar = cluster_means(term.Z, codes)
        w = term.Z - zbar
        w = w - w.mean(axis=0)
        slopes += float(np.sum(record.covariance * (w.T @ w))) / (len(w) - 1)
        means += float(np.einsum("ij,jk,ik->i", zbar, record.covariance, zbar).mean())
    fixed = [float(np.var(part, ddof=1)) for part in (eta - between, between)]
    return _tables(np.array([*fixed, slopes, means, residual_variance(fit)]))


def cluster_means(values: FloatArray, codes: IntArray) -> FloatArray:
    """Return, for each row, the means of its cluster, shape (n, k)."""
    counts = np.bincount(codes)
    means = np.column_stack([np.bincount(codes, column) / np.maximum(counts, 1) for column in values.T])
    return np.asarray(means[codes], dtype=np.float64)


def _tables(parts: FloatArray) -> RightsSterba:
    members = {"total": tuple(range(5)), "within": WITHIN, "between": BETWEEN}
    sums = {name: float(parts[list(of)].sum()) for name, of in members.items()}
    with np.errstate(invalid="ignore"):
        shares = {
            name: [parts[k] / np.float64(sums[name]) if k in of else np.nan for k in range(5)]
            for name, of in members.items()
        }
        measures = {
            name: [
                parts[list(of)].sum() / np.float64(sums[name]) if name in where else np.nan
                for of, where in MEASURES.values()
            ]
            for name in members
        }
    return RightsSterba(
        pd.Series(parts, index=list(SOURCES), name="variance"),
        pd.DataFrame(shares, index=list(SOURCES)),
        pd.DataFrame(measures, index=list(MEASURES)),
    )
