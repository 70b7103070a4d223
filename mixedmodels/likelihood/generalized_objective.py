"""The objective of a generalized linear mixed model as the optimiser sees it."""

from __future__ import annotations

import numpy as np
from numpy.linalg import LinAlgError

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ConvergenceError
from mixedmodels.likelihood.generalized_problem import GeneralizedProblem, unpack
from mixedmodels.likelihood.laplace import laplace
from mixedmodels.likelihood.laplace_gradient import laplace_gradient
from mixedmodels.likelihood.pirls import DECREMENT, Mode, conditional_mode, joint_mode, predicted_mode
from mixedmodels.likelihood.quadrature import quadrature

# A trial point of an optimiser may lie where a likelihood overflows: it is then infinitely bad, not an error.
_at_trial_points = np.errstate(over="ignore", invalid="ignore")


class Evaluator:
    """Evaluate -2 log-likelihood and its gradient, predicting each conditional mode from the last one.

    The prediction saves Newton steps; values do not depend on it.

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

    @property
    def mode(self) -> Mode:
        """The mode at the last point evaluated."""
        if self._last is None:
            raise ConvergenceError("No parameters have been evaluated yet.")
        return self._last

    @_at_trial_points
    def __call__(self, psi: FloatArray) -> tuple[float, FloatArray]:
        """Return the objective that nAGQ asks for, and its gradient in the optimiser's vector."""
        if self.nAGQ == 0:
            return self.profiled(psi)
        mode = self.mode_at(psi)
        if self.nAGQ == 1:
            return laplace(mode), laplace_gradient(self.problem, psi, mode)
        return quadrature(self.problem, psi, mode, self.nAGQ)

    @_at_trial_points
    def mode_at(self, psi: FloatArray) -> Mode:
        """Return the conditional mode of u (of u and gamma for nAGQ = 0)."""
        if self.nAGQ == 0:
            return self.joint_mode_at(psi)
        if self._last is not None and self._last_psi is not None and np.array_equal(self._last_psi, psi):
            return self._last
        parameters = unpack(self.problem, psi)
        if self._last is not None:
            try:
                start = predicted_mode(self.problem, self._last, parameters)
                return self._keep(psi, conditional_mode(self.problem, parameters, start))
            except (LinAlgError, ConvergenceError):
                self._last = None
        return self._keep(psi, conditional_mode(self.problem, parameters))

    @_at_trial_points
    def profiled(self, psi: FloatArray, decrement: float = DECREMENT) -> tuple[float, FloatArray]:
        """Return the nAGQ = 0 objective and its gradient, zero in gamma; gamma in `psi` is only a start."""
        mode = self.joint_mode_at(psi, decrement)
        return laplace(mode), laplace_gradient(self.problem, psi, mode)

    @_at_trial_points
    def joint_mode_at(self, psi: FloatArray, decrement: float = DECREMENT) -> Mode:
        """Return the joint mode of u and gamma; gamma in `psi` is only a start."""
        if self._last is not None:
            k, p = self.problem.n_theta, self.problem.n_fixed
            near = np.concatenate([psi[:k], self._last.parameters.gamma, psi[k + p :]])
            try:
                found = joint_mode(self.problem, unpack(self.problem, near), self._last.u, decrement)
                return self._keep(None, found)
            except (LinAlgError, ConvergenceError):
                self._last = None
        return self._keep(None, joint_mode(self.problem, unpack(self.problem, psi), None, decrement))

    def forget(self) -> None:
        """Start the next mode afresh."""
        self._last = None

    def _keep(self, psi: FloatArray | None, mode: Mode) -> Mode:
        self._last, self._last_psi = mode, psi
        return mode
