"""The covariance parameters theta of a model: which belong to which term, and what they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from mixedmodels.absent_rows import AbsentColumns
from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.deferred import on_first_use
from mixedmodels.formula.design.design import RandomTerm

with on_first_use():
    from mixedmodels.covariance import by_correlation, term_covariance

if TYPE_CHECKING:
    from mixedmodels.covariance.term_covariance import TermCovariance

#: Columns up to which all their products cost no more than their squares.
FEW_COLUMNS = 4


def theta_slices(terms: Sequence[RandomTerm]) -> tuple[slice, ...]:
    """Return the part of theta that belongs to each term."""
    return _consecutive(tuple(term.structure.n_theta for term in terms))


@cache
def _consecutive(sizes: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True))


def theta_parts(terms: Sequence[RandomTerm], theta: FloatArray | None) -> tuple[FloatArray | None, ...]:
    """Return the covariance parameters of each term; None for each where none are given."""
    return tuple(None if theta is None else theta[part] for part in theta_slices(terms))


def term_factors(terms: Sequence[RandomTerm], theta: FloatArray) -> tuple[FloatArray, ...]:
    """Return the relative covariance factor T of each term."""
    return tuple(
        term.structure.factor(theta[part]) for term, part in zip(terms, theta_slices(terms), strict=True)
    )


def term_covariances(
    terms: Sequence[RandomTerm], theta: FloatArray, sigma: float
) -> tuple[TermCovariance, ...]:
    """Return ``sigma^2 T T'`` of each term (Bates et al. 2015, eq. 4).

    Parameters
    ----------
    terms : sequence of RandomTerm
        Random-effects terms.
    theta : ndarray, shape (k,)
        Covariance parameters of all terms.
    sigma : float
        Residual standard deviation; 1 for a generalized model, whose theta is absolute.
    """
    return tuple(
        term_covariance.TermCovariance(
            term.label,
            term.columns,
            sigma**2 * (T @ T.T),
            term.structure.name,
            _process(term.structure, theta[part]),
        )
        for term, T, part in zip(terms, term_factors(terms, theta), theta_slices(terms), strict=True)
    )


def _process(structure: CovarianceStructure, theta: FloatArray) -> tuple[tuple[str, float], ...]:
    """Return the parameters of the correlation of a process over places; nothing of other structures."""
    if not (isinstance(structure, by_correlation.ByCorrelation) and structure.correlation.uses_coordinates):
        return ()
    names = structure.correlation.parameter_names()
    return tuple(zip(names, theta[structure.n_sd :].tolist(), strict=True))


def theta_names(terms: tuple[RandomTerm, ...]) -> tuple[str, ...]:
    """Return lme4's names of theta, ``"Subject.Days.(Intercept)"``."""
    return tuple(
        f"{term.group}.{name}" for term in terms for name in term.structure.parameter_names(term.columns)
    )


def boundaries(terms: Sequence[RandomTerm]) -> BoolArray:
    """Return, for each element of theta, whether zero is a boundary."""
    return np.array([flag for term in terms for flag in term.structure.is_lower_bound()])


def column_scales(term: RandomTerm) -> FloatArray:
    """Return the size of a unit-variance effect of each coefficient: 1 / RMS of its column, shape (S,)."""
    if term.size == 1 and not isinstance(term.Z, AbsentColumns) and term.Z.strides[0] == 0:
        # One number for all rows.
        return np.full(1, 1.0 / (abs(float(term.Z[0, 0])) or 1.0))
    rms = np.sqrt(mean_squares(term))
    if rms.all():
        return np.asarray(1.0 / rms)
    return np.where(rms > 0.0, 1.0 / np.where(rms > 0.0, rms, 1.0), 1.0)


def mean_squares(term: RandomTerm) -> FloatArray:
    """Return the mean square of each column of a term, shape (S,)."""
    if isinstance(term.Z, AbsentColumns):
        return np.asarray(np.einsum("ij,ij->j", term.Z.triangle, term.Z.triangle) / len(term.Z))
    if 1 < term.size <= FEW_COLUMNS:
        return np.asarray(term.Z.T.dot(term.Z).diagonal() / len(term.Z))
    return np.asarray(np.einsum("ij,ij->j", term.Z, term.Z) / len(term.Z))
