"""Adaptive quadrature for nested grouping factors, one inside the integral of the other.

Given the effects of the outer level the inner levels are independent, so the integral over an outer level is
a sum over its nodes of products over inner levels of sums over theirs (Rabe-Hesketh, Skrondal & Pickles
2005). Nodes are placed by the Cholesky factor of Omega, inner blocks first: with ``d_k = u_k - u~_k``,

    d_k = C_k (x_k - sum_{j outside k} V_kj' d_j),   C_k = L_k^-T,

an inner node is centred at the conditional mode given the outer effects, to first order. One node a level is
the Laplace approximation. The gradient is that of the value itself, by reverse-mode differentiation of these
lines and of the factorization.

Arrays over nodes have one leading axis for each level that the quantity depends on, outermost first, and the
levels of the block last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.laplace_gradient import Cotangents
from mixedmodels.engines.generalized.pirls import Mode
from mixedmodels.engines.generalized.problem import GeneralizedProblem
from mixedmodels.engines.generalized.quadrature_grid import Grid, no_integral, quadrature_grid
from mixedmodels.errors import ControlError
from mixedmodels.factorization.weighted.penalized_system import at_rows, product_sums
from mixedmodels.factorization.weighted.row_inverse import PatternInverse, gather_rows, pattern_inverse
from mixedmodels.factorization.weighted.row_sums import sum_rows
from mixedmodels.kernels import faces

# Nodes of all rows that fit into memory with a few arrays of their size.
MOST_NODES = 30_000_000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NestedNodes:
    """Quadrature over every level, outermost node axis first.

    Attributes
    ----------
    log_integral : float
        Sum over the outermost levels of the log of the sum over nodes, without the determinant.
    y, d : tuple of ndarray, each (nodes of this and outer levels..., S, q)
        Standardised deviations ``C_k^-1 d_k`` and deviations from the mode, innermost block first.
    weights : tuple of ndarray, each (nodes of this and outer levels..., q)
        Posterior weights of a level's own nodes given the outer ones.
    scores : tuple of ndarray, each (nodes of this and outer levels..., n)
        d log f / d eta averaged over the nodes of inner levels; one more, averaged over all nodes, last.
    """

    log_integral: float
    y: tuple[FloatArray, ...]
    d: tuple[FloatArray, ...]
    weights: tuple[FloatArray, ...]
    scores: tuple[FloatArray, ...]


def nested_quadrature(problem: GeneralizedProblem, mode: Mode, nAGQ: int) -> tuple[float, Cotangents]:
    """Return -2 log-likelihood and its derivatives in what it is made of."""
    grids = [quadrature_grid(nAGQ, block.size) for block in problem.system.blocks]
    n_nodes = float(np.prod([len(grid.nodes) for grid in grids])) * len(problem.y)
    if n_nodes > MOST_NODES:
        raise ControlError(
            f"nAGQ={nAGQ} takes {n_nodes:.1e} evaluations of a row for every value of the likelihood of "
            "this nested model; use fewer nodes."
        )
    nodes = evaluate_nodes(problem, mode, grids)
    value = mode.factor.log_det - 2.0 * nodes.log_integral
    return value, _cotangents(problem, mode, nodes)


def evaluate_nodes(problem: GeneralizedProblem, mode: Mode, grids: list[Grid]) -> NestedNodes:
    """Place the nodes, evaluate the rows there and sum from the innermost level outwards."""
    y, d = _deviations(mode, grids)
    depth, system = len(grids), problem.system
    eta = mode.eta
    for k in range(depth):
        for column, deviation in zip(mode.parameters.zeta[k], np.moveaxis(d[k], -2, 0), strict=True):
            part = deviation.take(system.sums[k].index, axis=-1) * column
            eta = eta + part.reshape(*part.shape[:-1], *(1,) * k, len(mode.eta))
    loglik, d1 = _evaluate(problem, eta, mode.parameters.phi)
    log_sums = sum_rows(system.sums[0], loglik)
    weights = []
    for k, grid in enumerate(grids):
        if k:
            log_sums = sum_rows(system.parents[k - 1, k], log_sums)
        u = mode.u[system.slices[k]].reshape(system.blocks[k].size, -1) + d[k]
        constant = grid.log_weights + 0.5 * np.einsum("ks,ks->k", grid.nodes, grid.nodes)
        terms = log_sums - 0.5 * np.einsum("...sl,...sl->...l", u, u) + constant[:, None]
        log_sums, p = _log_sum(terms, grid)
        weights.append(p)
    scores = [d1]
    for k in range(depth):
        at = weights[k].take(system.sums[k].index, axis=-1)
        scores.append(np.einsum("...kn,...kn->...n", at, scores[-1]))
    return NestedNodes(float(log_sums.sum()), y, d, tuple(weights), tuple(scores))


def _deviations(mode: Mode, grids: list[Grid]) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """Return standardised deviations and deviations of every block, innermost first."""
    system, depth = mode.factor.system, len(grids)
    y: list[FloatArray] = [np.empty(0)] * depth
    d = list(y)
    for k in reversed(range(depth)):
        step, n_outer = mode.factor.chain[k], depth - 1 - k
        at = grids[k].nodes[:, :, None].reshape(*(1,) * n_outer, *grids[k].nodes.shape, 1)
        for j, link in step.links.items():
            outer = d[j].take(system.parents[k, j].index, axis=-1)
            outer = outer.reshape(*outer.shape[:-2], *(1,) * (j - k), *outer.shape[-2:])
            at = at - np.einsum("abl,...al->...bl", link, outer)
        y[k] = at
        d[k] = np.einsum("bal,...bl->...al", step.L_inverse, at)
    return tuple(y), tuple(d)


def _evaluate(problem: GeneralizedProblem, eta: FloatArray, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log-likelihood terms and first derivatives at the nodes."""
    flat = eta.reshape(-1, eta.shape[-1])
    y, weights, constant = (
        np.broadcast_to(part, flat.shape) for part in (problem.y, problem.weights, problem.constant)
    )
    found = problem.family.evaluate(y, flat, weights, phi, observed=problem.observed, constant=constant)
    return found.loglik.reshape(eta.shape), found.d1.reshape(eta.shape)


def _log_sum(terms: FloatArray, grid: Grid) -> tuple[FloatArray, FloatArray]:
    """Return the log of the signed sum over the last node axis, and the weights of its nodes."""
    largest = terms.max(axis=-2, keepdims=True)
    scaled = grid.signs[:, None] * np.exp(terms - largest)
    total = scaled.sum(axis=-2, keepdims=True)
    if not (total > 0.0).all():
        raise no_integral(grid)
    return (largest + np.log(total))[..., 0, :], scaled / total


def _cotangents(problem: GeneralizedProblem, mode: Mode, nodes: NestedNodes) -> Cotangents:
    """Return the derivatives in eta, the mode, Omega, T and phi."""
    system, depth = problem.system, len(nodes.d)
    posterior = _posterior(problem, nodes)
    t: list[FloatArray] = []
    alpha, factors = [], []
    L_bar: list[FloatArray] = []
    V_bar: dict[tuple[int, int], FloatArray] = {}
    # From the innermost block outwards; averages are over the nodes of a block and of all around it.
    for k in range(depth):
        # 1. The score in the effects of the block at every node.
        block, step = system.blocks[k], mode.factor.chain[k]
        columns = [1.0 if column is None else column for column in block.columns]
        raw = np.stack([product_sums(system.sums[k], nodes.scores[k], column) for column in columns], axis=-2)
        T = mode.parameters.factors[k]
        u = mode.u[system.slices[k]].reshape(block.size, -1) + nodes.d[k]
        score = np.einsum("ab,...al->...bl", T, raw) - u
        # 2. Its average is the derivative in the mode; with the deviations, that in T at fixed deviations.
        P = posterior[k]
        alpha.append(_average(P, score).ravel())
        factors.append(-2.0 * _sum_outer(P, raw, nodes.d[k]).sum(axis=-1))
        # 3. Inner deviations follow the outer ones through the links of L, and so do their scores.
        for i in range(k):
            inner = mode.factor.chain[i]
            pulled = np.einsum("bal,...al->...bl", inner.L_inverse, _given_outer(problem, nodes, t[i], i, k))
            through = np.einsum("abl,...bl->...al", inner.links[k], pulled)
            score = score - sum_rows(system.parents[i, k], through)
        t.append(score)
        # 4. Deviations are L^-T times nodes: the derivative in the block's own L ...
        C = faces.transposed(step.L_inverse)
        K = _sum_outer(P, score, nodes.y[k])
        L_bar.append(2.0 * faces.product(faces.product(C, faces.transposed(K)), C))
        # 5. ... and in its blocks below the diagonal.
        for j in range(k + 1, depth):
            outer = nodes.d[j].take(system.parents[k, j].index, axis=-1)
            given = np.einsum("bal,...al->...bl", step.L_inverse, _given_outer(problem, nodes, score, k, j))
            at = posterior[j].take(system.parents[k, j].index, axis=-1)
            V_bar[k, j] = 2.0 * _sum_outer(at, outer, given)
    # 6. From the Cholesky factor back to Omega, log|Omega| included, and to the rows.
    inverse = _factorization_adjoint(mode, L_bar, V_bar)
    return Cotangents(
        eta=-2.0 * nodes.scores[-1],
        u=-2.0 * np.concatenate(alpha),
        inverse=gather_rows(mode.factor, inverse),
        factors=tuple(factors),
        phi=-2.0 * _phi_average(problem, mode, nodes, posterior[0]),
    )


def _posterior(problem: GeneralizedProblem, nodes: NestedNodes) -> list[FloatArray]:
    """Return the weights of the nodes of this and all outer levels together, innermost block first."""
    found = [nodes.weights[-1]]
    for k in reversed(range(len(nodes.weights) - 1)):
        outer = found[0].take(problem.system.parents[k, k + 1].index, axis=-1)
        found.insert(0, nodes.weights[k] * outer[..., None, :])
    return found


def _given_outer(
    problem: GeneralizedProblem, nodes: NestedNodes, values: FloatArray, i: int, k: int
) -> FloatArray:
    """Average values of block i, shape (nodes..., S, q_i), over the nodes of blocks i to k - 1."""
    for m in range(i, k):
        weights = nodes.weights[m]
        if m > i:
            weights = weights.take(problem.system.parents[i, m].index, axis=-1)
        values = np.einsum("...kl,...ksl->...sl", weights, values)
    return values


def _average(P: FloatArray, values: FloatArray) -> FloatArray:
    """Return the average over all node axes, shape (S, q)."""
    flat = values.reshape(-1, *values.shape[-2:])
    return np.asarray(np.einsum("kl,ksl->sl", P.reshape(-1, P.shape[-1]), flat))


def _sum_outer(P: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the average over all node axes of outer products, shape (S_first, S_second, q)."""
    parts = [
        np.broadcast_to(part, (*P.shape[:-1], *part.shape[-2:])).reshape(-1, *part.shape[-2:])
        for part in (first, second)
    ]
    return np.asarray(np.einsum("kl,kal,kbl->abl", P.reshape(-1, P.shape[-1]), *parts))


def _factorization_adjoint(
    mode: Mode, L_bar: list[FloatArray], V_bar: dict[tuple[int, int], FloatArray]
) -> PatternInverse:
    """Return the derivatives in Omega on its pattern from those in its Cholesky factor, log|Omega| included.

    Runs the elimination backwards. A block off the diagonal stands for both of its halves.
    """
    system, chain, depth = mode.factor.system, mode.factor.chain, len(L_bar)
    F: dict[tuple[int, int], FloatArray] = {}
    for j in reversed(range(depth)):
        step = chain[j]
        C = faces.transposed(step.L_inverse)
        L_j = L_bar[j]
        for k, link in step.links.items():
            V = V_bar[j, k]
            for m, other in step.links.items():
                at = F[min(k, m), max(k, m)][:, :, system.parents[j, min(k, m)].index]
                scale = 2.0 if k == m else 1.0
                V = V - scale * faces.product(at if m <= k else faces.transposed(at), other)
            F[j, k] = faces.product(V, step.L_inverse)
            L_j = L_j - faces.product(C, faces.product(faces.transposed(V), link))
        F[j, j] = _cholesky_adjoint(step.L_inverse, L_j)
    exact = pattern_inverse(mode.factor).faces
    found = {(j, j): exact[j, j] + F[j, j] for j in range(depth)}
    for j in range(depth):
        for k in range(j + 1, depth):
            found[j, k] = exact[j, k] + 0.5 * faces.transposed(F[j, k])
    return PatternInverse(found, (), mode.factor.tail)


def _cholesky_adjoint(L_inverse: FloatArray, L_bar: FloatArray) -> FloatArray:
    """Return the symmetric derivative in A from that in its Cholesky factor L, face by face."""
    S = len(L_inverse)
    L = faces.lower_inverse(L_inverse)
    product = faces.product(faces.transposed(L), L_bar)
    half = np.zeros_like(product)
    for i in range(S):
        half[i, :i] = product[i, :i]
        half[i, i] = 0.5 * product[i, i]
    middle = 0.5 * (half + faces.transposed(half))
    return faces.product(faces.product(faces.transposed(L_inverse), middle), L_inverse)


def _phi_average(problem: GeneralizedProblem, mode: Mode, nodes: NestedNodes, P: FloatArray) -> FloatArray:
    """Return the averages over nodes of d log f / d phi, summed over rows, shape (n_phi,)."""
    total = np.zeros(problem.n_phi)
    if not problem.n_phi:
        return total
    index = problem.system.sums[0].index
    for at in np.ndindex(*P.shape[:-1]):
        eta = mode.eta.copy()
        for k, d in enumerate(nodes.d):
            own = at[: len(at) - k]
            for column, deviation in zip(mode.parameters.zeta[k], d[own], strict=True):
                eta += at_rows(problem.system.sums[k], column, deviation)
        found = problem.family.phi_derivatives(
            problem.y, eta, problem.weights, mode.parameters.phi, observed=problem.observed
        )
        total += found.loglik @ P[at].take(index)
    return total
