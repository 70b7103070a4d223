"""Exact gradient of the Laplace objective by the implicit function theorem.

With ``eta = Q gamma + Z Lambda u + o``, g = d log f / d eta, H = -d2 log f / d eta2 and the mode defined by
``Lambda'Z'g = u``, the total derivative of

    D = |u|^2 - 2 sum log f + log|Lambda'Z'WZ Lambda + I|

along a parameter is the explicit one (the first two terms are stationary in u) plus, through log|L|,
``sum_i h_i dW_i`` with the leverages ``h_i = (Z Lambda Omega^-1 Lambda'Z')_ii``. W_i moves with eta_i, and
eta with the mode; the mode's part is gathered by one adjoint solve ``a = Omega_H^-1 Lambda'Z'(h W')``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.pirls import Mode
from mixedmodels.engines.generalized.problem import (
    GeneralizedProblem,
    free_gradient,
)
from mixedmodels.engines.generalized.scalar_modes import scalar_search
from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.weighted.penalized_factor import solve, solve_bordered
from mixedmodels.factorization.weighted.penalized_system import (
    rows_to_spherical,
    spherical_to_rows,
    sum_by_level,
)
from mixedmodels.factorization.weighted.row_inverse import RowInverse, pattern_inverse, row_inverse
from mixedmodels.factorization.weighted.scalar_system import ScalarSystem
from mixedmodels.families.family import PhiDerivatives


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Cotangents:
    """Derivatives of an objective in what it is made of, the mode's own movement not yet counted.

    Attributes
    ----------
    eta : ndarray, shape (n,)
        In eta at fixed u: ``-2 g`` for the Laplace approximation, its average over nodes for quadrature.
    u : ndarray, shape (sum q S,), or None
        In the mode u, other than through eta; zero (None) for the Laplace approximation.
    inverse : RowInverse
        In Omega: leverages and rows of ``Omega-bar Lambda'Z'``; Omega^-1 for the Laplace approximation.
    factors : tuple of ndarray, each (S, S), or None
        In the factors T at fixed mode, other than through eta at the mode and Omega.
    phi : ndarray, shape (n_phi,)
        In free phi, other than through Omega and the mode.
    """

    eta: FloatArray
    u: FloatArray | None
    inverse: RowInverse
    factors: tuple[FloatArray, ...] | None
    phi: FloatArray


def laplace_gradient(problem: GeneralizedProblem, psi: FloatArray, mode: Mode) -> FloatArray:
    """Return the gradient of the Laplace objective in the optimiser's vector, shape (m,)."""
    by_phi = phi_derivatives(problem, mode) if problem.n_phi else None
    if problem.system.scalar is not None:
        return _scalar_gradient(problem, psi, mode, problem.system.scalar, by_phi)
    phi = np.zeros(0) if by_phi is None else -2.0 * by_phi.loglik.sum(axis=1)
    direct = Cotangents(-2.0 * mode.rows.d1, None, row_inverse(mode.factor), None, phi)
    return total_gradient(problem, psi, mode, direct, by_phi)


def total_gradient(
    problem: GeneralizedProblem,
    psi: FloatArray,
    mode: Mode,
    direct: Cotangents,
    by_phi: PhiDerivatives | None = None,
) -> FloatArray:
    """Return the gradient, the movement of the mode included, shape (m,).

    `by_phi` are the derivatives in free phi at the mode, if they are known.
    For a joint mode of (u, gamma) the part in gamma is zero.
    """
    system, rows = problem.system, mode.rows
    # 1. log|Omega| pulls at eta through the weights, dW/deta times the leverages, and so at the mode.
    c = direct.inverse.leverage * rows.d_information
    pull = rows_to_spherical(system, mode.parameters.zeta, c)
    if direct.u is not None:
        pull += direct.u
    # 2. The adjoint solve: how the mode's movement carries that pull to the parameters.
    adjoint, v = _adjoint(problem, mode, pull, c)
    # 3. The total derivative in eta at fixed u.
    r = direct.eta + c + rows.d2 * v
    # 4. In T: through eta = Z T u, through the mode's equation T'Z'g = u, and through Omega.
    dT = []
    for k, (block, where) in enumerate(zip(system.blocks, system.slices, strict=True)):
        d = sum_by_level(system, k, r) @ mode.u[where].reshape(block.size, -1).T
        d += sum_by_level(system, k, rows.d1) @ adjoint[where].reshape(block.size, -1).T
        d += information_gradient(block, rows.information, direct.inverse.effects[k])
        dT.append(d if direct.factors is None else d + direct.factors[k])
    # 5. In the optimiser's vector: theta, the fixed effects gamma, phi.
    parts = [free_gradient(problem, psi, mode.parameters.thetas, dT), problem.fixed_basis.T @ r]
    if problem.n_phi:
        by_phi = phi_derivatives(problem, mode) if by_phi is None else by_phi
        parts.append(direct.phi + by_phi.information @ direct.inverse.leverage + by_phi.d1 @ v)
    return np.concatenate(parts)


def _adjoint(
    problem: GeneralizedProblem, mode: Mode, pull: FloatArray, c: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the adjoint solution for a pull on the mode, and what it is at the rows."""
    zeta, system = mode.parameters.zeta, problem.system
    if mode.border is None:
        adjoint = solve(mode.hessian, pull)
        return adjoint, spherical_to_rows(system, zeta, adjoint)
    adjoint, shift = solve_bordered(mode.hessian, mode.border, pull, problem.fixed_basis.T @ c)
    return adjoint, problem.fixed_basis @ shift + spherical_to_rows(system, zeta, adjoint)


def _scalar_gradient(
    problem: GeneralizedProblem,
    psi: FloatArray,
    mode: Mode,
    scalar: ScalarSystem,
    by_phi: PhiDerivatives | None,
) -> FloatArray:
    """Return what :func:`total_gradient` does for random intercepts, by compiled loops."""
    rows, scales, order = mode.rows, scalar.scales(mode.parameters.zeta), np.argsort(scalar.order)
    search, values = scalar_search(problem), mode.factor.values
    if search is not None and values is not None and mode.border is None:
        terms = rows.d1, rows.information, rows.d_information
        d, by_gamma = search.gradient(scales, values, mode.factor.tail, terms, mode.u)
        by_theta = free_gradient(problem, psi, mode.parameters.thetas, list(d[order].reshape(-1, 1, 1)))
        return np.concatenate([by_theta, by_gamma])
    inverse = pattern_inverse(mode.factor)
    assert inverse.values is not None
    leverage, c, pull, within = scalar.loops.weigh(
        inverse.values, inverse.tail, scales, rows.information, rows.d_information
    )
    adjoint, v = _adjoint(problem, mode, pull, c)
    r = rows.d2 * v
    r += c
    r -= 2.0 * rows.d1
    d = scalar.loops.contract(r, rows.d1, mode.u, adjoint) + 2.0 * within
    dT = [d[k].reshape(1, 1) for k in order]
    parts = [free_gradient(problem, psi, mode.parameters.thetas, dT), problem.fixed_basis.T @ r]
    if by_phi is not None:
        parts.append(-2.0 * by_phi.loglik.sum(axis=1) + by_phi.information @ leverage + by_phi.d1 @ v)
    return np.concatenate(parts)


def information_gradient(block: Block, information: FloatArray, effects: list[FloatArray]) -> FloatArray:
    """Return ``2 sum_i W_i z_i e_i'``: the derivative in T of log|Omega| at fixed W, shape (S, S)."""
    out = np.empty((block.size, block.size))
    for a, column in enumerate(block.columns):
        weighted = information if column is None else information * column
        out[a] = [weighted @ effect for effect in effects]
    return 2.0 * out


def phi_derivatives(problem: GeneralizedProblem, mode: Mode) -> PhiDerivatives:
    """Return the derivatives in free phi at the mode."""
    return problem.family.phi_derivatives(
        problem.y, mode.eta, problem.weights, mode.parameters.phi, observed=problem.observed
    )
