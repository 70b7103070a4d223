"""The Hessian of the Laplace objective in many fixed effects, by cross-products alone.

What fixed_hessian.py computes from the rows of ``E = Q - Z Lambda U`` follows, where the random effects form
one block of independent levels, from products of Q and sums over the levels:

    E'VE = Q'VQ - C U' - U C' + U (Lambda'Z'VZ Lambda) U',   C = Q'VZ Lambda,

so that nothing of the size of Q is made.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.fixed_hessian import (
    congruent_entry,
    is_one_block,
    known_second_derivative,
)
from mixedmodels.engines.generalized.pirls import Mode, fixed_coupling, is_sorted_block
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.weighted_gram import level_products, weighted_gram
from mixedmodels.factorization.weighted.penalized_factor import solve
from mixedmodels.factorization.weighted.penalized_system import (
    product_sums,
    rows_to_spherical,
    spherical_to_rows,
)
from mixedmodels.factorization.weighted.row_inverse import leverages


def wide_hessian(problem: GeneralizedProblem, mode: Mode) -> FloatArray | None:
    """Return the second derivatives of the Laplace objective in gamma, shape (p, p).

    Parameters
    ----------
    problem : GeneralizedProblem
        The data.
    mode : Mode
        The conditional mode of u.

    Returns
    -------
    ndarray or None
        None where there is more than one block, or the family has no formula for all derivatives.
    """
    system, zeta, rows, Q = problem.system, mode.parameters.zeta, mode.rows, problem.fixed_basis
    curving = known_second_derivative(problem, rows)
    if curving is None or not (is_one_block(mode) and is_sorted_block(problem)):
        return None
    # 1. How the modes follow the fixed effects: U.
    U = solve(mode.hessian, fixed_coupling(problem, zeta, -rows.d2))
    # 2. What each row weighs: twice its information, and how it moves log|Omega| through eta.
    leverage = leverages(mode.factor)
    pull = solve(mode.hessian, rows_to_spherical(system, zeta, leverage * rows.d_information))
    V = -2.0 * rows.d2 + spherical_to_rows(system, zeta, pull) * rows.d3 + leverage * curving
    # 3. E'VE.
    both = (fixed_coupling(problem, zeta, V) - 0.5 * _times_levels(mode, V, U)) @ U.T
    # 4. The part through the leverages.
    through = _by_level(problem, mode, U)
    return np.asarray(weighted_gram(Q, V) - both - both.T + 2.0 * (U @ U.T) - through)


def _times_levels(mode: Mode, V: FloatArray, U: FloatArray) -> FloatArray:
    """Return ``U Lambda'Z'VZ Lambda``, shape (p, q S)."""
    by, zeta = mode.factor.system.sums[0], mode.parameters.zeta[0]
    u = U.reshape(len(U), len(zeta), -1)
    parts = [sum(product_sums(by, V, z, other) * u[:, b] for b, other in enumerate(zeta)) for z in zeta]
    return np.stack(parts, axis=1).reshape(U.shape)


def _by_level(problem: GeneralizedProblem, mode: Mode, U: FloatArray) -> FloatArray:
    """Return ``w_a'(K o K)w_b`` for ``w = E W'``, shape (p, p); see fixed_hessian.py."""
    by, zeta, L_inverse = mode.factor.system.sums[0], mode.parameters.zeta[0], mode.factor.chain[0].L_inverse
    slopes, S = mode.rows.d_information, len(zeta)
    u = U.reshape(len(U), S, -1)
    moved = [
        [
            level_products(problem.fixed_basis, slopes * z * v, problem.first_rows)
            - sum(product_sums(by, slopes, z, v, other) * u[:, c] for c, other in enumerate(zeta))
            for v in zeta[: a + 1]
        ]
        for a, z in enumerate(zeta)
    ]
    total = np.zeros((len(U), len(U)))
    for a in range(S):
        for b in range(a + 1):
            entry = congruent_entry(moved, L_inverse, a, b)
            total += (1.0 if a == b else 2.0) * (entry @ entry.T)
    return total
