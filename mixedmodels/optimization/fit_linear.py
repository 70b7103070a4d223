"""Fit a linear mixed model: start, optimise, put into canonical form, judge."""

from __future__ import annotations

import time

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.likelihood.estimates import LinearEstimates
from mixedmodels.likelihood.profiled import LinearProblem, objective_and_gradient, solve, theta_slices
from mixedmodels.optimization.quasi_newton import Minimum, minimize
from mixedmodels.optimization.report import ConvergenceReport, OptimizationReport
from mixedmodels.optimization.start import column_scales


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
    free, curvature, scales = [], [], []
    for term, part in zip(problem.terms, slices, strict=True):
        scale = term.structure.scales(column_scales(term))
        theta = term.structure.start() if start is None else start[part]
        free.append(term.structure.to_free(theta) / (1.0 if start is None else scale))
        scales.append(scale)
        curvature.append(np.full(term.structure.n_theta, 1.0 / (2.0 * term.n_levels)))
    scale = np.concatenate(scales)

    def theta_of(x: FloatArray) -> FloatArray:
        return np.concatenate(
            [t.structure.from_free((x * scale)[s]) for t, s in zip(problem.terms, slices, strict=True)]
        )

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        f, dtheta = objective_and_gradient(problem, theta_of(x), REML)
        parts = [
            t.structure.free_pullback((x * scale)[s], dtheta[s])
            for t, s in zip(problem.terms, slices, strict=True)
        ]
        return f, np.concatenate(parts) * scale

    found = minimize(function, np.concatenate(free), np.diag(np.concatenate(curvature)), max_step=5.0)
    theta = theta_of(found.x)
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
        n_evaluations=found.n_evaluations,
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
