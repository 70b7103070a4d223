"""Where the Laplace approximation has poles the likelihood may have an optimum that no search reaches.

Where log f is not concave, as of inverse Gaussian responses, log|L| runs to minus infinity along large
variances, and a search that is led there goes back to an optimum near zero. Quadrature has no such pole: a
short search by a few nodes tells whether the likelihood has a lower optimum beyond.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.exactness import LAPLACE_ERROR, has_quadrature
from mixedmodels.engines.generalized.looks import is_optimum, lower_of
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import Layout, Optimum
from mixedmodels.engines.generalized.quadrature_grid import n_points
from mixedmodels.engines.generalized.search import first_inverse, joint_fit
from mixedmodels.engines.generalized.second_starts import has_vanished, start_far
from mixedmodels.errors import ConvergenceError

# Nodes of the search, evaluations of a row for one value that it may cost, and evaluations in all.
NODES, MOST_POINTS, EVALUATIONS = 9, 2e5, 60
# Nodes by which what is found is checked, the most that cost no more.
CHECKS = (99, 49, 25, NODES)
# Deviations to search from, the fixed effects as they are, and the decrement to which.
DEVIATIONS, TOLERANCE = (1.0, 3.0), 0.05


def may_have_poles(evaluator: Evaluator) -> bool:
    """Tell whether the approximation may have poles, and values by quadrature are to be had and cheap."""
    problem, blocks = evaluator.problem, evaluator.problem.system.blocks
    if evaluator.nAGQ == 0 or problem.has_one_mode or len(blocks) > 1 or not has_quadrature(problem):
        return False
    return n_points(max(NODES, evaluator.nAGQ), blocks[0].size) * len(problem.y) <= MOST_POINTS


def beyond_poles(
    evaluator: Evaluator, layout: Layout, optimum: Optimum, first: Optimum
) -> tuple[Optimum, str]:
    """Return an optimum, or the lower one beyond poles, and what is to be said.

    `first` is where the search from the data has ended, maybe beside a pole. Only of one grouping factor, and
    where values by quadrature are cheap. The sentence is empty unless the likelihood has an optimum that the
    approximation has not.
    """
    vanished = has_vanished(evaluator.problem, optimum.psi, layout.scale)
    if not is_optimum(evaluator, optimum) or (is_optimum(evaluator, first) and not vanished):
        return optimum, ""
    problem, nodes = evaluator.problem, max(NODES, evaluator.nAGQ)
    far = [start_far(problem, np.full(len(problem.terms), size)) for size in DEVIATIONS]
    n_theta = problem.n_theta
    starts = [np.concatenate([psi[:n_theta], optimum.psi[n_theta:]]) for psi in far]
    ends = [_by_nodes(evaluator, layout, psi, nodes) for psi in (first.psi, *starts)]
    known = optimum.objective
    lower = [end for end in ends if end is not None and end.objective < known - LAPLACE_ERROR[0]]
    values = [_by_many_nodes(evaluator, end) for end in lower]
    for end, value in zip(lower, values, strict=True):
        if value < known - LAPLACE_ERROR[0]:
            optimum = lower_of(evaluator, optimum, _next_to(evaluator, layout, end) or optimum)
    best = min(values, default=np.inf)
    return optimum, "" if best > optimum.objective - LAPLACE_ERROR[0] else _doubt(evaluator.nAGQ, best)


def _doubt(nAGQ: int, best: float) -> str:
    """Say that the likelihood is higher where no search has ended."""
    if nAGQ == 1:
        which = "that the Laplace approximation has not, which runs to minus infinity beside it"
        return (
            f"The likelihood has a lower optimum {which}: -2 log-likelihood is about {best:.1f} there, at "
            "larger variances. Try nAGQ='auto'."
        )
    return (
        f"The likelihood is higher at larger variances, where -2 log-likelihood is about {best:.1f}, but no "
        f"search by {nAGQ} quadrature nodes ends there: they are too few for so wide an integrand. The "
        "estimates are those of a local optimum. Try other nodes, another family or fewer random effects."
    )


def _by_nodes(evaluator: Evaluator, layout: Layout, psi: FloatArray, nodes: int) -> Optimum | None:
    """Return where a short search by quadrature ends; None if nowhere."""
    evaluator.forget()
    try:
        H = first_inverse(evaluator, layout, psi)
        many = Evaluator(evaluator.problem, nodes)
        end = joint_fit(many, layout, psi, H, 1, TOLERANCE, most=EVALUATIONS)
    except (np.linalg.LinAlgError, ConvergenceError):
        return None
    return end if end.found.converged else None


def _by_many_nodes(evaluator: Evaluator, end: Optimum) -> float:
    """Return -2 log-likelihood by many nodes, infinite where they have no value."""
    problem = evaluator.problem
    many = next(
        k for k in CHECKS if n_points(k, problem.system.blocks[0].size) * len(problem.y) <= MOST_POINTS
    )
    evaluator.forget()
    try:
        return float(Evaluator(problem, many)(end.psi)[0])
    except (np.linalg.LinAlgError, ConvergenceError):
        return np.inf


def _next_to(evaluator: Evaluator, layout: Layout, start: Optimum) -> Optimum | None:
    """Return the optimum of the fit's own approximation next to one by quadrature, if it has one."""
    evaluator.forget()
    try:
        end = joint_fit(evaluator, layout, start.psi, first_inverse(evaluator, layout, start.psi), 1)
        return end if is_optimum(evaluator, end) else None
    except (np.linalg.LinAlgError, ConvergenceError):
        return None
    finally:
        evaluator.forget()
