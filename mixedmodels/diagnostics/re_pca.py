"""Principal components of the random effects: how many directions they vary in (Bates et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.required import a_mixed_fit
from mixedmodels.formula.design.theta import term_factors
from mixedmodels.reports.numbers import format_numbers, round_digits
from mixedmodels.reports.page import Page, html_of
from mixedmodels.reports.text_tables import text_matrix

IMPORTANCE = ("Standard deviation", "Proportion of Variance", "Cumulative Proportion")
#: Decimal places of shares and digits of numbers in R's ``summary`` of principal components.
SHARE_PLACES, DIGITS = 5, 4


@dataclass(frozen=True, slots=True, repr=False)
class PrincipalComponents:
    """Principal components of the random effects of one grouping factor.

    Attributes
    ----------
    sdev : ndarray, shape (S,)
        Standard deviations along the components, relative to the residual one in a linear model.
    rotation : DataFrame, shape (S, S)
        Coefficients (rows) in the components (columns).
    """

    sdev: FloatArray
    rotation: pd.DataFrame

    @property
    def importance(self) -> pd.DataFrame:
        """Standard deviations, shares of the variance and their running sums; NaN where all are zero."""
        variances = self.sdev**2
        total = variances.sum()
        shares = variances / total if total > 0.0 else np.full_like(variances, np.nan)
        return pd.DataFrame(
            [self.sdev, shares, np.cumsum(shares)], index=list(IMPORTANCE), columns=self.rotation.columns
        )

    def __repr__(self) -> str:
        values = self.importance.to_numpy(dtype=np.float64).copy()
        values[1:] = round_digits(values[1:], SHARE_PLACES)
        cells = [format_numbers(column, DIGITS) for column in values.T]
        rows = [list(row) for row in zip(*cells, strict=True)]
        table = text_matrix(rows, IMPORTANCE, [str(c) for c in self.rotation.columns], right=True)
        return Page(["Importance of components:", table])

    def _repr_html_(self) -> str:
        return html_of(repr(self))


class RandomEffectsPCA(dict[str, PrincipalComponents]):
    """Principal components by grouping factor, printed as R's ``summary(rePCA(m))``."""

    def __repr__(self) -> str:
        return Page(part for group, found in self.items() for part in (f"${group}", repr(found), ""))

    def _repr_html_(self) -> str:
        return html_of(repr(self))


@advises
def rePCA(model: Any) -> RandomEffectsPCA:
    """Return the principal components of the random effects of each grouping factor, as lme4's.

    A standard deviation of zero is a direction in which the random effects do not vary: the model has more of
    them than the data support.

    Parameters
    ----------
    model : fitted mixed model
        The model.

    Returns
    -------
    RandomEffectsPCA
        A dictionary by grouping factor; the terms of one factor are taken together. Each entry has sdev,
        rotation and importance.

    Raises
    ------
    NotAvailableError
        If the model has no random effects.

    References
    ----------
    Bates, Kliegl, Vasishth & Baayen (2015), Parsimonious mixed models, arXiv:1506.04967.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.rePCA(m)["Subject"]
    Importance of components:
                              PC1     PC2
    Standard deviation     0.9669 0.23088
    Proportion of Variance 0.9460 0.05395
    Cumulative Proportion  0.9460 1.00000
    """
    fit = a_mixed_fit(model, "rePCA")
    factors = term_factors(fit.random, fit.theta_values)
    found = RandomEffectsPCA()
    for group in dict.fromkeys(term.group for term in fit.random):
        own = [(term, T) for term, T in zip(fit.random, factors, strict=True) if term.group == group]
        columns = [column for term, _ in own for column in term.columns]
        found[group] = _components(block_diag(*[T for _, T in own]), columns)
    return found


def _components(T: FloatArray, columns: list[str]) -> PrincipalComponents:
    U, sdev, _ = np.linalg.svd(T)
    names = [f"PC{k + 1}" for k in range(len(sdev))]
    return PrincipalComponents(sdev, pd.DataFrame(U, index=columns, columns=names))
