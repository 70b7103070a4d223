"""Fixed effects that run to infinity: followed to where the likelihood is flat, then held.

Where the rows of a cell gain all the way to the end of their mean, the coefficients of the cell have no
finite estimate (engines/glm/separation.py). A quasi-Newton method that also has a parameter of the family to
find learns nothing about a direction without curvature and drags it along, step by bounded step.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.by_level import KINDS
from mixedmodels.engines.generalized.pirls import Mode
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.glm.recession import Recession, recession
from mixedmodels.engines.glm.tail_signs import tail_signs

# Information of a row that gains below which its mean is on its way to the end.
SUSPICIOUS = 1e-2
# Links by which a mean comes no nearer to its end than one over the predictor: a search goes on and on.
SLOW_LINKS = ("cauchit",)
# Information left to all rows on their way together, where the likelihood is flat to rounding.
FLAT = 1e-13
# How often the way is doubled to get there.
MAX_DOUBLINGS = 20


def unbounded_direction(problem: GeneralizedProblem, mode: Mode) -> Recession | None:
    """Return the directions of gamma along which the likelihood rises without end, None if there are none.

    Only families with parameters of their own, links whose range ends and links that approach the end of the
    mean slowly are examined, which a search finds hard, and fits that have come to tell nothing about some
    rows.
    """
    family = problem.family
    is_easy = not problem.n_phi and family.link.name not in SLOW_LINKS
    if is_easy and family.is_canonical and type(family) in KINDS:
        # The logit and the logarithm have no end that a row gains towards.
        return None
    tails, used = family.tails(problem.y), problem.weights > 0.0
    sign = tail_signs(tails, family.link, at_infinity=True)
    if is_easy and np.array_equal(sign, tail_signs(tails, family.link, at_infinity=False)):
        return None
    gaining = (tails.to_zero | tails.to_one) & used
    if not np.any(mode.rows.information[gaining] < SUSPICIOUS * problem.weights[gaining]):
        return None
    return recession(problem.fixed_basis, sign * used, tails.silent | ~used)


def has_edge(problem: GeneralizedProblem) -> bool:
    """Tell whether rows gain all the way to the end of their mean at a finite linear predictor."""
    tails, link = problem.family.tails(problem.y), problem.family.link
    sign = tail_signs(tails, link, at_infinity=False) - tail_signs(tails, link, at_infinity=True)
    return bool(np.any((sign != 0) & (problem.weights > 0.0)))


def held_beyond(
    problem: GeneralizedProblem, mode: Mode, psi: FloatArray, inverse_hessian: FloatArray, found: Recession
) -> tuple[FloatArray, FloatArray]:
    """Return the vector with gamma moved to where the likelihood is flat, and H that keeps it there."""
    moved, k = found.moved, problem.n_theta
    moves, length = problem.fixed_basis @ found.direction, 1.0
    for _ in range(MAX_DOUBLINGS):
        rows = problem.evaluate(mode.eta + length * moves, mode.parameters.phi)
        if float(np.abs(rows.information[moved]).sum()) < FLAT:
            break
        length *= 2.0
    psi = psi.copy()
    fixed = slice(k, k + problem.n_fixed)
    psi[fixed] += length * found.direction
    keep = np.eye(len(psi))
    keep[fixed, fixed] -= found.space @ found.space.T
    return psi, keep @ inverse_hessian @ keep
