"""What is to be thought of a generalized fit: vanished variances and the verdict."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.likelihood.generalized_objective import Evaluator
from mixedmodels.likelihood.generalized_problem import GeneralizedProblem, Parameters
from mixedmodels.optimization.quasi_newton import Minimum
from mixedmodels.optimization.report import ConvergenceReport

# A deviation below this, for a predictor of mean square one, is tried at exactly zero.
VANISHING = 1e-3
# Change of the objective that setting it to zero may cost: rounding error.
NOISE = 1e-8
# Singular values of T below this, for predictors of mean square one, are a singular direction.
SINGULAR = 1e-5


def without_vanishing(
    evaluator: Evaluator, psi: FloatArray, objective: float, scale: FloatArray
) -> tuple[FloatArray, float]:
    """Set deviations to exactly zero where that does not cost anything.

    At an optimum on the boundary the optimiser stops a rounding error away from zero.
    """
    flags = [flag for term in evaluator.problem.terms for flag in term.structure.is_lower_bound()]
    for k, is_deviation in enumerate(flags):
        if not is_deviation or psi[k] == 0.0 or abs(psi[k]) > VANISHING * scale[k]:
            continue
        trial = psi.copy()
        trial[k] = 0.0
        value = evaluator(trial)[0]
        if value <= objective + NOISE:
            psi, objective = trial, min(value, objective)
    return psi, objective


def judge(problem: GeneralizedProblem, parameters: Parameters, found: Minimum) -> ConvergenceReport:
    """Return the verdict with its reasons."""
    if not found.converged:
        return ConvergenceReport("not converged", found.decrement, (found.message,))
    reasons = singular_directions(problem, parameters)
    return ConvergenceReport("boundary" if reasons else "converged", found.decrement, reasons)


def singular_directions(problem: GeneralizedProblem, parameters: Parameters) -> tuple[str, ...]:
    """Name the variances and directions that are zero."""
    reasons = []
    for term, theta in zip(problem.terms, parameters.thetas, strict=True):
        T = term.structure.factor(theta)
        rms = np.sqrt(np.einsum("ij,ij->j", term.Z, term.Z) / len(term.Z))
        scaled = rms[:, None] * T
        zero = np.sqrt(np.einsum("ij,ij->i", scaled, scaled)) < SINGULAR
        reasons += [
            f"The variance of {name} in ({term.expression}) is zero."
            for name, is_zero in zip(term.columns, zero, strict=True)
            if is_zero
        ]
        rest = np.linalg.svd(scaled[~zero], compute_uv=False)
        if len(rest) and rest[-1] < SINGULAR:
            reasons.append(
                f"The random effects of ({term.expression}) vary in {int((rest >= SINGULAR).sum())} of "
                f"{len(rest)} directions only: a combination of them has variance zero."
            )
    return tuple(reasons)
