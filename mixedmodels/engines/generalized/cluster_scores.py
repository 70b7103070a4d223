"""The gradient of the objective of a generalized linear mixed model by cluster of independent rows.

The log-likelihood is a sum over clusters that share no random effects, and the part of one is the
log-likelihood of its rows alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.differences import STANDARD_ERROR_STEP, jacobian
from mixedmodels.engines.generalized.by_level import level_rows
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.problem import EffectsSystem, GeneralizedProblem, first_row_of_each_level
from mixedmodels.formula.design.design import RandomTerm


def cluster_problems(problem: GeneralizedProblem, codes: IntArray, size: int) -> list[GeneralizedProblem]:
    """Return the problem of each cluster, in the coordinates of the whole.

    Parameters
    ----------
    problem : GeneralizedProblem
        The whole.
    codes : ndarray of int, shape (n,)
        Cluster of each row of the data.
    size : int
        Number of clusters.
    """
    origin = problem.row_origin
    codes = codes if origin.order is None else codes[origin.order]
    codes = codes if origin.equal is None else codes[origin.equal.first]
    return [_part(problem, np.flatnonzero(codes == cluster)) for cluster in range(size)]


def _part(problem: GeneralizedProblem, rows: IntArray) -> GeneralizedProblem:
    terms = tuple(_cut(term, rows) for term in problem.terms)
    effects = EffectsSystem(terms)
    first_rows = first_row_of_each_level(effects)
    return replace(
        problem,
        y=problem.y[rows],
        weights=problem.weights[rows],
        offset=problem.offset[rows],
        fixed_basis=np.ascontiguousarray(problem.fixed_basis[rows]),
        terms=terms,
        effects=effects,
        constant=problem.constant[rows],
        first_rows=first_rows,
        by_level=level_rows(terms, first_rows, problem.family, len(rows)),
    )


def _cut(term: RandomTerm, rows: IntArray) -> RandomTerm:
    """Return a term on some rows, with the levels that occur in them."""
    present, codes = np.unique(term.codes[rows], return_inverse=True)
    levels = tuple(term.levels[level] for level in present)
    return replace(term, Z=term.Z[rows], codes=codes.astype(term.codes.dtype), levels=levels)


def gradients(parts: list[GeneralizedProblem], psi: FloatArray, nAGQ: int) -> FloatArray:
    """Return the gradient of -2 log-likelihood of each cluster in the optimiser's vector, shape (m, P)."""
    return _gradients([Evaluator(part, nAGQ) for part in parts], psi)


def _gradients(evaluators: list[Evaluator], psi: FloatArray) -> FloatArray:
    """Return the gradient of each cluster; evaluators start at the modes of the point before."""
    return np.array([evaluate(psi)[1] for evaluate in evaluators])


def hessians(parts: list[GeneralizedProblem], psi: FloatArray, nAGQ: int, se: FloatArray) -> FloatArray:
    """Return the Hessian of -2 log-likelihood of each cluster, shape (m, P, P).

    By central differences of the exact gradients.

    Parameters
    ----------
    parts : list of GeneralizedProblem
        From :func:`cluster_problems`.
    psi : ndarray, shape (P,)
        Where.
    nAGQ : int
        Nodes of quadrature; 1 for the Laplace approximation.
    se : ndarray, shape (P,)
        Standard errors, which the steps are in proportion to.
    """
    evaluators = [Evaluator(part, nAGQ) for part in parts]
    H = jacobian(lambda x: _gradients(evaluators, x), psi, STANDARD_ERROR_STEP * se)
    return np.asarray(0.5 * (H + H.transpose(0, 2, 1)))
