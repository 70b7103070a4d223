"""Which covariance parameters sums over rows cannot tell apart.

The average information about the parameters is the Gram matrix of the vectors ``V_k P y``, ``V_k`` being the
derivative of the covariance in parameter k: where some combination of the V_k vanishes on the contrasts free
of the fixed effects, the matrix is singular, and almost surely only there. It needs one solve for each
parameter and no rows. It is taken where no factor is singular, because a variance of zero moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.average_information import average_information
from mixedmodels.engines.linear.blocked_system import BlockedSystem, solve_blocked
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import evaluation
from mixedmodels.engines.linear.step_sizes import START_SIZE
from mixedmodels.optimization.identification_words import listed_names
from mixedmodels.optimization.report import ConvergenceReport

#: Least eigenvalue of the information scaled to unit diagonal that is no rounding; healthy designs have 1e-3
#: and more.
LEAST_INFORMATION = 1e-9
#: Elements of a direction below this share of the largest are none.
FAINT = 1e-3


def unidentified_parameters(
    problem: LinearProblem, theta: FloatArray, REML: bool
) -> tuple[tuple[int, ...], ...]:
    """Return, for each direction in which the parameters are open, the elements of theta that it moves.

    An element beyond the last stands for the residual variance.
    """
    problem = replace(problem, solver=solve_blocked)
    free = starting.free_of(problem, theta)
    system = evaluation(problem, starting.factors_of(problem, free), REML).system
    assert isinstance(system, BlockedSystem)
    whole, along = average_information(problem, free, system)
    df = problem.n - problem.p if REML else problem.n
    information = np.block([[whole, along[:, None]], [along[None], np.full((1, 1), float(df))]])
    size = np.sqrt(np.diagonal(information))
    known = size > LEAST_INFORMATION * size[-1]
    nothing = [(k,) for k in np.flatnonzero(~known).tolist()]
    kept = np.flatnonzero(known)
    unit = information[np.ix_(kept, kept)] / np.multiply.outer(size[kept], size[kept])
    values, vectors = np.linalg.eigh(unit)
    return (*nothing, *_moved(vectors[:, values < LEAST_INFORMATION], kept))


def _moved(vectors: FloatArray, kept: IntArray) -> list[tuple[int, ...]]:
    return [tuple(kept[np.abs(v) > FAINT * np.abs(v).max()].tolist()) for v in vectors.T]


def identified_by_sums(
    report: ConvergenceReport, problem: LinearProblem, theta: FloatArray, REML: bool, names: Sequence[str]
) -> ConvergenceReport:
    """Return the verdict on a fit, "not identified" where its parameters are open.

    Parameters
    ----------
    report : ConvergenceReport
        The verdict on the search.
    problem : LinearProblem
        The problem.
    theta : ndarray, shape (n_theta,)
        Estimates.
    REML : bool
        Which criterion was minimised.
    names : sequence of str
        Names of theta.
    """
    # A structure may lose a direction at one point, a correlation of zero for one; not at two unlike points.
    found: tuple[tuple[int, ...], ...] = ()
    away = starting.off_zero(problem, theta, START_SIZE)
    for point in (starting.first_theta(problem), away):
        try:
            found = unidentified_parameters(problem, point, REML)
        except np.linalg.LinAlgError:
            continue
        if not found:
            return report
    if not found:
        return report
    reasons = []
    for moved in found:
        words = [*names, "the residual variance"]
        own = [words[k] for k in moved]
        if len(own) == 1:
            reasons.append(f"{own[0]} has no effect on the response.")
        else:
            reasons.append(
                f"{listed_names(own)} cannot be told apart: only some combinations of them are known."
            )
    verdict = "not identified" if report.is_optimum else report.verdict
    return replace(report, verdict=verdict, reasons=(*reasons, *report.reasons))
