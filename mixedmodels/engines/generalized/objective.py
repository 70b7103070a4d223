"""The objective of a generalized linear mixed model as the optimiser sees it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.linalg import LinAlgError

from mixedmodels.arrays import FloatArray
from mixedmodels.differences import (
    MAX_TRIALS,
    STANDARD_ERROR_STEP,
    WRONG_STEP,
    hessian_by_standard_errors,
    step_bounds,
)
from mixedmodels.engines.generalized.branches import highest_on_grid
from mixedmodels.engines.generalized.by_level import evaluate_levels
from mixedmodels.engines.generalized.compiled_search import compiled_search, is_usual, level_objective
from mixedmodels.engines.generalized.laplace import laplace
from mixedmodels.engines.generalized.laplace_gradient import laplace_gradient
from mixedmodels.engines.generalized.pirls import (
    DECREMENT,
    EdgeError,
    Mode,
    conditional_mode,
    fixed_inverse,
    joint_mode,
    linear_predictor,
    mode_near,
    predicted_mode,
)
from mixedmodels.engines.generalized.problem import (
    GeneralizedProblem,
    Parameters,
    free_gradient,
    unpack,
    unpack_factors,
)
from mixedmodels.engines.generalized.quadrature import quadrature
from mixedmodels.errors import ConvergenceError
from mixedmodels.optimization.minimum import Minimum

if TYPE_CHECKING:
    from mixedmodels.kernels._levels_search import LevelObjective

# A trial point of an optimiser may lie where a likelihood overflows: it is then infinitely bad, not an error.
_at_trial_points = np.errstate(over="ignore", invalid="ignore")


# Trial points with modes on the end of the range of the mean, after which a search is led there for good.
MOST_EDGES = 8


class LedToEdge(Exception):
    """A search that is led to the end of the range of the mean; not for the search itself to catch."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Effects:
    """A conditional mode without what was computed on the way; attributes as in Mode."""

    parameters: Parameters
    u: FloatArray
    eta: FloatArray


class Evaluator:
    """Evaluate -2 log-likelihood and its gradient, predicting each conditional mode from the last one.

    The prediction saves Newton steps; values do not depend on it. A link whose inverse has two branches (the
    square root: mu = eta^2) gives likelihoods with several modes: there no search starts at the last mode, so
    that values depend on the parameters alone. From u = 0 the one on the side of the fixed part is found,
    which is the highest of a level whose rows lie on one side of zero; of levels with rows on both sides a
    grid tells where the highest is, if they are independent and have one effect each. Else it may be another,
    and the objective jumps where the search comes to lead elsewhere.

    Parameters
    ----------
    problem : GeneralizedProblem
        The data.
    nAGQ : int
        Nodes per dimension of the joint objective: 1 is the Laplace approximation.
    """

    def __init__(self, problem: GeneralizedProblem, nAGQ: int) -> None:
        self.problem = problem
        self.nAGQ = nAGQ
        self._last: Mode | None = None
        self._last_psi: FloatArray | None = None
        self._last_joint: tuple[FloatArray, float] | None = None
        self._modes: FloatArray | None = None
        self._first: FloatArray | None = None
        self._n_edges = 0
        self._is_usual = is_usual(problem)
        self._compiled: LevelObjective | None = None

    def with_nodes(self, nAGQ: int) -> Evaluator:
        """Return the evaluator of another number of nodes, at the same conditional modes."""
        other = Evaluator(self.problem, nAGQ)
        other._last, other._last_psi, other._modes = self._last, self._last_psi, self._modes
        return other

    def resume_at(self, modes: FloatArray) -> None:
        """Take conditional modes, shape (q, S), for those of the last point."""
        self._modes = modes

    def begin_at(self, u: FloatArray | None) -> None:
        """Start the search for the first mode at effects known to be near it; None for zero."""
        self._first = u

    @property
    def mode(self) -> Mode:
        """The mode at the last point evaluated."""
        if self._last is None:
            raise ConvergenceError("No parameters have been evaluated yet.")
        return self._last

    @property
    def known_modes(self) -> FloatArray | None:
        """The flat conditional modes at the last point, to begin others at; None before there are any."""
        if self._modes is not None:
            return self._modes.T.flatten()
        return None if self._last is None else self._last.u

    @_at_trial_points
    def __call__(self, psi: FloatArray) -> tuple[float, FloatArray]:
        """Return the objective that nAGQ asks for, and its gradient in the optimiser's vector."""
        if self.nAGQ == 0:
            return self.profiled(psi)
        by_level = self._by_level(psi)
        if by_level is not None:
            return by_level
        mode = self.mode_at(psi)
        if self.nAGQ == 1:
            return laplace(mode), laplace_gradient(self.problem, psi, mode)
        return quadrature(self.problem, psi, mode, self.nAGQ)

    def _by_level(self, psi: FloatArray) -> tuple[float, FloatArray] | None:
        """Return objective and gradient by the compiled loops over levels, None if they do not apply."""
        problem = self.problem
        if problem.by_level is None:
            return None
        if self.nAGQ == 1 and self._is_usual:
            return self._laplace(psi)
        thetas, factors = unpack_factors(problem, psi)
        k = problem.n_theta
        fixed = problem.fixed_basis @ psi[k:]
        fixed += problem.offset
        found = evaluate_levels(
            problem.by_level, (problem.y, problem.weights), problem.log_constant,
            fixed, factors[0], self._levels(len(factors[0])), self.nAGQ,
        )  # fmt: skip
        if found is None:
            return None
        self._modes = found.u
        by_theta = free_gradient(problem, psi, thetas, [found.dT])
        return found.objective, np.concatenate([by_theta, problem.fixed_basis.T @ found.residual])

    def _objective(self) -> LevelObjective:
        """Return the compiled objective of a usual model, its search for modes beginning at the last ones."""
        size = self.problem.system.blocks[0].size
        if self._compiled is None:
            self._compiled = level_objective(self.problem, self._levels(size))
        elif self._modes is not self._compiled.u:
            begin = self._levels(size)
            self._compiled.u[:] = 0.0 if begin is None else begin
        return self._compiled

    def _laplace(self, psi: FloatArray) -> tuple[float, FloatArray] | None:
        """Return the Laplace approximation of a usual model and its gradient; None without regular modes."""
        objective = self._objective()
        found = objective.value(np.ascontiguousarray(psi))
        # Where a level has no mode what is left of the others is no beginning.
        self._modes = None if found is None else objective.u
        return found

    def fixed_inverse(self, psi: FloatArray) -> FloatArray:
        """Return the covariance of gamma given theta at the conditional modes, shape (p, p)."""
        if self.nAGQ > 0 and self._is_usual and self._laplace(psi) is not None:
            inverse = self._objective().fixed_inverse()
            if inverse is not None:
                return inverse
        return fixed_inverse(self.problem, self.mode_at(psi))

    def searched(
        self,
        scale: FloatArray,
        start: tuple[FloatArray, float, FloatArray, FloatArray],
        tolerance: float,
        max_step: float,
    ) -> Minimum | None:
        """Return where a compiled search over all parameters ends, None where there is none to ask.

        Parameters
        ----------
        scale : ndarray, shape (m,)
            Sizes of the parameters.
        start : (x, objective, gradient, inverse Hessian)
            In units of them.
        tolerance, max_step : float
            As for :func:`~mixedmodels.optimization.quasi_newton.minimize`.
        """
        if self.nAGQ != 1 or not self._is_usual:
            return None
        objective = self._objective()
        found = compiled_search(objective, scale, start, tolerance, max_step)
        self._modes = None if found is None else objective.u
        return found

    def gradient_function(self) -> Callable[[FloatArray], FloatArray]:
        """Return the gradient as a function of the optimiser's vector, for many points near one another."""
        if self.nAGQ != 1 or not self._is_usual:
            return lambda psi: self(psi)[1]
        objective = self._objective()

        def gradient(psi: FloatArray) -> FloatArray:
            found = objective.gradient(psi)
            return self(psi)[1] if found is None else found

        return gradient

    def exact_hessian(self, psi: FloatArray) -> FloatArray | None:
        """Return the Hessian by its formula, where a compiled loop has it: for one effect of each level."""
        if self.nAGQ != 1 or not self._is_usual:
            return None
        objective = self._objective()
        found = objective.second_derivatives(np.ascontiguousarray(psi))
        self._modes = None if found is None else objective.u
        return found

    def hessian_by_steps(self, psi: FloatArray, variances: FloatArray, typical: FloatArray) -> FloatArray:
        """Return the Hessian by central differences; arguments as for `hessian_by_standard_errors`."""
        if self.nAGQ == 1 and self._is_usual:
            smallest, largest = step_bounds(psi, typical)
            steps = (STANDARD_ERROR_STEP, WRONG_STEP, MAX_TRIALS)
            found = self._objective().hessian(psi, variances, smallest, largest, *steps)
            if found is not None:
                return np.asarray(0.5 * (found + found.T))
        return hessian_by_standard_errors(self.gradient_function(), psi, variances, typical)

    def _levels(self, size: int) -> FloatArray | None:
        """Return where the compiled loops start, shape (q, S); None for u = 0."""
        if self._modes is not None or self._first is None:
            return self._modes
        return np.ascontiguousarray(self._first.reshape(size, -1).T)

    @_at_trial_points
    def mode_at(self, psi: FloatArray) -> Mode:
        """Return the conditional mode of u (of u and gamma for nAGQ = 0)."""
        if self.nAGQ == 0:
            return self.joint_mode_at(psi)
        if self._last is not None and self._last_psi is not None and np.array_equal(self._last_psi, psi):
            return self._last
        parameters = unpack(self.problem, psi)
        if self._is_usual and self._laplace(psi) is not None:
            with suppress(LinAlgError, ConvergenceError):
                assert self._modes is not None
                return self._keep(psi, mode_near(self.problem, parameters, self._modes.T.flatten()))
        try:
            return self._keep(psi, conditional_mode(self.problem, parameters, self._near(parameters)))
        except EdgeError:
            self._count_edge()
            raise
        except (LinAlgError, ConvergenceError):
            if self._last is None and self._modes is None and self._first is None:
                raise
            self.forget()
        return self._keep(psi, conditional_mode(self.problem, parameters))

    def effects_at(self, psi: FloatArray) -> tuple[Mode | Effects, Mode | None]:
        """Return parameters, conditional mode and linear predictor, and the mode itself if it was needed.

        A usual model has one mode and nothing else that a verdict asks a factor for: the compiled objective
        knows where it is.
        """
        if self.nAGQ > 0 and self._is_usual and self._laplace(psi) is not None:
            assert self._modes is not None
            parameters, u = unpack(self.problem, psi), self._modes.T.flatten()
            eta = linear_predictor(self.problem, parameters, u, parameters.gamma)
            return Effects(parameters, u, eta), None
        mode = self.mode_at(psi)
        return mode, mode

    def _count_edge(self) -> None:
        """Count a point with modes on the end of the range; stop a search that is led there for good."""
        self._n_edges += 1
        if self._n_edges > MOST_EDGES and self.problem.has_other_information:
            raise LedToEdge

    def _near(self, parameters: Parameters) -> FloatArray | None:
        """Return where to start the search for the mode, from the one before; None for u = 0."""
        if not self.problem.family.link.is_monotone:
            return highest_on_grid(self.problem, parameters)
        if self._modes is not None:
            return self._modes.T.flatten()
        return self._first if self._last is None else predicted_mode(self.problem, self._last, parameters)

    @_at_trial_points
    def profiled(self, psi: FloatArray, decrement: float = DECREMENT) -> tuple[float, FloatArray]:
        """Return the nAGQ = 0 objective and its gradient, zero in gamma; gamma in `psi` is only a start."""
        mode = self.joint_mode_at(psi, decrement)
        return laplace(mode), laplace_gradient(self.problem, psi, mode)

    @_at_trial_points
    def joint_mode_at(self, psi: FloatArray, decrement: float = DECREMENT) -> Mode:
        """Return the joint mode of u and gamma; gamma in `psi` is only a start."""
        k, p = self.problem.n_theta, self.problem.n_fixed
        if self._last is not None and self.problem.family.link.is_monotone:
            if self._is_last_joint(psi, decrement):
                return self._last
            near = np.concatenate([psi[:k], self._last.parameters.gamma, psi[k + p :]])
            try:
                found = joint_mode(self.problem, unpack(self.problem, near), self._last.u, decrement)
                return self._keep(None, found, (psi, decrement))
            except (LinAlgError, ConvergenceError):
                self._last = None
        found = joint_mode(self.problem, unpack(self.problem, psi), None, decrement)
        return self._keep(None, found, (psi, decrement))

    def _is_last_joint(self, psi: FloatArray, decrement: float) -> bool:
        """Tell whether the last mode is the joint one at these theta and phi, as exactly as is asked."""
        if self._last_joint is None or self._last_joint[1] > decrement:
            return False
        differs = self._last_joint[0] != psi
        differs[self.problem.n_theta : self.problem.n_theta + self.problem.n_fixed] = False
        return not differs.any()

    def forget(self) -> None:
        """Start the next mode afresh."""
        self._last = self._modes = self._first = None

    def _keep(
        self, psi: FloatArray | None, mode: Mode, joint: tuple[FloatArray, float] | None = None
    ) -> Mode:
        self._last, self._last_psi, self._last_joint = mode, psi, joint
        return mode
