"""The variance of a response split into what fixed effects, random effects and chance make of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from mixedmodels.absent_rows import NO_ROWS, AbsentColumns, AbsentRows
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.distribution_variance import (
    VarianceMethod,
    chosen_method,
    correlation_of_trials,
    distribution_variance,
    trial_dispersion,
)
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.families.family import Family
from mixedmodels.families.response import TRIALS_FAMILIES
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.nonlinear import refuse_nonlinear
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.sparse_root import level_variances
from mixedmodels.inference.refits import attempt


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """Variances on the scale of the linear predictor.

    Attributes
    ----------
    fixed : float
        Variance of ``X beta`` over the rows.
    random : dict
        Mean over the rows of the variance of ``z'b``, by grouping factor, effects of single rows left out.
    distribution : float
        Residual variance, or that of the distribution.
    dispersion : float
        Variance of effects that each row has its own of.
    """

    fixed: float
    random: dict[str, float]
    distribution: float
    dispersion: float

    @property
    def between(self) -> float:
        """Variance of all random effects that rows share."""
        return sum(self.random.values())

    @property
    def residual(self) -> float:
        """Variance of what rows do not share."""
        return self.distribution + self.dispersion

    @property
    def total(self) -> float:
        """Sum of all."""
        return self.fixed + self.between + self.residual


def variance_components(
    fit: MixedFit, method: VarianceMethod | None = None, mean: float | None = None
) -> VarianceComponents:
    """Split the variance of a response.

    Parameters
    ----------
    fit : MixedFit
        The model.
    method : {"theoretical", "delta", "lognormal", "trigamma"}, optional
        Variance of the distribution of a generalized model; by default the first that family and link have.
    mean : float, optional
        Mean of the response at which that variance is taken; by default that of the model without
        predictors, at random effects and an offset of zero.

    Raises
    ------
    ControlError
        If family and link do not have the method, or `mean` is outside the range of the link.
    NotAvailableError
        If the model without predictors cannot be fitted.
    """
    refuse_nonlinear(fit, "a split of the variance")
    random: dict[str, float] = {}
    dispersion = 0.0
    for term, record in zip(fit.random, fit.term_covariances(), strict=True):
        variance = term_variance(term, record.covariance)
        if term.n_levels == len(fit.y):
            dispersion += variance
        else:
            random[term.group] = random.get(term.group, 0.0) + variance
    chance, extra = _chance(fit, method, mean)
    return VarianceComponents(_fixed_variance(fit), random, chance, dispersion + extra)


def _fixed_variance(fit: MixedFit) -> float:
    """Return the variance of ``X beta`` over the rows, which sums tell of where there is an intercept."""
    X = fit.design.X
    if not isinstance(X, AbsentColumns):
        return float(np.var(X @ fit.beta, ddof=1))
    if fit.design.weights is not None or fit.design.x_names[:1] != ("(Intercept)",):
        raise NotAvailableError(NO_ROWS)
    ones, mean = X.triangle[:, 0], X.triangle @ fit.beta
    return float(np.square(mean - ones * (ones @ mean) / (ones @ ones)).sum()) / (len(X) - 1)


def term_variance(term: RandomTerm, covariance: FloatArray) -> float:
    """Return the mean over the rows of ``z' Cov(b) z`` (Johnson 2014, Methods Ecol. Evol. 5, eq. 10)."""
    if isinstance(term.Z, AbsentColumns):
        if term.relationship is not None:
            raise NotAvailableError(NO_ROWS)
        products = term.Z.triangle.T @ term.Z.triangle
        return float((covariance * products).sum()) / len(term.Z)
    of_rows = np.einsum("ij,jk,ik->i", term.Z, covariance, term.Z)
    if term.relationship is not None:
        of_rows = of_rows * level_variances(term.relationship)[term.codes]
    return float(of_rows.mean())


def _chance(fit: MixedFit, method: VarianceMethod | None, mean: float | None) -> tuple[float, float]:
    """Return the variance of the distribution, and what correlated trials add to it."""
    family = fit.family()
    if family is None:
        _refuse_for_linear(method, mean)
        return residual_variance(fit), 0.0
    chosen = chosen_method(family, method)
    needs_mean = chosen != "theoretical" or correlation_of_trials(family, fit.phi) > 0.0
    mu = _mean(fit, family, mean) if needs_mean else 0.5
    # A dispersion that is no parameter of the family multiplies its variance (Nakagawa & Schielzeth 2010).
    scale = 1.0 if family.has_dispersion else fit.sigma() ** 2
    chance = scale * distribution_variance(family, mu, fit.phi, chosen)
    return chance, trial_dispersion(family, mu, fit.phi) if needs_mean else 0.0


def residual_variance(fit: Fit) -> float:
    """Return the residual variance of a linear model, the mean over the rows where rows differ in it."""
    relative = float(np.mean(fit.relative_sd**2)) if isinstance(fit, StructuredResiduals) else 1.0
    return fit.sigma() ** 2 * relative


def _refuse_for_linear(method: VarianceMethod | None, mean: float | None) -> None:
    for name, value in (("variance", method), ("mean", mean)):
        if value is not None:
            raise ControlError(
                f"{name}={value!r} is for generalized models; a linear model has its residual variance."
            )


def _mean(fit: MixedFit, family: Family, mean: float | None) -> float:
    """Return the mean asked for, or that of the model without predictors."""
    if mean is None:
        mean = float(family.link.inverse(np.array([_null_intercept(fit)]))[0])
    number = isinstance(mean, (int, float, np.floating, np.integer)) and not isinstance(mean, bool)
    bounded = family.name in TRIALS_FAMILIES or family.name == "beta"
    if not number or not 0.0 < mean < (1.0 if bounded else np.inf):
        if family.name == "gaussian" and number and np.isfinite(mean):
            return float(mean)
        raise ControlError(
            f"mean must be a number {'between 0 and 1' if bounded else 'above 0'}, a mean of the response; "
            f"got {mean!r}."
        )
    return float(mean)


def _null_intercept(fit: MixedFit) -> float:
    """Return the intercept of the model with the same random effects and no predictors."""
    design = fit.design
    if design.x_names == ("(Intercept)",):
        return float(fit.beta[0])
    ones: Any = AbsentColumns(len(fit.y), np.full((1, 1), np.sqrt(len(fit.y))))
    if not isinstance(design.X, AbsentColumns):
        ones = np.ones((len(fit.y), 1))
    null = replace(design, fixed=ColumnMatrix.of(ones), x_names=("(Intercept)",), dropped=())
    found = attempt(lambda: fit.with_design(null))
    no_rows = isinstance(found, str) and isinstance(fit.data, AbsentRows)
    why = "needs the rows of the data" if no_rows else "did not converge"
    if isinstance(found, str) or not cast(MixedFit, found).convergence().is_optimum:
        raise NotAvailableError(
            "the mean that the variance of the distribution depends on is that of the model without "
            f"predictors, which {why}; give it as mean=."
        )
    return float(found.beta[0])
