"""Estimates of one model fitted to many responses."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.batch_estimates import BatchEstimates, scattered, unsettled
from mixedmodels.engines.generalized import batch_fit as generalized_batch
from mixedmodels.engines.generalized.batch_fit import reaches
from mixedmodels.engines.linear import batch_fit as linear_batch
from mixedmodels.engines.linear.batch_problem import BatchProblem, batch_problem
from mixedmodels.errors import MixedModelsError, MixedModelsWarning
from mixedmodels.families import initialize, log_constant
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.new_response import new_response
from mixedmodels.formula.design.theta import boundaries
from mixedmodels.progress import Stopped

#: The verdict on a response that could not be fitted.
FAILED = "failed"
#: Errors that a response may raise: those of the package, and of arithmetic that has come to its end.
RESPONSE_ERRORS = (MixedModelsError, ArithmeticError, np.linalg.LinAlgError)


@dataclass(frozen=True, slots=True)
class Refits:
    """Estimates of R responses; NaN where a response could not be fitted.

    Attributes
    ----------
    beta, se : ndarray, shape (R, p)
        Fixed effects and their standard errors.
    theta : ndarray, shape (R, k)
        Covariance parameters.
    phi : ndarray, shape (R, m)
        Parameters of the family.
    sigma, objective : ndarray, shape (R,)
        Residual standard deviations; REML criteria or -2 log-likelihoods.
    verdict : ndarray of str, shape (R,)
        Verdict on each fit, ``"failed"`` where there is none.
    reasons : dict
        By number of the response, why a fit failed or did not converge.
    """

    beta: FloatArray
    se: FloatArray
    theta: FloatArray
    phi: FloatArray
    sigma: FloatArray
    objective: FloatArray
    verdict: np.ndarray[tuple[int, ...], np.dtype[np.object_]]
    reasons: dict[int, str]

    @property
    def has_failed(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Which responses could not be fitted, shape (R,)."""
        return np.asarray(self.verdict == FAILED)


_ARRAYS = tuple(f.name for f in fields(Refits) if f.name != "reasons")


def empty_refits(fit: Fit, R: int) -> Refits:
    """Return the record of R responses of which none is fitted."""
    p, k, m = len(fit.beta), len(fit.theta_values), len(fit.phi)
    beta, se, theta, phi, sigma, objective = (
        np.full(shape, np.nan) for shape in ((R, p), (R, p), (R, k), (R, m), R, R)
    )
    return Refits(beta, se, theta, phi, sigma, objective, np.full(R, FAILED, dtype=object), {})


def joined(parts: Sequence[Refits]) -> Refits:
    """Return the responses of several records in one."""
    starts = np.cumsum([0, *(len(part.verdict) for part in parts)])
    reasons = {
        int(start) + r: reason
        for start, part in zip(starts, parts, strict=False)
        for r, reason in part.reasons.items()
    }
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS
    }
    return Refits(**arrays, reasons=reasons)


def first_of(refits: Refits, count: int) -> Refits:
    """Return the first responses of a record."""
    arrays: dict[str, Any] = {name: getattr(refits, name)[:count] for name in _ARRAYS}
    return Refits(**arrays, reasons={r: reason for r, reason in refits.reasons.items() if r < count})


def attempt(fitting: Callable[[], Fit]) -> Fit | str:
    """Return a fit, or why there is none; warnings are left to the verdict."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixedModelsWarning)
        try:
            return fitting()
        except RESPONSE_ERRORS as error:
            return str(error)


def record(refits: Refits, r: int, found: Fit | str) -> None:
    """Write down the estimates of response r, or why there are none."""
    if isinstance(found, str):
        refits.reasons[r] = found
        return
    refits.beta[r], refits.theta[r], refits.phi[r] = found.beta, found.theta_values, found.phi
    refits.se[r], refits.sigma[r] = found._standard_errors(), found.sigma()
    if found.has_likelihood and not found.is_quasi:
        refits.objective[r] = -2.0 * found.loglik()
    refits.verdict[r] = "converged"
    if isinstance(found, MixedFit):
        report = found.convergence()
        refits.verdict[r] = report.verdict
        if not report.is_optimum:
            refits.reasons[r] = " ".join(report.reasons)


class Refitter:
    """Fits the model of a fit to other responses, many at once where its engine can.

    Parameters
    ----------
    fit : Fit
        The model; searches start from its estimates.

    Attributes
    ----------
    tell : callable or None
        Is told how many responses are done, as they are; not in other processes.
    """

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.tell: Callable[[int], None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is rebuilt from the fit."""
        return {"fit": self.fit, "tell": None}

    @cached_property
    def batch(self) -> _LinearBatch | _GeneralizedBatch | None:
        """The engine that fits responses together; None where each is fitted on its own."""
        if isinstance(self.fit, LinearFit):
            problem = batch_problem(self.fit.problem)
            return None if problem is None else _LinearBatch(self.fit, problem)
        if isinstance(self.fit, GeneralizedFit) and reaches(self.fit.problem, self.fit.estimates):
            return _GeneralizedBatch(self.fit)
        return None

    def refit(self, Y: FloatArray) -> Refits:
        """Fit the model to every column of Y, shape (n, R).

        Raises
        ------
        Stopped
            On Ctrl-C, with the responses that are done.
        """
        R, done = Y.shape[1], 0
        refits, size = empty_refits(self.fit, R), self.batch.size if self.batch is not None else 1
        try:
            for first in range(0, R, size):
                where = slice(first, min(first + size, R))
                for r in self._together(Y, where, refits):
                    done = self._reach(int(r), done)
                    record(refits, int(r), attempt(lambda r=r: self.fit.refit(Y[:, r])))  # type: ignore[misc]
                done = self._reach(where.stop, done)
        except KeyboardInterrupt:
            raise Stopped(first_of(refits, done), done) from None
        return refits

    def _reach(self, done: int, before: int) -> int:
        """Return how many responses are done, and tell of those since `before`."""
        if self.tell is not None and done > before:
            self.tell(done - before)
        return done

    def _together(self, Y: FloatArray, where: slice, refits: Refits) -> IntArray:
        """Fit some responses together and return which are left."""
        if self.batch is None:
            return np.arange(where.start, where.stop)
        found = self.batch.fit(Y[:, where])
        _copy(refits, where, found)
        return np.asarray(where.start + np.flatnonzero(~found.settled))


class _LinearBatch:
    """Responses of a linear mixed model, fitted together."""

    def __init__(self, fit: LinearFit, problem: BatchProblem) -> None:
        self.problem, self.REML = problem, fit.is_reml
        self.size = linear_batch.batch_size(problem)
        # At a zero variance the gradient vanishes whatever the response: no start.
        theta = fit.theta_values
        self.start = theta if theta[boundaries(fit.random)].all() else None

    def fit(self, Y: FloatArray) -> BatchEstimates:
        """Fit the columns of Y."""
        return linear_batch.fit_batch(self.problem, Y, self.REML, self.start)


class _GeneralizedBatch:
    """Responses of a generalized linear mixed model, fitted together."""

    def __init__(self, fit: GeneralizedFit) -> None:
        self.model = fit
        self.size = generalized_batch.batch_size(fit.problem)

    def fit(self, Y: FloatArray) -> BatchEstimates:
        """Fit the columns of Y, those that the family can have and that vary."""
        fit, R = self.model, Y.shape[1]
        values, constants, usable = np.empty((len(fit.y), R)), np.empty(R), []
        for r in range(R):
            entered = self._entered(Y[:, r])
            if entered is not None:
                values[:, r], constants[r] = entered
                usable.append(r)
        which = np.array(usable, dtype=np.intp)
        if not len(which):
            return unsettled(len(fit.theta_values), len(fit.beta), R)
        found = generalized_batch.fit_batch(fit.problem, fit.estimates, values[:, which], constants[which])
        return scattered(found, which, R)

    def _entered(self, y: FloatArray) -> tuple[FloatArray, float] | None:
        """Return a response as the family reads it, and its constant; None if the family cannot have it."""
        fit, family = self.model, self.model.family()
        with warnings.catch_warnings():
            warnings.simplefilter("error", MixedModelsWarning)
            try:
                values, weights = initialize(new_response(y, fit.design), fit.design.weights, family)
            except (MixedModelsError, MixedModelsWarning):
                return None
        if not np.array_equal(weights, fit.prior_weights) or np.ptp(values) == 0.0:
            return None
        return values, float(log_constant(fit.design, values, weights, family).sum())


def _copy(refits: Refits, where: slice, found: BatchEstimates) -> None:
    settled = found.settled
    for name in ("beta", "se", "theta", "sigma", "objective"):
        getattr(refits, name)[where][settled] = getattr(found, name)[settled]
    verdict = np.where(found.at_boundary, "boundary", "converged").astype(object)
    refits.verdict[where][settled] = verdict[settled]
