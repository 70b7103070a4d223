"""Gradients beside a point whose conditional mode is known, without a search for those of its neighbours.

The gradient is a formula G(psi, u) at the mode u(psi). Along a line through psi, G with the mode moved to
first order has the same derivative as G at the mode itself: what the prediction misses is of second order,
alike on both sides, and cancels in a central difference. So a difference takes one evaluation of the rows and
one factorization on each side, where a search for the mode takes three of each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.laplace_gradient import laplace_gradient
from mixedmodels.engines.generalized.pirls import Mode, mode_near, predicted_mode
from mixedmodels.engines.generalized.problem import GeneralizedProblem, Parameters, unpack
from mixedmodels.engines.generalized.quadrature import quadrature

# Step of a difference in units of a standard error: what the prediction of the modes misses is of second
# order too, and larger than elsewhere; nothing is added by the search for a mode, which ends somewhere.
TANGENT_STEP = 3e-5


def tangent_gradient(
    problem: GeneralizedProblem, mode: Mode, nAGQ: int
) -> Callable[[FloatArray], FloatArray]:
    """Return the gradient in the optimiser's vector with the mode moved to first order.

    Only its central differences about the parameters of `mode` mean anything.

    Parameters
    ----------
    problem : GeneralizedProblem
        The data.
    mode : Mode
        The conditional mode at the point in the middle.
    nAGQ : int
        1 for the Laplace approximation, or the nodes of quadrature per dimension.
    """

    def gradient(psi: FloatArray) -> FloatArray:
        parameters = unpack(problem, psi)
        moved = predicted_mode(problem, mode, parameters, _score(problem, mode, parameters))
        beside = mode_near(problem, parameters, moved)
        if nAGQ == 1:
            return laplace_gradient(problem, psi, beside)
        return quadrature(problem, psi, beside, nAGQ)[1]

    return gradient


def _score(problem: GeneralizedProblem, mode: Mode, parameters: Parameters) -> FloatArray:
    """Return the derivative of log f at the predictor of a mode, for other parameters of the family."""
    if np.array_equal(parameters.phi, mode.parameters.phi):
        return mode.rows.d1
    return problem.evaluate(mode.eta, parameters.phi).d1
