"""The Laplace approximation: -2 log-likelihood = |u~|^2 - 2 sum log f(y | u~) + log|L|^2.

L is the Cholesky factor of ``Lambda'Z'WZ Lambda + I`` at the conditional mode itself, with W the observed
information: the second-order expansion of the integrand, the same approximation for every family and link, so
that families can be compared with each other and with quadrature. The expected information is lme4's choice.
"""

from __future__ import annotations

from mixedmodels.engines.generalized.pirls import Mode


def laplace(mode: Mode) -> float:
    """Return the Laplace approximation to -2 log-likelihood at a conditional mode."""
    return mode.penalized + mode.factor.log_det
