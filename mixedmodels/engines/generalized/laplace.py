"""The Laplace approximation: -2 log-likelihood = |u~|^2 - 2 sum log f(y | u~) + log|L|^2.

L is the Cholesky factor of ``Lambda'Z'WZ Lambda + I`` at the conditional mode itself, with W the observed
information: the second-order expansion of the integrand, the same approximation for every family and link, so
that families can be compared with each other and with quadrature. The expected information is lme4's choice.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.engines.generalized.pirls import Mode


def laplace(mode: Mode) -> float:
    """Return the Laplace approximation to -2 log-likelihood at a conditional mode."""
    return mode.penalized + mode.factor.log_det


def smallest_curvature(mode: Mode) -> float:
    """Return the smallest squared diagonal element of L: 1 and more where log f is concave in the effects.

    Close to zero the expansion at the mode says nothing: log|L|^2 runs to minus infinity there, and the
    approximation with it, whatever the likelihood is.
    """
    largest = [float(np.abs(np.einsum("aal->al", part.L_inverse)).max()) for part in mode.factor.chain]
    tail = float(np.square(np.diagonal(mode.factor.tail)).min(initial=np.inf))
    return min([tail, *(1.0 / value**2 for value in largest)])
