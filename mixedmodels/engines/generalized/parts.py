"""A generalized model with one grouping factor whose rows come a part at a time, levels with all of theirs.

Given the parameters levels are independent: -2 log-likelihood, its gradient and its Hessian are sums over the
parts, whose conditional modes are found part by part and kept for the next evaluation. So an evaluation is
one pass, and holds one part at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.differences import curvature_columns, hessian_by_standard_errors
from mixedmodels.engines.column_basis import ColumnBasis
from mixedmodels.engines.generalized.by_level import level_rows
from mixedmodels.engines.generalized.fixed_hessian import fixed_hessian
from mixedmodels.engines.generalized.hessian import with_fixed
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import Layout, parameter_layout
from mixedmodels.engines.generalized.pirls import Mode
from mixedmodels.engines.generalized.problem import (
    EffectsSystem,
    GeneralizedProblem,
    RowOrigin,
    first_row_of_each_level,
)
from mixedmodels.engines.generalized.tangent import TANGENT_STEP, tangent_gradient
from mixedmodels.errors import NotAvailableError
from mixedmodels.families.family import Family
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.machine import physical_memory

#: Share of the machine's memory that problems of parts may take, so that they need not be made in every pass,
#: and the numbers of a row that they hold beside its fixed effects.
SHARE_HELD, NUMBERS_A_ROW = 8, 8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PartRows:
    """The rows of some levels, sorted by them.

    Attributes
    ----------
    y, weights, offset, constant : ndarray, shape (n,)
        Response and prior weights as the family reads them, offset, and the terms of the log-likelihood
        without parameters.
    X : ndarray, shape (n, p)
        Fixed effects.
    terms : tuple of RandomTerm
        Random-effects terms, their levels those of the part.
    """

    y: FloatArray
    weights: FloatArray
    offset: FloatArray
    constant: FloatArray
    X: FloatArray
    terms: tuple[RandomTerm, ...]


class Parts(Protocol):
    """Rows in parts."""

    def __len__(self) -> int: ...

    @property
    def n_rows(self) -> int:
        """Number of rows of all parts."""

    @property
    def n_levels(self) -> int:
        """Number of levels of all parts."""

    def rows(self, k: int) -> PartRows:
        """Return the rows of a part."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PartModel:
    """What the parts have in common.

    Attributes
    ----------
    unscale : ndarray, shape (p, p)
        ``R^-1``, by which the fixed effects of all rows are orthonormal.
    bases : tuple of ColumnBasis or None
        Of the columns of each term, where they are ill-conditioned.
    family : Family
        Distribution of the response.
    observed : bool
        Whether log|L| takes the observed information.
    """

    unscale: FloatArray
    bases: tuple[ColumnBasis | None, ...]
    family: Family
    observed: bool

    def problem(self, rows: PartRows) -> GeneralizedProblem:
        """Return the engine's form of the rows of a part."""
        terms = tuple(
            term if basis is None else replace(term, Z=basis.columns(term.Z))
            for term, basis in zip(rows.terms, self.bases, strict=True)
        )
        effects = EffectsSystem(terms)
        first_rows = first_row_of_each_level(effects)
        return GeneralizedProblem(
            y=rows.y,
            weights=rows.weights,
            offset=rows.offset,
            fixed_basis=rows.X @ self.unscale,
            unscale=self.unscale,
            terms=terms,
            column_bases=self.bases,
            effects=effects,
            family=self.family,
            constant=rows.constant,
            row_origin=RowOrigin(None, None, rows.weights),
            first_rows=first_rows,
            observed=self.observed,
            by_level=level_rows(terms, first_rows, self.family, len(rows.y)),
        )


class PartsEvaluator(Evaluator):
    """Evaluate -2 log-likelihood and its gradient as sums over parts.

    Parameters
    ----------
    parts : Parts
        The rows.
    model : PartModel
        What they have in common.
    nAGQ : int
        Nodes per dimension: 1 is the Laplace approximation.
    """

    def __init__(self, parts: Parts, model: PartModel, nAGQ: int) -> None:
        # The problem of the first part stands for that of all where rows do not matter.
        super().__init__(model.problem(parts.rows(0)), nAGQ)
        self._parts, self._model = parts, model
        self._known: list[FloatArray | None] = [None] * len(parts)
        self._held: dict[int, GeneralizedProblem] = {}
        self._room = physical_memory() // SHARE_HELD

    @property
    def n_rows(self) -> int:
        """Number of rows of all parts."""
        return self._parts.n_rows

    def layout(self) -> Layout:
        """Return places and typical sizes of the parameters."""
        layout = parameter_layout(self.problem)
        scale = layout.scale.copy()
        scale[layout.fixed] = np.sqrt(self.n_rows)
        return replace(layout, scale=scale)

    def with_nodes(self, nAGQ: int) -> PartsEvaluator:
        """Return the evaluator of another number of nodes, at the same conditional modes."""
        other = PartsEvaluator(self._parts, self._model, nAGQ)
        other._known, other._held, other._room = list(self._known), self._held, 0
        return other

    def forget(self) -> None:
        """Start the next modes afresh."""
        self._known = [None] * len(self._parts)

    def __call__(self, psi: FloatArray) -> tuple[float, FloatArray]:
        """Return the objective and its gradient in the optimiser's vector."""
        value, gradient = 0.0, np.zeros(len(psi))
        for k, evaluator in self._evaluators():
            own, slope = evaluator(psi)
            value, gradient = value + own, gradient + slope
            self._known[k] = evaluator.known_modes
        return value, gradient

    def mode_at(self, psi: FloatArray) -> Mode:
        """Raise: the modes of all parts are nowhere held together."""
        raise NotAvailableError("the conditional modes are found part by part")

    def modes_at(self, psi: FloatArray) -> Iterator[tuple[int, GeneralizedProblem, Mode]]:
        """Yield the problem and the conditional modes of each part."""
        for k, evaluator in self._evaluators():
            yield k, evaluator.problem, evaluator.mode_at(psi)

    def hessian_of_all(self, psi: FloatArray, inverse_hessian: FloatArray) -> FloatArray:
        """Return the Hessian; see :func:`~mixedmodels.engines.generalized.hessian.hessian_at`.

        It is made of differences of the whole gradient, as in memory: their steps are those of all rows.
        """
        variances, layout = 2.0 * np.diagonal(inverse_hessian), self.layout()
        if self.problem.by_level is not None:
            return hessian_by_standard_errors(lambda at: self(at)[1], psi, variances, layout.scale)

        def gradient(at: FloatArray) -> FloatArray:
            total = np.zeros(len(at))
            for _, problem, mode in self.modes_at(psi):
                total += tangent_gradient(problem, mode, self.nAGQ)(at)
            return total

        if self.nAGQ > 1:
            return hessian_by_standard_errors(gradient, psi, variances, layout.scale, TANGENT_STEP)
        columns = curvature_columns(gradient, psi, variances, layout.scale, layout.outer, TANGENT_STEP)
        by_gamma = sum(fixed_hessian(problem, mode) for _, problem, mode in self.modes_at(psi))
        return with_fixed(layout, np.array(columns), np.asarray(by_gamma))

    def _evaluators(self) -> Iterator[tuple[int, Evaluator]]:
        """Yield the evaluator of each part, which begins where its modes were last."""
        for k, known in enumerate(self._known):
            evaluator = Evaluator(self._problem(k), self.nAGQ)
            evaluator.begin_at(known)
            yield k, evaluator

    def _problem(self, k: int) -> GeneralizedProblem:
        """Return the problem of a part, held where there is room."""
        if k in self._held:
            return self._held[k]
        problem = self._model.problem(self._parts.rows(k))
        size = problem.fixed_basis.nbytes + NUMBERS_A_ROW * problem.y.nbytes
        if size <= self._room:
            self._room -= size
            self._held[k] = problem
        return problem
