"""The Laplace approximation: -2 log-likelihood = |u~|^2 - 2 sum log f(y | u~) + log|L|^2.

L is the Cholesky factor of ``Lambda'Z'WZ Lambda + I`` at the conditional mode itself, with W the expected
information (lme4's choice) or the observed one.
"""

from __future__ import annotations

from mixedmodels.engines.generalized.pirls import Mode


def laplace(mode: Mode) -> float:
    """Return the Laplace approximation to -2 log-likelihood at a conditional mode."""
    return mode.penalized + mode.factor.log_det
