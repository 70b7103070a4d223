"""Raise the nodes of adaptive quadrature until no estimate moves: nAGQ = "auto"."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.estimates import GeneralizedEstimates, QuadratureStep
from mixedmodels.engines.generalized.exactness import LARGEST_MOVE
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.hessian import natural_parameters, vcov_hessian
from mixedmodels.engines.generalized.nested_quadrature import MOST_NODES as MOST_NESTED_NODES
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.generalized.quadrature import check_quadrature
from mixedmodels.engines.generalized.quadrature_grid import MOST_POINTS, SEQUENCE, n_points
from mixedmodels.errors import ControlError
from mixedmodels.optimization.report import ConvergenceReport

# Largest move of an estimate, in standard errors, that counts as standing still; twice in a row, because
# the error of quadrature changes sign as nodes are added.
STILL = 0.01
# Nodes of all rows beyond which the next rule is not tried.
MOST_NODES = 1e9


def fit_until_stable(problem: GeneralizedProblem, start: FloatArray | None = None) -> GeneralizedEstimates:
    """Fit with more and more nodes until no estimate moves by more than a hundredth of its standard error.

    Where random effects are crossed only the Laplace approximation exists, and is returned.

    Parameters
    ----------
    problem : GeneralizedProblem
        The data.
    start : ndarray, shape (m,), optional
        (theta, beta, phi) to start from.

    Returns
    -------
    GeneralizedEstimates
        Of the last fit, with the sequence of fits in its `quadrature_sequence`.
    """
    estimates = fit_generalized(problem, 1, start)
    sequence = [QuadratureStep(1, estimates.objective, float("nan"))]
    try:
        check_quadrature(problem)
    except ControlError:
        return replace(estimates, quadrature_sequence=tuple(sequence))
    blocks = problem.system.blocks
    dimension = sum(block.size for block in blocks)
    most_nodes = MOST_NODES if len(blocks) == 1 else MOST_NESTED_NODES
    for nAGQ in SEQUENCE[1:]:
        too_large = n_points(nAGQ, max(block.size for block in blocks)) > MOST_POINTS
        if too_large or float(nAGQ) ** dimension * len(problem.y) > most_nodes:
            break
        # An optimum that more nodes do not have is no place to start from.
        is_misleading = estimates.convergence.verdict == "inexact"
        following = fit_generalized(problem, nAGQ, near=None if is_misleading else estimates)
        move = largest_move(problem, estimates, following)
        sequence.append(QuadratureStep(nAGQ, following.objective, move))
        estimates = following
        if move <= STILL and sequence[-2].largest_move <= STILL:
            break
    report = _still_moving(estimates.convergence, sequence[-1])
    return replace(estimates, convergence=report, quadrature_sequence=tuple(sequence))


def _still_moving(report: ConvergenceReport, last: QuadratureStep) -> ConvergenceReport:
    """Return the verdict on the last fit of a sequence that did not come to rest."""
    if not LARGEST_MOVE < last.largest_move < np.inf:
        return report
    reason = (
        f"With {last.nAGQ} quadrature nodes, the most that nAGQ='auto' tries, the estimates still move by "
        f"{last.largest_move:.1f} standard errors: the likelihood may not limit the variance."
    )
    verdict = "inexact" if report.is_optimum else report.verdict
    return ConvergenceReport(verdict, report.decrement, (reason, *report.reasons))


def largest_move(
    problem: GeneralizedProblem, before: GeneralizedEstimates, after: GeneralizedEstimates
) -> float:
    """Return the largest change of an estimate in standard errors; infinite where those do not exist."""
    covariance = vcov_hessian(problem, after)
    if covariance is None:
        return float("inf")
    moves = np.abs(natural_parameters(after) - natural_parameters(before))
    return float(np.nanmax(moves / np.sqrt(np.diagonal(covariance))))
