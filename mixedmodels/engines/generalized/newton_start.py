"""Newton's way to where a search for the optimum of two crossed random intercepts begins.

With the Hessian at hand (crossed_hessian.py) a step or two from the starting values lead to within a standard
error of the optimum, the deviations being moved on the scale of their logarithms, on which the objective is
nearly a parabola. What the search goes on with is the Hessian itself, so that it takes few steps more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.crossed_hessian import crossed_hessian, is_crossed
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.problem import pack
from mixedmodels.engines.generalized.start import starting_values
from mixedmodels.errors import ConvergenceError

# Decrement before the last step: a standard error, a step from where the quasi-Newton search takes over.
NEAR = 0.5
# Relative rounding of an objective.
ROUNDING = 1e-13
# Squared step at which the search for the fixed effects to begin with ends.
ROUGH_DECREMENT = 1e-3
# Newton steps after which the usual way is taken instead.
MOST_STEPS = 4
# Largest change of a deviation's logarithm in one step: a factor of 7.
LARGEST_STEP = 2.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NewtonStart:
    """Where a search begins.

    Attributes
    ----------
    psi : ndarray, shape (m,)
        The optimiser's vector.
    first : (float, ndarray)
        Objective and gradient there.
    inverse_hessian : ndarray, shape (m, m)
        Inverse of the Hessian before the last step, on the scale of the logarithms.
    n_evaluations : int
        Evaluations that it took.
    """

    psi: FloatArray
    first: tuple[float, FloatArray]
    inverse_hessian: FloatArray
    n_evaluations: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Step:
    """Where a step leads, the decrease that it promises, and the inverse Hessian in logarithms before it."""

    moved: FloatArray
    decrement: float
    inverse: FloatArray


def newton_start(evaluator: Evaluator) -> NewtonStart | None:
    """Return a point near the optimum, or None where Newton's way does not lead to one at once."""
    problem = evaluator.problem
    if evaluator.nAGQ != 1 or not is_crossed(problem):
        return None
    values = starting_values(problem)
    psi = pack(problem, values.thetas, values.gamma, values.phi)
    try:
        # Fixed effects as they are beside random ones of that size: those without are too close to zero.
        psi[problem.n_theta :] = evaluator.joint_mode_at(psi, ROUGH_DECREMENT).parameters.gamma
        first = evaluator(psi)
        for n_evaluations in range(2, MOST_STEPS + 2):
            hessian = crossed_hessian(problem, evaluator.mode)
            step = None if hessian is None else _step(hessian, first[1], psi, problem.n_theta)
            if step is None:
                return None
            before, first, psi = first, evaluator(step.moved), step.moved
            if not first[0] < before[0] + ROUNDING * abs(before[0]):
                return None
            if step.decrement <= NEAR:
                size = _sizes(psi, problem.n_theta)
                inverse = step.inverse * np.multiply.outer(size, size)
                return NewtonStart(psi, first, inverse, n_evaluations)
    except (ConvergenceError, np.linalg.LinAlgError):
        return None
    return None


def _sizes(psi: FloatArray, n_theta: int) -> FloatArray:
    """Return the derivatives of the parameters in those whose deviations are logarithms."""
    sizes = np.ones(len(psi))
    sizes[:n_theta] = psi[:n_theta]
    return sizes


def _step(hessian: FloatArray, gradient: FloatArray, psi: FloatArray, n_theta: int) -> _Step | None:
    """Return a Newton step in the logarithms of deviations.

    None where the Hessian is not positive, the step is a leap or a deviation is zero.
    """
    size = _sizes(psi, n_theta)
    slope = gradient * size
    curvature = hessian * np.multiply.outer(size, size)
    np.einsum("ii->i", curvature)[:n_theta] += slope[:n_theta]
    _, inverse, info = dposv(curvature, np.eye(len(psi)), lower=1)
    step = -inverse @ slope
    if info != 0 or not psi[:n_theta].min() > 0.0 or not np.abs(step[:n_theta]).max() < LARGEST_STEP:
        return None
    moved = psi + step
    moved[:n_theta] = psi[:n_theta] * np.exp(step[:n_theta])
    return _Step(moved, -0.5 * float(step @ slope), inverse)
