"""Covariance and degrees of freedom of the fixed effects of a model with structured residuals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.engines.residual.information import CovarianceInformation, bias, covariance_information
from mixedmodels.engines.residual.objective import evaluation
from mixedmodels.engines.residual.printed_parameters import second_derivatives
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.inference.contrasts import FixedEffects
from mixedmodels.inference.kenward_roger import KenwardRoger
from mixedmodels.inference.satterthwaite import combined, moment_df

#: A column that varies within a subject by more than this share of its size is a within-subject effect.
CONSTANT = 1e-10


@dataclass(frozen=True, slots=True)
class StructuredSatterthwaite:
    """Satterthwaite's degrees of freedom; those of contrasts.DegreesOfFreedom.

    Attributes
    ----------
    at : CovarianceInformation
        From the observed information.
    """

    at: CovarianceInformation

    @property
    def method(self) -> str:
        """Name of the method."""
        return "Satterthwaite's method"

    def of_rows(self, L: FloatArray) -> FloatArray:
        """Return the degrees of freedom of every row of L, shape (m,); NaN for a row of zeros."""
        return moment_df(L @ self.at.root.T, self.at.changes, self.at.W)

    def of_hypothesis(self, L: FloatArray) -> tuple[float, float]:
        """Return the denominator degrees of freedom of the F test of ``L beta``, and 1."""
        if len(L) == 1:
            return float(self.of_rows(L)[0]), 1.0
        rows = L @ self.at.root.T
        _, axes = np.linalg.eigh(rows @ rows.T)
        return combined(self.of_rows(axes.T @ L)), 1.0


@dataclass(frozen=True, slots=True)
class BetweenWithin:
    """Degrees of freedom between and within subjects, as SAS; those of contrasts.DegreesOfFreedom.

    Attributes
    ----------
    is_within : ndarray of bool, shape (p,)
        Which columns vary within a subject.
    between, within : float
        Degrees of freedom of contrasts of the others alone, and of contrasts with one that varies.
    """

    is_within: BoolArray
    between: float
    within: float

    @property
    def method(self) -> str:
        """Name of the method."""
        return "between-within degrees of freedom"

    def of_rows(self, L: FloatArray) -> FloatArray:
        """Return the degrees of freedom of every row of L, shape (m,)."""
        return np.where((L[:, self.is_within] != 0.0).any(axis=1), self.within, self.between)

    def of_hypothesis(self, L: FloatArray) -> tuple[float, float]:
        """Return the denominator degrees of freedom of the F test of ``L beta``, and 1."""
        return float(self.of_rows(L).min()), 1.0


def satterthwaite(fit: StructuredResiduals) -> FixedEffects:
    """Return the fixed effects with Satterthwaite's degrees of freedom."""
    names = tuple(fit.design.x_names)
    degrees = StructuredSatterthwaite(fit.observed_covariance_information)
    return FixedEffects(fit.beta, fit._fixed_covariance(), degrees, names)


def kenward_roger(fit: StructuredResiduals, linear: bool) -> FixedEffects:
    """Return the fixed effects with Kenward and Roger's covariance and degrees of freedom.

    Parameters
    ----------
    fit : StructuredResiduals
        A fit by REML.
    linear : bool
        Whether to leave out the second derivatives of the covariance (SAS's ``ddfm=kr(linear)``).

    Raises
    ------
    NotAvailableError
        If the fit is by maximum likelihood.
    """
    if not fit.is_reml:
        raise NotAvailableError(
            "Kenward and Roger's method is for fits by REML; fit the model with REML=True, or use "
            "ddf='satterthwaite'."
        )
    problem = fit.tied_problem
    if problem is None:
        raise NotAvailableError(
            "Kenward and Roger's method needs the covariance matrix of all rows that belong together, and "
            "groups as long as these have none formed; use ddf='satterthwaite'."
        )
    is_expected = fit.information_kind == "expected"
    at = covariance_information(problem, fit.residual_estimates.free, True, is_expected)
    found = evaluation(problem, fit.residual_estimates.free, True)
    curved = [] if linear or fit.is_linear_covariance else second_derivatives(problem, found, at)
    B = bias(problem, found, at, curved)
    adjusted = at.root.T @ (np.eye(len(B)) + 2.0 * B) @ at.root
    return FixedEffects(
        fit.beta, adjusted, KenwardRoger(at.root, at.changes, at.W), tuple(fit.design.x_names)
    )


def between_within(fit: StructuredResiduals) -> BetweenWithin:
    """Return degrees of freedom between and within subjects.

    With unstructured covariance every effect has those between subjects, as in SAS.

    Raises
    ------
    NotAvailableError
        If the residuals have no groups.
    """
    residual = fit.design.residual
    if residual is None:
        raise NotAvailableError(
            "between-within degrees of freedom need subjects, which residual= names: 'cs(visit | subject)'."
        )
    counted = fit.prior_weights > 0.0
    codes, X = residual.codes[counted], fit.design.X[counted]
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    spread = np.abs(X - X[first][inverse]).max(axis=0)
    is_within = spread > CONSTANT * np.abs(X).max(axis=0)
    between = len(first) - int((~is_within).sum())
    within = len(codes) - len(first) - int(is_within.sum())
    if residual.structure.name == "us":
        within = between
    return BetweenWithin(is_within, float(between), float(within))
