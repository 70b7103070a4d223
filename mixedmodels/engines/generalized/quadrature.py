"""Adaptive Gauss-Hermite quadrature for random effects of one grouping factor, scalar or vector-valued.

The integral over the effects of each level is centred at its conditional mode and scaled by the Cholesky
factor of Omega: with ``u_k = u~ + C x_k``, ``C = L^-T``, and f the penalized log-likelihood of the level,

    log I = -log|Omega| / 2 + log sum_k w_k exp(f(u_k) + |x_k|^2 / 2)

(Pinheiro & Bates 1995, on the scale of the full likelihood; one node is the Laplace approximation). Sums
stay on the log scale. The gradient is that of the quadrature value itself, nodes included: they move with
the mode (implicit function theorem) and with the Cholesky factor (reverse-mode differentiation of it).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.generalized.laplace_gradient import Cotangents, total_gradient
from mixedmodels.engines.generalized.nested_quadrature import nested_quadrature
from mixedmodels.engines.generalized.pirls import Mode
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.generalized.quadrature_grid import Grid, no_integral, quadrature_grid
from mixedmodels.errors import ControlError
from mixedmodels.factorization.weighted.penalized_system import sum_by_level
from mixedmodels.factorization.weighted.row_inverse import PatternInverse, gather_rows
from mixedmodels.families.modelled_dispersion import rows_of
from mixedmodels.kernels import faces

# Nodes times rows evaluated at once: 16 MB an array.
CHUNK = 1 << 21


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NodeAverages:
    """Averages over the nodes of each level, with the posterior weights p of the nodes.

    Attributes
    ----------
    log_integral : ndarray, shape (q,)
        Logarithm of the sum over nodes, without the determinant.
    score : ndarray, shape (n,)
        Average of d log f / d eta.
    moments : ndarray, shape (S, n)
        Average of d log f / d eta times each coordinate of x.
    u : ndarray, shape (S, q)
        Average of u.
    ux : ndarray, shape (S, S, q)
        Average of u x'.
    phi : ndarray, shape (n_phi,)
        Sum of the averages of d log f / d phi.
    """

    log_integral: FloatArray
    score: FloatArray
    moments: FloatArray
    u: FloatArray
    ux: FloatArray
    phi: FloatArray


def check_quadrature(problem: GeneralizedProblem) -> None:
    """Raise unless the random effects fall into independent groups, nested ones included.

    Raises
    ------
    ControlError
        Naming the grouping factors, and what to use instead.
    """
    pattern = problem.system.pattern
    related = [block.group for block in pattern.blocks if block.relationship is not None]
    if related:
        raise ControlError(
            f"nAGQ > 1 needs independent levels, but those of {related[0]} are related by a known "
            "covariance. Use nAGQ=1 (the Laplace approximation)."
        )
    if pattern.tail:
        names = " and ".join(block.group for block in pattern.blocks)
        raise ControlError(
            f"nAGQ > 1 needs random effects that fall into independent groups, but the grouping factors "
            f"{names} cross. Use nAGQ=1 (the Laplace approximation)."
        )


def quadrature(
    problem: GeneralizedProblem, psi: FloatArray, mode: Mode, nAGQ: int
) -> tuple[float, FloatArray]:
    """Return -2 log-likelihood by adaptive quadrature, and its gradient in the optimiser's vector."""
    if len(problem.system.blocks) > 1:
        value, cotangents = nested_quadrature(problem, mode, nAGQ)
    else:
        averages = average_over_nodes(problem, mode, quadrature_grid(nAGQ, problem.system.blocks[0].size))
        value = mode.factor.log_det - 2.0 * float(averages.log_integral.sum())
        cotangents = quadrature_cotangents(problem, mode, averages)
    return value, total_gradient(problem, psi, mode, cotangents)


def quadrature_cotangents(problem: GeneralizedProblem, mode: Mode, averages: NodeAverages) -> Cotangents:
    """Return the derivatives of the quadrature value in eta, the mode, Omega, T and phi."""
    system, T = problem.system, mode.parameters.factors[0]
    C_transposed = mode.factor.chain[0].L_inverse
    C = faces.transposed(C_transposed)
    # 1. The derivative in the mode: the average score less the average effect.
    by_level = np.stack([sum_by_level(system, 0, moment) for moment in averages.moments], axis=1)
    alpha = T.T @ sum_by_level(system, 0, averages.score) - averages.u
    # 2. Nodes lie at u + C x with C = L^-T: the derivative in C, taken back to L and from L to Omega.
    K = np.einsum("ab,acl->bcl", T, by_level) - averages.ux
    inner = _half_lower(2.0 * faces.product(faces.transposed(K), C))
    middle = 0.5 * (inner + faces.transposed(inner))
    faces.add_identity(middle)
    omega = faces.product(faces.product(C, middle), C_transposed)
    return Cotangents(
        eta=-2.0 * averages.score,
        u=-2.0 * alpha.ravel(),
        inverse=gather_rows(mode.factor, PatternInverse({(0, 0): omega}, (), mode.factor.tail)),
        factors=(-2.0 * np.einsum("abl,cbl->ac", by_level, C),),
        phi=-2.0 * averages.phi,
    )


def _half_lower(A: FloatArray) -> FloatArray:
    """Return the lower triangle of every face with its diagonal halved."""
    out = np.zeros_like(A)
    for i in range(len(A)):
        out[i, :i] = A[i, :i]
        out[i, i] = 0.5 * A[i, i]
    return out


def average_over_nodes(problem: GeneralizedProblem, mode: Mode, grid: Grid) -> NodeAverages:
    """Evaluate the rows at every node and average with the posterior weights of the nodes."""
    codes, zeta = problem.system.sums[0].index, mode.parameters.zeta[0]
    S, q, n = len(zeta), problem.system.sums[0].size, len(codes)
    C_transposed = mode.factor.chain[0].L_inverse
    u = mode.u.reshape(S, q)
    z = np.stack([np.broadcast_to(column, (n,)) for column in zeta])
    found = NodeAverages(
        np.empty(q),
        np.empty(n),
        np.empty((S, n)),
        np.empty((S, q)),
        np.empty((S, S, q)),
        np.zeros(problem.n_phi),
    )
    for levels, part, starts in _chunks(problem.first_rows, n, len(grid.nodes)):
        # 1. Linear predictor, log-likelihood and slope of every row at every node of its level.
        scaled = C_transposed[:, :, levels]
        local = codes[part] - levels.start
        B = np.einsum("ban,an->bn", scaled[:, :, local], z[:, part])
        eta = grid.nodes @ B + mode.eta[part]
        loglik, d1 = _at_nodes(problem, part, eta, mode.parameters.phi)
        # 2. Log of the integrand by level and node, the weight of the node put in.
        u_nodes = u[:, None, levels] + np.einsum("kb,bal->akl", grid.nodes, scaled)
        log_terms = np.add.reduceat(loglik, starts, axis=1) - 0.5 * np.einsum("akl,akl->kl", u_nodes, u_nodes)
        log_terms += (grid.log_weights + 0.5 * np.einsum("kb,kb->k", grid.nodes, grid.nodes))[:, None]
        # 3. Its sum over nodes, the posterior weights p of the nodes, and averages with them.
        found.log_integral[levels], p = _normalize(log_terms, grid)
        weighted = d1 * p[:, local]
        found.score[part] = weighted.sum(axis=0)
        found.moments[:, part] = grid.nodes.T @ weighted
        found.u[:, levels] = np.einsum("akl,kl->al", u_nodes, p)
        found.ux[:, :, levels] = np.einsum("akl,kl,kb->abl", u_nodes, p, grid.nodes)
        if problem.n_phi:
            found.phi[...] += _phi_average(problem, part, eta, mode.parameters.phi, p[:, local])
    return found


def _chunks(starts: IntArray, n: int, n_nodes: int) -> Iterator[tuple[slice, slice, IntArray]]:
    """Yield levels, their rows, and the first row of each level within them."""
    ends = np.append(starts[1:], n)
    first = 0
    while first < len(starts):
        last = int(np.searchsorted(ends, starts[first] + max(1, CHUNK // n_nodes), side="right"))
        last = max(last, first + 1)
        part = slice(int(starts[first]), int(ends[last - 1]))
        yield slice(first, last), part, starts[first:last] - starts[first]
        first = last


def _at_nodes(
    problem: GeneralizedProblem, part: slice, eta: FloatArray, phi: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return log-likelihood terms and first derivatives at the nodes, each of shape (K, rows)."""
    shape = eta.shape
    found = rows_of(problem.family, part).evaluate(
        np.broadcast_to(problem.y[part], shape),
        eta,
        np.broadcast_to(problem.weights[part], shape),
        phi,
        observed=problem.observed,
        constant=np.broadcast_to(problem.constant[part], shape),
    )
    return found.loglik, found.d1


def _phi_average(
    problem: GeneralizedProblem, part: slice, eta: FloatArray, phi: FloatArray, p: FloatArray
) -> FloatArray:
    """Return the averages over nodes of d log f / d phi, summed over rows, shape (n_phi,)."""
    n_nodes = len(eta)
    y, weights = np.tile(problem.y[part], n_nodes), np.tile(problem.weights[part], n_nodes)
    rows = np.tile(np.arange(part.start, part.stop), n_nodes)
    found = rows_of(problem.family, rows).phi_derivatives(y, eta.ravel(), weights, phi)
    return np.asarray(found.loglik @ p.ravel())


def _normalize(log_terms: FloatArray, grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Return the log of the signed sum over nodes, shape (q,), and the weights of the nodes, (K, q)."""
    largest = log_terms.max(axis=0)
    terms = grid.signs[:, None] * np.exp(log_terms - largest)
    total = terms.sum(axis=0)
    if not (total > 0.0).all():
        raise no_integral(grid)
    return largest + np.log(total), terms / total
