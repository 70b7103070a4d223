"""Adaptive Gauss-Hermite quadrature for a family about a curve, random effects of one grouping factor.

The random effects of a level are integrated out at nodes ``u + L^-T z`` around their mode, L the Cholesky
factor of the curvature there; one node is the Laplace approximation. The gradient is that of the sum over the
nodes, which move with the mode and with L.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.generalized.quadrature_grid import Grid
from mixedmodels.engines.nonlinear.quadrature import through_cholesky
from mixedmodels.engines.nonlinear.row_sums import effects
from mixedmodels.engines.nonlinear_family.laplace import (
    Cotangents,
    Evaluation,
    Gradient,
    of_family,
    pulled_back,
)
from mixedmodels.engines.nonlinear_family.mode import Mode, at_effects
from mixedmodels.engines.nonlinear_family.problem import FamilyProblem
from mixedmodels.errors import ConvergenceError


def quadrature(problem: FamilyProblem, at: Evaluation, grid: Grid) -> float:
    """Return -2 log-likelihood around a mode.

    Parameters
    ----------
    problem : FamilyProblem
        A problem whose clusters are the levels of one grouping factor.
    at : Evaluation
        Parameters and the mode there.
    grid : Grid
        Nodes (N, q) and weights for the standard normal density.

    Raises
    ------
    ConvergenceError
        If a level has no finite likelihood.
    """
    L, spread = _spread(at)
    nodes = [at_effects(problem, at.place, at.mode.u + spread @ z) for z in grid.nodes]
    return _by_level(at, L, nodes, grid)[0]


def _spread(at: Evaluation) -> tuple[FloatArray, FloatArray]:
    """Return L and ``L^-T`` of each level, shape (C, q, q)."""
    L = np.asarray(np.linalg.cholesky(at.curvature), dtype=np.float64)
    return L, np.asarray(np.linalg.inv(L).transpose(0, 2, 1), dtype=np.float64)


def _by_level(at: Evaluation, L: FloatArray, nodes: list[Mode], grid: Grid) -> tuple[float, FloatArray]:
    """Return the objective, and the share of each node in the likelihood of each level, shape (N, C)."""
    terms = np.array(
        [
            weight + 0.5 * (z @ z) - 0.5 * (node.penalized - at.mode.penalized)
            for node, z, weight in zip(nodes, grid.nodes, grid.log_weights.tolist(), strict=True)
        ]
    )
    by_level = logsumexp(terms, axis=0, b=grid.signs[:, None])
    if not np.isfinite(by_level).all():
        raise ConvergenceError("quadrature of a level is not finite.")
    log_det = 2.0 * float(np.log(np.diagonal(L, axis1=1, axis2=2)).sum())
    objective = log_det + float(at.mode.penalized.sum()) - 2.0 * float(by_level.sum())
    return objective, grid.signs[:, None] * np.exp(terms - by_level)


def quadrature_gradient(problem: FamilyProblem, at: Evaluation, grid: Grid) -> tuple[float, Gradient]:
    """Return the objective and its gradient."""
    rows, phi = problem.rows, at.place.phi
    L, spread = _spread(at)
    nodes = [at_effects(problem, at.place, at.mode.u + spread @ z) for z in grid.nodes]
    objective, shares = _by_level(at, L, nodes, grid)
    parameters_bar, T_bar = np.zeros_like(at.mode.G), np.zeros_like(at.place.T)
    u_bar, spread_bar, phi_bar = np.zeros(rows.shape), np.zeros_like(spread), np.zeros(len(phi))
    for z, share, node in zip(grid.nodes, shares, nodes, strict=True):
        # As far as its derivative goes, the objective is the mean over the nodes of what is penalized. A node
        # with an impossible mean has no share.
        per_row = share[rows.cluster]
        with np.errstate(invalid="ignore"):
            slope = np.where(per_row == 0.0, 0.0, -2.0 * per_row * node.terms.d1 * node.G)
        by_effect = effects(rows, slope)
        parameters_bar += slope
        T_bar += by_effect.T @ rows.at_rows(node.u)
        of_u = rows.vectors(by_effect @ at.place.T) + 2.0 * share[:, None] * node.u
        u_bar += of_u
        spread_bar += of_u[:, :, None] * z
        phi_bar += -2.0 * of_family(problem, node, phi, per_row)
    curvature_bar = np.linalg.inv(at.curvature) + through_cholesky(L, spread, spread_bar)
    bar = Cotangents(curvature_bar, u_bar, parameters_bar, T_bar, phi_bar)
    return objective, pulled_back(problem, at, bar)
