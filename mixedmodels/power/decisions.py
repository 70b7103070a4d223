"""P-values of a test for many simulated responses, all of them at once where the engine can."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mixedmodels.advice import shown
from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.engines.linear.parameter_covariance import parameter_covariance
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.inference.anova import anova
from mixedmodels.inference.boundary_tests import added_effect, boundary_p_value
from mixedmodels.inference.comparison import chi_square_tail
from mixedmodels.inference.contrasts import Constant, FixedEffects, hypothesis_test, two_sided
from mixedmodels.inference.fixed_effects import Ddf, fixed_effects
from mixedmodels.inference.linear_hypothesis import Stated
from mixedmodels.inference.refits import FAILED, RESPONSE_ERRORS, Refits, Refitter, attempt
from mixedmodels.inference.satterthwaite import Satterthwaite
from mixedmodels.inference.simulations import ONE_BY_ONE, TOGETHER

#: Responses of one piece of work where they are fitted together but tested one by one.
PARTLY = 100
#: Verdicts of fits that reached an optimum.
SETTLED = ("converged", "boundary", "not identified")


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a test says of R responses.

    Attributes
    ----------
    p_values : ndarray, shape (R,)
        NaN where there is none: a fit failed.
    doubtful : ndarray of bool, shape (R,)
        Whether a fit stopped before its optimum.
    reasons : dict
        By number of the response, why there is no p-value.
    """

    p_values: FloatArray
    doubtful: BoolArray
    reasons: dict[int, str]


class Test(Protocol):
    """A test that is applied to responses of one design."""

    @property
    def text(self) -> str:
        """What the test is, in words."""

    @property
    def piece(self) -> int:
        """Responses of one piece of work."""

    def decide(self, Y: FloatArray) -> Decisions:
        """Return the p-values of the columns of Y, shape (n, R)."""


class HypothesisOfCoefficients:
    """The t, F or chi-square test of ``L beta = rhs``.

    Parameters
    ----------
    template : Fit
        A fit of the model, from which those of the responses start.
    stated : Stated
        The hypothesis.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Degrees of freedom.
    """

    def __init__(self, template: Fit, stated: Stated, ddf: Ddf) -> None:
        self.refitter, self.stated, self.ddf = Refitter(template), stated, ddf
        degrees = fixed_effects(template, ddf).degrees
        self.method = degrees.method
        # Degrees of freedom that are the same for every response.
        self.constant = degrees.df if isinstance(degrees, Constant) else None

    @property
    def text(self) -> str:
        """What the test is, in words."""
        single = len(self.stated.L) == 1
        if self.constant is not None and np.isinf(self.constant):
            return "z test" if single else "Wald chi-square test"
        method = self.method or f"{self.constant:.0f} degrees of freedom"
        return f"{'t' if single else 'F'} test, {method}"

    @property
    def _coefficient(self) -> int | None:
        """The coefficient that is tested by its standard error alone; None for another hypothesis."""
        L = self.stated.L
        is_one = len(L) == 1 and np.count_nonzero(L) == 1 and L.max() == 1.0
        return int(np.argmax(L[0])) if is_one else None

    @property
    def _from_covariance(self) -> bool:
        """Whether Satterthwaite's method finds all it needs in the estimates."""
        return isinstance(self.refitter.fit, LinearFit) and self.ddf in ("default", "satterthwaite")

    @property
    def piece(self) -> int:
        """Responses of one piece of work."""
        if self.refitter.batch is None:
            return ONE_BY_ONE
        if self.constant is not None and self._coefficient is not None:
            return TOGETHER
        return PARTLY if self._from_covariance else ONE_BY_ONE

    def decide(self, Y: FloatArray) -> Decisions:
        """Return the p-values of the columns of Y."""
        if self.constant is not None and self._coefficient is not None:
            return self._from_standard_errors(self.refitter.refit(Y), self._coefficient, self.constant)
        fit = self.refitter.fit
        if isinstance(fit, LinearFit) and self._from_covariance:
            return self._from_parameters(fit, Y, self.refitter.refit(Y))
        return decide_one_by_one(fit, Y, self._p_value)

    def _from_standard_errors(self, refits: Refits, j: int, df: float) -> Decisions:
        with np.errstate(divide="ignore", invalid="ignore"):  # a fit of no residual: p-value NaN
            statistic = (refits.beta[:, j] - self.stated.rhs[0]) / refits.se[:, j]
        p = two_sided(statistic, np.full(len(statistic), df))
        return _decisions(refits, p)

    def _from_parameters(self, fit: LinearFit, Y: FloatArray, refits: Refits) -> Decisions:
        """Return p-values by Satterthwaite's method at the estimates, no model being made of them."""
        p = np.full(Y.shape[1], np.nan)
        reasons = {}
        for r in np.flatnonzero(~refits.has_failed).tolist():
            try:
                problem, y = fit.problem.with_response(Y[:, r]), Y[:, r]
                known = parameter_covariance(problem, refits.theta[r], refits.sigma[r], fit.is_reml, y)
                fixed = FixedEffects(
                    refits.beta[r], known.root.T @ known.root, Satterthwaite(known), fit.design.x_names
                )
                p[r] = hypothesis_test(fixed, self.stated.L, self.stated.rhs).p_value
            except RESPONSE_ERRORS as error:
                reasons[r] = str(error)
        return _decisions(refits, p, reasons)

    def _p_value(self, fit: Fit) -> float:
        return hypothesis_test(fixed_effects(fit, self.ddf), self.stated.L, self.stated.rhs).p_value


def _decisions(refits: Refits, p: FloatArray, reasons: dict[int, str] | None = None) -> Decisions:
    """Return decisions from fits; one that failed has no p-value."""
    why = {r: reason for r, reason in refits.reasons.items() if refits.verdict[r] == FAILED} | (reasons or {})
    settled = np.isin(refits.verdict.astype(str), (*SETTLED, FAILED))
    return Decisions(np.where(refits.has_failed, np.nan, p), ~settled, why)


class LikelihoodRatio:
    """The likelihood-ratio test of a smaller model.

    P-values are of chi-square; where the smaller model lacks one random effect they know that its variance is
    at the boundary.

    Parameters
    ----------
    large, small : Fit
        Fits of both models, by maximum likelihood.
    """

    def __init__(self, large: Fit, small: Fit) -> None:
        self.large, self.small = Refitter(large), Refitter(small)
        self.df = large.npar - small.npar
        self.added = added_effect(small, large)

    @property
    def text(self) -> str:
        """What the test is, in words."""
        boundary = ", the variance at its boundary under the hypothesis" if self.added else ""
        return f"likelihood-ratio test, {self.df} degree{'s' * (self.df > 1)} of freedom{boundary}"

    @property
    def piece(self) -> int:
        """Responses of one piece of work."""
        return TOGETHER if self.large.batch is not None and self.small.batch is not None else ONE_BY_ONE

    def decide(self, Y: FloatArray) -> Decisions:
        """Return the p-values of the columns of Y."""
        large, small = self.large.refit(Y), self.small.refit(Y)
        ratio = np.maximum(small.objective - large.objective, 0.0)
        p = (
            chi_square_tail(ratio, np.full(len(ratio), float(self.df)))
            if self.added is None
            else boundary_p_value(ratio, *self.added)
        )
        of_large, of_small = _decisions(large, p), _decisions(small, p)
        return Decisions(
            np.where(np.isnan(of_small.p_values), np.nan, of_large.p_values),
            of_large.doubtful | of_small.doubtful,
            of_small.reasons | of_large.reasons,
        )


class FTestOfModels:
    """The F test of a smaller model in a linear model without random effects, as ``anova(m0, m1)``."""

    piece = ONE_BY_ONE

    def __init__(self, large: Fit, small: Fit) -> None:
        self.large, self.small = large, small
        self.text = f"F test, {large.df_residual()} residual degrees of freedom"

    def decide(self, Y: FloatArray) -> Decisions:
        """Return the p-values of the columns of Y."""

        def p_value(fit: Fit) -> float:
            table = anova(self.small.refit(fit.y), fit)
            return float(table["Pr(>F)"].iloc[-1])

        return decide_one_by_one(self.large, Y, p_value)


class OwnTest:
    """A function of a fit that returns a p-value, or whether it rejects."""

    piece = ONE_BY_ONE

    def __init__(self, template: Fit, function: Callable[[Any], Any]) -> None:
        self.template, self.function = template, function
        name = getattr(function, "__name__", type(function).__name__)
        self.text = "a function of the fit" if name == "<lambda>" else f"{name}()"
        as_p_value(function(template))

    def decide(self, Y: FloatArray) -> Decisions:
        """Return the p-values of the columns of Y; 0 and 1 where the function decides by itself."""
        return decide_one_by_one(self.template, Y, lambda fit: as_p_value(self.function(fit)))


def as_p_value(result: Any) -> float:
    """Return what a test returned as a p-value: rejected is 0, not rejected is 1.

    Raises
    ------
    ControlError
        If it is neither a p-value nor a decision.
    """
    if isinstance(result, (bool, np.bool_)):
        return 0.0 if result else 1.0
    try:
        p = float(result)
    except (TypeError, ValueError):
        p = -1.0
    if 0.0 <= p <= 1.0 or np.isnan(p):
        return p
    raise ControlError(
        "test must return a p-value between 0 and 1, or True where it rejects, such as lambda m: "
        f"m.anova().loc['x', 'Pr(>F)'], not {shown(result)}."
    )


def decide_one_by_one(template: Fit, Y: FloatArray, p_value: Callable[[Fit], float]) -> Decisions:
    """Fit every response by itself and ask for its p-value."""
    R = Y.shape[1]
    p, doubtful, reasons = np.full(R, np.nan), np.zeros(R, dtype=bool), {}
    for r in range(R):
        found = attempt(lambda r=r: template.refit(Y[:, r]))  # type: ignore[misc]
        if isinstance(found, str):
            reasons[r] = found
            continue
        doubtful[r] = hasattr(found, "convergence") and not found.convergence().is_optimum
        try:
            p[r] = p_value(found)
        except Exception as error:  # whatever a user's function raises is kept as the reason
            reasons[r] = f"test: {error}"
    return Decisions(p, doubtful, reasons)


def likelihood_ratio(large: Fit, small: Fit) -> Test:
    """Return the test of a smaller model in a larger one.

    Raises
    ------
    NotAvailableError
        If a model has no likelihood.
    ControlError
        If the smaller model is not smaller.
    """
    if not all(m.has_likelihood and not m.is_quasi for m in (large, small)):
        raise NotAvailableError("a likelihood-ratio test needs likelihoods, and one of the models has none.")
    if large.npar <= small.npar:
        raise ControlError(
            f"the model of the test, {small.formula()}, has {small.npar} parameters and is not smaller than "
            f"{large.formula()} with {large.npar}: take something out, as in test='. ~ . - x'."
        )
    if large.is_least_squares and small.is_least_squares:
        return FTestOfModels(large, small)
    return LikelihoodRatio(large.refitML(), small.refitML())
