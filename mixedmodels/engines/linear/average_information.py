"""Curvature of the objective near its optimum, for models whose evaluations are expensive.

The average of expected and observed information needs one solve with the factor at hand for each parameter
(Gilmour, Thompson & Cullis 1995, Biometrics 51, 1440-1450). In units of the current factor T a change
``dT = T E`` turns spherical effects u into ``v = (E + E')u``, and with Omega bordered by the fixed effects

    average information    v_k'(I - Omega^-1) v_l / sigma^2 - (v_k'u)(v_l'u) / (sigma^4 df),

the last part because sigma is profiled out. The expected information of one term is known from the moments
of the evaluation, so that twice the average less the expected is the observed information, the Hessian.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear import start as starting
from mixedmodels.engines.linear.blocked_system import BlockedSystem
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.linear.reml import evaluation
from mixedmodels.engines.linear.start import Point
from mixedmodels.factorization.blocks import term_slices
from mixedmodels.factorization.constant.blocked import solve_penalized
from mixedmodels.factorization.constant.cross_products import RightHandSide

#: Levels of a factor up to which the average stands for the observed information: moments leave out what
#: levels say about each other, which counts if they are few.
FEW_LEVELS = 100
#: The observed Hessian is kept within these multiples of the expected one.
LEAST_RATIO, LARGEST_RATIO = 0.2, 5.0


def curved_point(
    problem: LinearProblem, free: FloatArray, REML: bool, sigma: float | None
) -> tuple[Point, FloatArray]:
    """Evaluate the objective at free coordinates, and the inverse of its Hessian there.

    Parameters
    ----------
    problem : LinearProblem
        With more than one grouping factor.
    free : ndarray, shape (n_theta,)
        Free coordinates near an optimum, no factor singular.
    REML : bool
        Which criterion.
    sigma : float or None
        Fixed residual standard deviation.

    Returns
    -------
    point : Point
        As from :func:`~mixedmodels.engines.linear.start.point_at`.
    inverse_hessian : ndarray, shape (n_theta, n_theta)
        Positive definite.
    """
    at = evaluation(problem, starting.factors_of(problem, free), REML, sigma)
    point, system = starting.point_of(problem, free, at), at.system
    assert isinstance(system, BlockedSystem)
    whole, along = average_information(problem, free, system)
    df = problem.n - problem.p if REML else problem.n
    information = whole - np.multiply.outer(along, along) / df if sigma is None else whole
    expected, curvature = starting.expected_hessian(problem, point)
    observed = information + curvature
    for term, part in problem.parts:
        if term.n_levels > FEW_LEVELS:
            observed[part, part] += whole[part, part] - expected[part, part]
    return point, _inverse_within(observed, expected + curvature)


def average_information(
    problem: LinearProblem, free: FloatArray, system: BlockedSystem
) -> tuple[FloatArray, FloatArray]:
    """Return ``v_k'(I - Omega^-1) v_l / sigma^2``, shape (n_theta, n_theta), and ``v_k'u / sigma^2``."""
    u, n = system.u, problem.n_theta
    information, along = np.zeros((n, n)), np.empty(n)
    changes = _changes(problem, free, u)
    for k, (b, v) in enumerate(changes):
        solved = _solved(system, b, v)
        along[k] = np.vdot(v, u[b]) / system.sigma2
        for m, (c, w) in enumerate(changes[: k + 1]):
            product = -float(np.vdot(w, solved[c]))
            product += float(np.vdot(w, v)) if b == c else 0.0
            information[k, m] = information[m, k] = product / system.sigma2
    return information, along


def _changes(
    problem: LinearProblem, free: FloatArray, u: tuple[FloatArray, ...]
) -> list[tuple[int, FloatArray]]:
    """Return, for each free parameter, its block and the ``v`` of that block, shape (S, q)."""
    places = {
        k: (b, rows) for b, block in enumerate(problem.equations.blocks) for k, rows in term_slices(block)
    }
    changes = []
    for k, E in enumerate(starting.relative_changes(problem, free)):
        b, rows = places[k]
        for along in E:
            v = np.zeros_like(u[b])
            v[rows] = (along + along.T) @ u[b][rows]
            changes.append((b, v))
    return changes


def _solved(system: BlockedSystem, block: int, v: FloatArray) -> tuple[FloatArray, ...]:
    """Return ``Omega^-1 v`` by block, v being spherical and zero outside one block."""
    factor, split = system.factor, system.split
    blocks = factor.pattern.blocks if split is None else split.whole
    Z = [np.zeros((b.size, b.n_levels)) for b in blocks]
    Z[block][:] = np.linalg.solve(factor.factors[block].T, v)
    parts = tuple(Z) if split is None else split.parted(Z)
    solved = solve_penalized(factor, RightHandSide(parts, np.zeros(len(factor.tail.fixed_root())))).u
    return solved if split is None else split.joined(solved)


def _inverse_within(H: FloatArray, reference: FloatArray) -> FloatArray:
    """Return the inverse of H, its eigenvalues relative to a positive definite matrix bounded."""
    ratios, vectors = eigh(H, reference)
    return np.asarray((vectors / np.clip(ratios, LEAST_RATIO, LARGEST_RATIO)) @ vectors.T)
