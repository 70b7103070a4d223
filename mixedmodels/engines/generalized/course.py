"""The usual course of a fit with one effect for each level, in one compiled call.

Most such fits go one way: starting values, a search, and looks at its end that find nothing to say. That way
is compiled; wherever a look might find something, the readable ones of
:mod:`mixedmodels.engines.generalized.fit` are asked, from the optimum found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.compiled_search import is_usual, level_objective
from mixedmodels.engines.generalized.exactness import FEWEST_NODES, LAPLACE_ERROR, SAME_ESTIMATES, WIDE
from mixedmodels.engines.generalized.looks import RELATIVE_GAIN, SMALLEST_GAIN
from mixedmodels.engines.generalized.optimum import Layout, Optimum
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.generalized.quadrature_grid import quadrature_grid
from mixedmodels.engines.generalized.search import LARGEST_STEP, MOVED, ROUGH_TOLERANCE, search_tolerance
from mixedmodels.engines.generalized.start import SCORING
from mixedmodels.engines.generalized.verdict import STEEP
from mixedmodels.kernels import levels_course
from mixedmodels.kernels.levels_course import Look
from mixedmodels.kernels.levels_search import End
from mixedmodels.optimization.canonical import NEAR_ZERO
from mixedmodels.optimization.minimum import SETTLED, Minimum
from mixedmodels.optimization.watch import tell_of_search


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Course:
    """The end of a usual course.

    Attributes
    ----------
    end : tuple
        Of the search, in units of `scale`; see kernels/levels_search.py.
    scale : ndarray, shape (1 + p,)
        Typical sizes of (theta, gamma).
    n_evaluations : int
        Evaluations of objective and gradient.
    nested : float
        -2 log-likelihood without random effects.
    look : (float, ndarray, float)
        What a few nodes say at the end; see kernels/levels_course.py.
    is_plain : bool
        Whether no look could find anything at the end: a variance of some size, and a likelihood that more
        nodes do not change and that is higher than without random effects.
    u : ndarray, shape (q, 1)
        Spherical effects at the conditional mode.
    eta : ndarray, shape (n,)
        Linear predictor there.
    fixed_inverse : ndarray, shape (p, p)
        Covariance of gamma given theta.
    hessian : ndarray, shape (1 + p, 1 + p)
        Hessian of -2 log-likelihood in the optimiser's coordinates.
    """

    end: End
    scale: FloatArray
    n_evaluations: int
    nested: float
    look: Look
    is_plain: bool
    u: FloatArray
    eta: FloatArray
    fixed_inverse: FloatArray
    hessian: FloatArray

    @property
    def optimum(self) -> Optimum:
        """Where the search ended, as the looks take it."""
        x, value, gradient, H, decrement, path, tried = self.end
        found = Minimum(x, value, gradient, H, decrement, len(tried), path, True, SETTLED)
        return Optimum(x * self.scale, value, self.inverse_hessian, found, self.n_evaluations)

    @property
    def by_nodes(self) -> tuple[float, FloatArray]:
        """-2 log-likelihood by a few nodes at the end, and its gradient in the optimiser's coordinates."""
        return self.look[0], self.look[1] / self.scale

    @property
    def inverse_hessian(self) -> FloatArray:
        """Quasi-Newton estimate in the optimiser's coordinates, shape (1 + p, 1 + p)."""
        return self.end[3] * self.scale * self.scale[:, None]


def usual_course(problem: GeneralizedProblem, layout: Layout) -> Course | None:
    """Return where the Laplace approximation of one effect for each level has its optimum, in one call.

    None where the model is another, or something out of the ordinary was met.
    """
    if not (levels_course.COMPILED and is_usual(problem)):
        return None
    assert problem.by_level is not None
    if problem.by_level.Z.shape[1] > 1 or len(problem.by_level.pieces) > 1:
        return None
    objective, rule = level_objective(problem, None), quadrature_grid(FEWEST_NODES, 1)
    steps = (ROUGH_TOLERANCE, MOVED, search_tolerance(problem), LARGEST_STEP)
    found = levels_course.course(
        objective, layout.scale, SCORING, steps, rule.nodes, rule.log_weights, rule.signs
    )
    if found is None:
        return None
    end, n_evaluations, nested, look, never_varies, eta, inverse, hessian = found
    tell_of_search(end[6])
    is_plain = not never_varies and _is_plain(end, nested, look)
    return Course(
        end, layout.scale, n_evaluations, nested, look, is_plain, objective.u, eta, inverse, hessian
    )


def _is_plain(end: End, nested: float, look: Look) -> bool:
    """Tell whether the looks of fit.py and verdict.py at an optimum could find nothing."""
    (x, objective, gradient), (value, _, move) = end[:3], look
    has_variance = NEAR_ZERO < x[0] <= WIDE
    is_flat = max(map(abs, gradient.tolist())) <= STEEP
    is_exact = move <= SAME_ESTIMATES and abs(value - objective) <= LAPLACE_ERROR[0]
    is_lower = value <= nested + RELATIVE_GAIN * abs(nested) + SMALLEST_GAIN
    return bool(has_variance and is_flat and is_exact and is_lower and math.isfinite(value))
