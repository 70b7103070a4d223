"""Fit a linear mixed model: start, optimise, put into canonical form, judge."""

from __future__ import annotations

import time

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.likelihood.estimates import LinearEstimates
from mixedmodels.likelihood.profiled import (
    LinearProblem,
    objective_and_gradient,
    objective_and_moments,
    solve,
    theta_slices,
)
from mixedmodels.optimization import start as starting
from mixedmodels.optimization.quasi_newton import Minimum, minimize
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport


def fit_linear(problem: LinearProblem, REML: bool, start: FloatArray | None = None) -> LinearEstimates:
    """Fit by REML or maximum likelihood.

    Parameters
    ----------
    problem : LinearProblem
        From :func:`~mixedmodels.likelihood.profiled.linear_problem`.
    REML : bool
        Which criterion.
    start : ndarray, shape (n_theta,), optional
        Starting theta; by default chosen from the data.
    """
    began = time.perf_counter()
    slices = theta_slices(problem.terms)
    theta = (
        np.concatenate(
            [
                t.structure.from_free(
                    t.structure.to_free(t.structure.start()) * t.structure.scales(starting.column_scales(t))
                )
                for t in problem.terms
            ]
        )
        if start is None
        else start
    )
    n = 0
    if start is None:
        _, _, moments = objective_and_moments(problem, theta, REML)
        at = starting.moments_by_term(problem, moments)
        theta = np.concatenate(
            [starting.scored(t.structure, theta[s], m) for t, s, m in zip(problem.terms, slices, at)]
        )
        n += 1
    f, g, moments = objective_and_moments(problem, theta, REML)
    at = starting.moments_by_term(problem, moments)
    H = starting.inverse_hessian(problem, theta, at)
    first = [(f, g)]

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        if first:
            return first.pop()
        return objective_and_gradient(problem, x, REML)

    found = minimize(function, theta, H)
    theta = found.x
    theta = np.concatenate(
        [t.structure.canonical(theta[s]) for t, s in zip(problem.terms, slices, strict=True)]
    )
    return _estimates(problem, theta, REML, found, time.perf_counter() - began)


def _estimates(
    problem: LinearProblem, theta: FloatArray, REML: bool, found: Minimum, seconds: float
) -> LinearEstimates:
    at = solve(problem, theta, REML)
    report = OptimizationReport(
        method="BFGS with exact gradient",
        n_evaluations=found.n_evaluations + 1,
        seconds=seconds,
        gradient_norm=float(np.abs(found.gradient).max(initial=0.0)),
        path=found.path,
        message=found.message,
    )
    return LinearEstimates(
        theta=theta,
        beta=at.beta,
        sigma=at.sigma,
        u=at.u,
        objective=at.objective,
        REML=REML,
        unscaled_vcov=at.unscaled_vcov,
        log_det_L2=at.log_det_L2,
        log_det_RX2=at.log_det_RX2,
        pwrss=at.pwrss,
        optimization=report,
        convergence=ConvergenceReport(
            "converged" if found.converged else "not converged", found.decrement, ()
        ),
    )
