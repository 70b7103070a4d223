"""The Hessian of the Laplace objective in the fixed effects, from derivatives instead of differences.

With ``K = Z Lambda Omega^-1 Lambda'Z'``, leverages h its diagonal, W and W' the weights of log|Omega| and
their derivative in eta, H the observed information and ``E = d eta / d gamma`` the mode's movement included,

    E = Q - Z Lambda U,   U = Omega_H^-1 Lambda'Z'H Q,   v = Z Lambda Omega_H^-1 Lambda'Z'(h W'),

the second derivative of ``|u|^2 - 2 sum log f`` is ``2 (E'HE + U'U)``; that of log|Omega| has a part through
eta, ``E'(h W'' + v f''') E``, and one through the leverages, ``-(W'E)'(K o K)(W'E)``, in which
``w'(K o K)w = tr (Omega^-1 Z'wZ)^2``. All fixed effects share the factorization at the mode.
"""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.differences import STANDARD_ERROR_STEP, derivative, steps_by_standard_errors
from mixedmodels.engines.generalized.by_level import KINDS
from mixedmodels.engines.generalized.pirls import Mode
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.factorization.weighted.penalized_factor import factorize, solve
from mixedmodels.factorization.weighted.penalized_system import (
    product_sums,
    rows_to_spherical,
    spherical_to_rows,
)
from mixedmodels.factorization.weighted.row_inverse import leverages
from mixedmodels.families.family import Derivatives
from mixedmodels.families.poisson import Poisson


def fixed_hessian(problem: GeneralizedProblem, mode: Mode) -> FloatArray:
    """Return the second derivatives of the Laplace objective in gamma, shape (p, p).

    Parameters
    ----------
    problem : GeneralizedProblem
        The data.
    mode : Mode
        The conditional mode of u.
    """
    system, zeta, rows = problem.system, mode.parameters.zeta, mode.rows
    # 1. How the modes and the linear predictor follow the fixed effects.
    U = solve(mode.hessian, rows_to_spherical(system, zeta, problem.fixed_basis.T * -rows.d2))
    E = problem.fixed_basis.T - np.array([spherical_to_rows(system, zeta, column) for column in U])
    squares = np.square(E)
    leading = 2.0 * (np.square(U).sum(axis=1) - squares @ rows.d2)
    variances = 2.0 / np.maximum(leading, np.finfo(np.float64).tiny)
    # 2. What each row weighs: twice its information, and how it moves log|Omega| through eta.
    leverage = leverages(mode.factor)
    pull = solve(mode.hessian, rows_to_spherical(system, zeta, leverage * rows.d_information))
    weight = -2.0 * rows.d2 + spherical_to_rows(system, zeta, pull) * rows.d3
    curving = known_second_derivative(problem, mode.rows)
    if curving is None:
        curving = _second_derivative(problem, mode, variances @ squares)
    weight += leverage * curving
    # 3. The part through the leverages.
    w = E * rows.d_information
    through = _by_level(mode, w) if _is_one_block(mode) else _by_differences(mode, w, np.sqrt(variances))
    return np.asarray(_weighted_gram(E, weight) + 2.0 * (U @ U.T) - through)


def _weighted_gram(E: FloatArray, weight: FloatArray) -> FloatArray:
    """Return ``E diag(weight) E'``, at half the cost where no weight is negative."""
    if weight.min(initial=0.0) < 0.0:
        return np.asarray((E * weight) @ E.T)
    half = E * np.sqrt(weight)
    return np.asarray(half @ half.T)


def known_second_derivative(problem: GeneralizedProblem, rows: Derivatives) -> FloatArray | None:
    """Return d2 W / d eta2 of every row at its canonical link; None for families that have no formula."""
    W = rows.information
    kind = KINDS.get(type(problem.family)) if problem.family.is_canonical else None
    if kind is None:
        return None
    if kind == KINDS[Poisson]:
        return W
    share = np.divide(W, problem.weights, out=np.zeros_like(W), where=problem.weights > 0.0)
    return np.asarray(W * (1.0 - 6.0 * share))


def _second_derivative(problem: GeneralizedProblem, mode: Mode, variances: FloatArray) -> FloatArray:
    """Return d2 W / d eta2 of every row; `variances` are those of the predictors, of a size at least."""
    typical = np.full(len(mode.eta), float(np.abs(mode.eta).mean()) or 1.0)
    steps = steps_by_standard_errors(mode.eta, variances, typical)

    def slope(eta: FloatArray) -> FloatArray:
        return problem.evaluate(eta, mode.parameters.phi, order=3).d_information

    return derivative(slope, mode.eta, np.maximum(steps, np.finfo(np.float64).tiny))


def _is_one_block(mode: Mode) -> bool:
    """Tell whether Omega falls into one small matrix for each level."""
    pattern = mode.factor.system.pattern
    return not pattern.tail and len(pattern.chain) == 1


def _by_level(mode: Mode, w: FloatArray) -> FloatArray:
    """Return ``w_a'(K o K)w_b`` level by level: products of ``L^-1 Z'diag(w_a)Z L^-T``, shape (p, p)."""
    by, zeta, L_inverse = mode.factor.system.sums[0], mode.parameters.zeta[0], mode.factor.chain[0].L_inverse
    S, p = len(zeta), len(w)
    total = np.zeros((p, p))
    moved = [[product_sums(by, w, z, v) for v in zeta[: a + 1]] for a, z in enumerate(zeta)]
    for a in range(S):
        for b in range(a + 1):
            entry = _congruent_entry(moved, L_inverse, a, b)
            total += (1.0 if a == b else 2.0) * (entry @ entry.T)
    return total


def _by_differences(mode: Mode, w: FloatArray, standard_errors: FloatArray) -> FloatArray:
    """Return ``w_a'(K o K)w_b`` from differences of leverages, ``dh = -(K o K) dW``, shape (p, p)."""
    factor, W = mode.factor, mode.rows.information
    moved = np.empty_like(w)
    for a, (column, size) in enumerate(zip(w, STANDARD_ERROR_STEP * standard_errors, strict=True)):
        above, below = (
            leverages(factorize(factor.system, factor.zeta, W + step * column)) for step in (size, -size)
        )
        moved[a] = (below - above) / (2.0 * size)
    product = moved @ w.T
    return np.asarray(0.5 * (product + product.T))


def _congruent_entry(moved: list[list[FloatArray]], L_inverse: FloatArray, a: int, b: int) -> FloatArray:
    """Return entry (a, b) of ``L^-1 M L^-T`` for symmetric M given by its lower half, shape (p, q)."""
    return np.asarray(
        sum(
            L_inverse[a, s] * moved[max(s, t)][min(s, t)] * L_inverse[b, t]
            for s in range(a + 1)
            for t in range(b + 1)
        )
    )
