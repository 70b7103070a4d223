"""Where the Laplace approximation has poles the likelihood may have an optimum that no search reaches.

Where log f is not concave, as of inverse Gaussian responses, log|L| runs to minus infinity along large
variances, and a search that is led there goes back to an optimum near zero. Quadrature has no such pole: a
short search by a few nodes tells whether the likelihood has a lower optimum beyond.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.engines.generalized.exactness import LAPLACE_ERROR, has_quadrature
from mixedmodels.engines.generalized.looks import is_optimum, lower_of
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import Layout, Optimum
from mixedmodels.engines.generalized.quadrature_grid import n_points
from mixedmodels.engines.generalized.search import first_inverse, joint_fit
from mixedmodels.engines.generalized.second_starts import start_far
from mixedmodels.errors import ConvergenceError

# Nodes of the search, evaluations of a row for one value that it may cost, and evaluations in all.
NODES, MOST_POINTS, EVALUATIONS = 9, 2e5, 60
# Deviations to search from, the fixed effects as they are, and the decrement to which.
DEVIATIONS, TOLERANCE = (1.0, 3.0), 0.05


def beyond_poles(evaluator: Evaluator, layout: Layout, optimum: Optimum) -> tuple[Optimum, str]:
    """Return an optimum, or the lower one of the approximation beyond its poles, and what is to be said.

    Only of one grouping factor, and where values by quadrature are cheap. The sentence is empty unless the
    likelihood has an optimum there that the approximation has not.
    """
    problem = evaluator.problem
    blocks = problem.system.blocks
    if evaluator.nAGQ != 1 or len(blocks) > 1 or not has_quadrature(problem):
        return optimum, ""
    if n_points(NODES, blocks[0].size) * len(problem.y) > MOST_POINTS:
        return optimum, ""
    ends = [end for size in DEVIATIONS if (end := _by_nodes(evaluator, layout, optimum, size)) is not None]
    best = min(ends, key=lambda end: end.objective, default=None)
    if best is None or best.objective > optimum.objective - LAPLACE_ERROR[0]:
        return optimum, ""
    for end in ends:
        optimum = lower_of(evaluator, optimum, _by_laplace(evaluator, layout, end) or optimum)
    if best.objective > optimum.objective - LAPLACE_ERROR[0]:
        return optimum, ""
    return optimum, (
        "The likelihood has a lower optimum that the Laplace approximation has not: "
        f"{NODES} quadrature nodes lead to -2 log-likelihood {best.objective:.3f} at larger variances, "
        f"beside which the approximation runs to minus infinity. Fit with nAGQ={NODES} or nAGQ='auto'."
    )


def _by_nodes(evaluator: Evaluator, layout: Layout, optimum: Optimum, size: float) -> Optimum | None:
    """Return where a search by quadrature ends that begins with deviations of a size; None if nowhere."""
    problem = evaluator.problem
    psi = optimum.psi.copy()
    psi[: problem.n_theta] = start_far(problem, np.full(len(problem.terms), size))[: problem.n_theta]
    evaluator.forget()
    try:
        H = first_inverse(evaluator, layout, psi)
        end = joint_fit(Evaluator(problem, NODES), layout, psi, H, 1, TOLERANCE, most=EVALUATIONS)
    except (np.linalg.LinAlgError, ConvergenceError):
        return None
    return end if end.found.converged else None


def _by_laplace(evaluator: Evaluator, layout: Layout, start: Optimum) -> Optimum | None:
    """Return the optimum of the approximation next to one by quadrature, if it has one."""
    evaluator.forget()
    try:
        end = joint_fit(evaluator, layout, start.psi, first_inverse(evaluator, layout, start.psi), 1)
        return end if is_optimum(evaluator, end) else None
    except (np.linalg.LinAlgError, ConvergenceError):
        return None
    finally:
        evaluator.forget()
