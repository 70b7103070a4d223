"""The way through the penalized least-squares system that is cheapest for a model."""

from __future__ import annotations

import numpy as np

from mixedmodels.deferred import on_first_use
from mixedmodels.engines.linear.system import Equations, Solver, solve_one_factor
from mixedmodels.factorization.pattern import Pattern
from mixedmodels.kernels.one_factor import MAX_COEFFICIENTS, MAX_FIXED

with on_first_use():
    from mixedmodels.engines.linear import blocked_system, fewer_fixed

#: Fewest fixed effects, and how many there must be for each random one, for a rotation of them: below,
#: nothing is gained.
LEAST_FIXED, FIXED_PER_RANDOM = 50, 2


def solver_of(equations: Equations) -> Solver:
    """Return the cheapest way through the equations."""
    pattern, A = equations.pattern, equations.A
    p, n_random = len(A.XX), sum(block.n_effects for block in pattern.blocks)
    few = p < LEAST_FIXED or p < FIXED_PER_RANDOM * n_random
    if few or equations.split is not None or not isinstance(A.tail, np.ndarray):
        return choose_solver(pattern, p)
    V = np.linalg.qr(np.concatenate([XZ.reshape(p, -1) for XZ in A.XZ], axis=1))[0]
    return fewer_fixed.RotatedSolver(
        V, fewer_fixed.rotated(pattern, A, V), choose_solver(pattern, V.shape[1])
    )


def choose_solver(pattern: Pattern, p: int) -> Solver:
    """Return the way through the system that is cheapest for its blocks and number of fixed effects."""
    one = len(pattern.blocks) == len(pattern.chain) == 1
    fits = one and pattern.blocks[0].size <= MAX_COEFFICIENTS and p <= MAX_FIXED
    return solve_one_factor if fits else blocked_system.solve_blocked
