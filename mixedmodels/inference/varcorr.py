"""The result of ``VarCorr(m)``: variances, standard deviations and correlations of the random effects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from mixedmodels.covariance.term_covariance import TermCovariance
from mixedmodels.errors import ControlError
from mixedmodels.reports.page import html_of
from mixedmodels.reports.variance_text import VarianceForm, variance_table

RowOrder = Literal["cov.last", "lower.tri"]


class VarCorr(Mapping[str, pd.DataFrame]):
    """Covariance matrices of the random effects by term, printed as lme4 prints them.

    A mapping from the label of a term to its covariance matrix.

    Parameters
    ----------
    terms : sequence of TermCovariance
        One covariance matrix per term.
    sigma : float or None
        Residual standard deviation; None for models without a residual row.

    Attributes
    ----------
    terms : tuple of TermCovariance
        As given.
    sigma : float or None
        As given.
    """

    def __init__(self, terms: Sequence[TermCovariance], sigma: float | None) -> None:
        self.terms = tuple(terms)
        self.sigma = sigma

    def __getitem__(self, label: str) -> pd.DataFrame:
        """Return the covariance matrix of a term."""
        term = self._term(label)
        return pd.DataFrame(term.covariance, index=list(term.columns), columns=list(term.columns))

    def __iter__(self) -> Iterator[str]:
        return (term.label for term in self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    def _term(self, label: str) -> TermCovariance:
        for term in self.terms:
            if term.label == label:
                return term
        raise KeyError(f"no random-effects term {label!r}; terms are {', '.join(self)}")

    def stddev(self, label: str) -> pd.Series:
        """Return the standard deviations of a term."""
        term = self._term(label)
        return pd.Series(term.stddev, index=list(term.columns), name=label)

    def correlation(self, label: str) -> pd.DataFrame:
        """Return the correlations of a term, NaN beside a standard deviation of zero."""
        term = self._term(label)
        return pd.DataFrame(term.correlation, index=list(term.columns), columns=list(term.columns))

    def to_frame(self, order: RowOrder = "cov.last") -> pd.DataFrame:
        """Return one row per variance and covariance, as R's ``as.data.frame(VarCorr(m))``.

        Parameters
        ----------
        order : {"cov.last", "lower.tri"}
            Within a term, variances first and then covariances, or the lower triangle column by column.

        Returns
        -------
        DataFrame
            Columns grp, var1, var2, vcov (variance or covariance), sdcor (standard deviation or correlation).

        Raises
        ------
        ControlError
            If `order` is neither.
        """
        if order not in get_args(RowOrder):
            raise ControlError(f"order must be 'cov.last' or 'lower.tri', not {order!r}.")
        rows = [row for term in self.terms for row in _rows(term, order)]
        if self.sigma is not None:
            rows.append(("Residual", None, None, self.sigma**2, self.sigma))
        return pd.DataFrame(rows, columns=["grp", "var1", "var2", "vcov", "sdcor"])

    def to_string(self, comp: VarianceForm | Sequence[VarianceForm] = "Std.Dev.", digits: int = 5) -> str:
        """Return the table with standard deviations, variances or both (`comp`)."""
        return variance_table(self.terms, self.sigma, comp, digits)

    def __repr__(self) -> str:
        return self.to_string()

    def _repr_html_(self) -> str:
        return html_of(repr(self))


def _rows(term: TermCovariance, order: RowOrder) -> list[tuple[str, str | None, str | None, float, float]]:
    """Return the rows of one term for the long table."""
    size = len(term.columns)
    pairs = [(j, i) for j in range(size) for i in range(j, size)]
    if order == "cov.last":
        pairs = [p for p in pairs if p[0] == p[1]] + [p for p in pairs if p[0] != p[1]]
    sdcor = np.where(np.eye(size, dtype=bool), np.diag(term.stddev), term.correlation)
    return [
        (
            term.label,
            term.columns[j],
            None if i == j else term.columns[i],
            float(term.covariance[i, j]),
            float(sdcor[i, j]),
        )
        for j, i in pairs
    ]
