"""Binomial-logit and Poisson-log models of one grouping factor, level by level.

Given the fixed effects the levels are independent: the conditional mode of each is a small Newton iteration,
and the Laplace approximation, adaptive quadrature and their gradients are sums over levels. A compiled loop
does for each level, in the processor's cache, what NumPy does with one call after another for all of them.

Where nothing is compiled `COMPILED` is False, the functions are not there, and such models go the way of all
others (pirls.py, laplace_gradient.py, quadrature.py).

`level_modes` finds the conditional modes and fills `u`, `found` and `half`; `level_nodes` integrates around
them by quadrature; `level_gradient` completes the gradient of either objective (laplace_gradient.py and
quadrature.py have the formulas). What each argument holds beyond these is said beside the oracle of their
tests, tests/kernels/level_oracle.py.

The arguments they share, with n rows sorted by level, q levels and S coefficients per level:

kind : int
    0 for the binomial family with logit link, 1 for the Poisson family with log link.
y, weights : ndarray, shape (n,)
    Response and prior weights.
Z : ndarray, shape (n, S)
    Raw random-effects columns.
T : ndarray, shape (S, S)
    Lower triangular relative covariance factor.
starts : intp ndarray, shape (q + 1,)
    First row of each level; the last is n.
u : ndarray, shape (q, S)
    Spherical random effects.
found : ndarray, shape (4, n)
    Row by row at the mode: eta, d log f / d eta, the information W, and dW / d eta.
half : ndarray, shape (q, S, S)
    Inverses of the Cholesky factors L of the levels' ``Omega = T'Z'WZT + I``.
"""

from __future__ import annotations

__all__ = ["COMPILED", "level_gradient", "level_modes", "level_nodes"]

try:
    from mixedmodels.kernels._levels import level_gradient, level_modes, level_nodes
except ImportError:
    COMPILED = False
else:
    COMPILED = True
