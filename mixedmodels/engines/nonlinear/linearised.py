"""The linear mixed model that a nonlinear one is close to: its rows at fixed and random effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.problem import NonlinearProblem
from mixedmodels.errors import ConvergenceError
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import Design, RandomTerm


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LinearisedRows:
    """A nonlinear mixed model to first order around fixed and random effects.

    Attributes
    ----------
    mu : ndarray, shape (n,)
        Means there.
    y : ndarray, shape (n,)
        Working response ``y - mu + X beta + Z b``.
    X : ndarray, shape (n, p)
        Derivatives of the mean in the fixed effects.
    terms : tuple of RandomTerm
        The terms, Z their derivatives in the random effects.
    offset : ndarray, shape (n,)
        ``mu - X beta - Z b``: what the working response lacks of the response.
    """

    mu: FloatArray
    y: FloatArray
    X: FloatArray
    terms: tuple[RandomTerm, ...]
    offset: FloatArray

    def of(self, design: Design) -> Design:
        """Return the design of the linear model, whose predictor is the mean where it was linearised."""
        return replace(design, fixed=ColumnMatrix.of(self.X), random=self.terms, offset=self.offset)


def linearised(problem: NonlinearProblem, beta: FloatArray, b: Sequence[FloatArray]) -> LinearisedRows:
    """Return the rows of the linear model around beta (p,) and random effects b by term, each (levels, S).

    Raises
    ------
    ConvergenceError
        If the mean or a derivative is not finite there.
    """
    effects = problem.at_rows(problem.by_cluster(b))
    with np.errstate(all="ignore"):
        mu, G = problem.mean.jacobian(problem.with_effects(problem.fixed_part(beta), effects))
    if not (np.isfinite(mu).all() and np.isfinite(G).all()):
        raise ConvergenceError("the mean is not finite at some rows.")
    X = problem.X * G[problem.fixed_parameter].T
    Z = problem.Z * G[problem.parameter].T
    terms = tuple(replace(t, Z=Z[:, own]) for t, own in zip(problem.terms, problem.columns, strict=True))
    offset = mu - X @ beta - np.einsum("ns,ns->n", Z, effects)
    return LinearisedRows(mu, problem.y - offset, X, terms, offset)
