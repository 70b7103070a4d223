"""Everything of a generalized linear mixed model that never changes while it is fitted, and its parameters.

Notation: ``eta = X beta + Z Lambda(theta) u + offset`` with spherical u. Inside the engine the fixed effects
are ``gamma = R beta`` for ``X = Q R`` with orthonormal columns in Q, so that a predictor measured in millions
and one measured in millionths are the same to every step of the algorithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dtrtrs

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.column_basis import ColumnBasis, moved_theta
from mixedmodels.engines.generalized.by_level import LevelRows, has_one_factor
from mixedmodels.engines.generalized.equal_rows import EqualRows, collapsed_response
from mixedmodels.factorization.blocks import amalgamate, block_factor, term_slices
from mixedmodels.factorization.weighted.penalized_system import (
    PenalizedSystem,
    SphericalRows,
    penalized_system,
    spherical_rows,
)
from mixedmodels.families.family import Derivatives, Family
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.kernels.level_starts import level_starts


@dataclass(frozen=True)
class Parameters:
    """One point in the parameter space.

    Attributes
    ----------
    thetas : tuple of ndarray
        Covariance parameters of each term.
    factors : tuple of ndarray, each (S, S)
        Relative covariance factor T of each block: those of its terms along the diagonal.
    zeta : SphericalRows
        ``Lambda'z_i`` at the level of each row.
    gamma : ndarray, shape (p,)
        Fixed effects in the orthogonal basis.
    phi : ndarray, shape (n_phi,)
        Parameters of the family, natural scale.
    """

    thetas: tuple[FloatArray, ...]
    factors: tuple[FloatArray, ...]
    zeta: SphericalRows
    gamma: FloatArray
    phi: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RowOrigin:
    """How the rows of the data became those of a problem.

    Attributes
    ----------
    order : ndarray, shape (n,), or None
        Rows of the data sorted by the leading block's levels; None if they are sorted.
    equal : EqualRows or None
        Which of the sorted rows are equal and fitted once; None if each is kept.
    weights : ndarray, shape (n,)
        Prior weights of the sorted rows.
    """

    order: IntArray | None
    equal: EqualRows | None
    weights: FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class EffectsSystem:
    """The penalized system of some terms, arranged when it is first asked for: compiled searches never do.

    Attributes
    ----------
    terms : tuple of RandomTerm
        Random-effects terms.
    """

    terms: tuple[RandomTerm, ...]

    @cached_property
    def system(self) -> PenalizedSystem:
        """Blocks of terms that share a grouping factor, and the pattern of Omega."""
        return penalized_system(amalgamate(self.terms))


@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedProblem:
    """Data of a generalized linear mixed model, arranged for the engine; equal only to itself.

    Attributes
    ----------
    y, weights, offset : ndarray, shape (n,)
        Response as the family reads it, prior weights, offset.
    fixed_basis : ndarray, shape (n, p)
        Orthonormal basis Q of the columns of X.
    unscale : ndarray, shape (p, p)
        ``R^-1`` in ``X = Q R``: ``beta = R^-1 gamma``.
    terms : tuple of RandomTerm
        Random-effects terms in the order of the design, ill-conditioned columns made orthogonal.
    column_bases : tuple of ColumnBasis or None
        What made them so; None where the columns are the user's.
    effects : EffectsSystem
        Makes `system` of them.
    family : Family
        Distribution of the response.
    constant : ndarray, shape (n,)
        Part of the log-likelihood that depends on the data only.
    row_origin : RowOrigin
        How the rows of the data became those kept here.
    first_rows : ndarray, shape (q,)
        First row of each level of the leading block.
    observed : bool
        Whether log|L| takes the observed information instead of the expected one.
    by_level : LevelRows or None
        The rows as the compiled loops over levels take them; None where the model is not one for them.
    phi_unscale : ndarray, shape (n_phi, n_phi), or None
        What makes parameters of the family the user's, where the predictors of its dispersion were made
        orthogonal too; None where they are.
    """

    y: FloatArray
    weights: FloatArray
    offset: FloatArray
    fixed_basis: FloatArray
    unscale: FloatArray
    terms: tuple[RandomTerm, ...]
    column_bases: tuple[ColumnBasis | None, ...]
    effects: EffectsSystem
    family: Family
    constant: FloatArray
    row_origin: RowOrigin
    first_rows: IntArray
    observed: bool = True
    by_level: LevelRows | None = None
    phi_unscale: FloatArray | None = None

    @property
    def system(self) -> PenalizedSystem:
        """Blocks of terms that share a grouping factor, and the pattern of Omega."""
        return self.effects.system

    @property
    def n_fixed(self) -> int:
        """Number of fixed effects, p."""
        return int(self.unscale.shape[0])

    @property
    def n_phi(self) -> int:
        """Number of parameters of the family."""
        return len(self.family.phi_names)

    @cached_property
    def n_theta(self) -> int:
        """Number of covariance parameters."""
        return sum(term.structure.n_theta for term in self.terms)

    @cached_property
    def log_constant(self) -> float:
        """Part of the log-likelihood that depends on the data only."""
        return float(self.constant.sum())

    @property
    def n_effects(self) -> int:
        """Length of the flat vector u."""
        return int(self.system.slices[-1].stop)

    @property
    def has_one_information(self) -> bool:
        """Whether the information in log|L| is always the Hessian's."""
        return self.observed or self.family.is_canonical or not self.family.has_expected_information

    @property
    def has_other_information(self) -> bool:
        """Whether log|L| takes the observed information and could take another, the expected one."""
        return self.observed and self.family.has_expected_information and not self.family.is_canonical

    @property
    def has_one_mode(self) -> bool:
        """Whether the log-likelihood is surely concave in eta, as for canonical links."""
        return self.family.is_canonical

    def user_phi(self, phi: FloatArray) -> FloatArray:
        """Return parameters of the family as the user has them."""
        return phi if self.phi_unscale is None else self.phi_unscale @ phi

    def own_phi(self, phi: FloatArray) -> FloatArray:
        """Return parameters of the family as the problem has them."""
        return phi if self.phi_unscale is None else np.asarray(np.linalg.solve(self.phi_unscale, phi), float)

    def with_response(self, y: FloatArray, constant: FloatArray) -> GeneralizedProblem:
        """Return the same problem with another response and its log-likelihood terms without parameters."""
        order, equal = self.row_origin.order, self.row_origin.equal
        if order is not None:
            y, constant = y[order], constant[order]
        if equal is None:
            return replace(self, y=np.ascontiguousarray(y), constant=constant)
        y, weights, constant = collapsed_response(y, self.row_origin.weights, constant, equal)
        return replace(self, y=y, weights=weights, constant=constant)

    def as_given(self, rows: FloatArray) -> FloatArray:
        """Return values for every row of the data, in its order."""
        if self.row_origin.equal is not None:
            rows = rows[self.row_origin.equal.index]
        if self.row_origin.order is None:
            return rows
        given = np.empty_like(rows)
        given[self.row_origin.order] = rows
        return given

    def evaluate(self, eta: FloatArray, phi: FloatArray, order: int = 2) -> Derivatives:
        """Return log-likelihood terms of the rows and their derivatives in eta."""
        return self.family.evaluate(
            self.y, eta, self.weights, phi, order=order, observed=self.observed, constant=self.constant
        )


def first_row_of_each_level(effects: EffectsSystem) -> IntArray:
    """Return where the rows of each level of the leading block begin, the rows being sorted by it."""
    leading = effects.terms[0] if has_one_factor(effects.terms) else effects.system.blocks[0]
    starts = level_starts(leading.codes, leading.n_levels)
    assert starts is not None
    return starts[:-1]


def pack(
    problem: GeneralizedProblem, thetas: Sequence[FloatArray], gamma: FloatArray, phi: FloatArray
) -> FloatArray:
    """Return the optimiser's vector (free theta, gamma, free phi)."""
    free = [term.structure.to_free(theta) for term, theta in zip(problem.terms, thetas, strict=True)]
    return np.concatenate([*free, gamma, problem.family.phi_to_free(phi) if problem.n_phi else phi])


def natural_to_psi(problem: GeneralizedProblem, natural: FloatArray) -> FloatArray:
    """Return the optimiser's vector of (theta, beta, phi), all on the user's scale."""
    thetas, start = [], 0
    for term, basis in zip(problem.terms, problem.column_bases, strict=True):
        end = start + term.structure.n_theta
        theta = natural[start:end]
        thetas.append(theta if basis is None else moved_theta(term.structure, basis.C, theta))
        start = end
    beta = natural[start : start + problem.n_fixed]
    gamma = dtrtrs(problem.unscale, beta)[0] if len(beta) else beta
    return pack(problem, thetas, gamma, problem.own_phi(natural[start + problem.n_fixed :]))


def unpack(problem: GeneralizedProblem, psi: FloatArray) -> Parameters:
    """Return the parameters of an optimiser's vector."""
    thetas, factors = unpack_factors(problem, psi)
    k, p = problem.n_theta, problem.n_fixed
    phi = problem.family.phi_from_free(psi[k + p :]) if problem.n_phi else psi[k + p :]
    return Parameters(thetas, factors, spherical_rows(problem.system, factors), psi[k : k + p], phi)


def unpack_factors(
    problem: GeneralizedProblem, psi: FloatArray
) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """Return theta of each term and the factor T of each block."""
    thetas, start = [], 0
    for term in problem.terms:
        end = start + term.structure.n_theta
        thetas.append(term.structure.from_free(psi[start:end]))
        start = end
    by_term = [term.structure.factor(theta) for term, theta in zip(problem.terms, thetas, strict=True)]
    return tuple(thetas), tuple(block_factor(block, by_term) for block in problem.system.blocks)


def free_gradient(
    problem: GeneralizedProblem, psi: FloatArray, thetas: Sequence[FloatArray], dT: Sequence[FloatArray]
) -> FloatArray:
    """Return the gradient in the free covariance parameters from the derivatives in each block's factor."""
    by_term: dict[int, FloatArray] = {}
    for block, d in zip(problem.system.blocks, dT, strict=True):
        for k, place in term_slices(block):
            by_term[k] = d[place, place]
    parts, start = [], 0
    for k, (term, theta) in enumerate(zip(problem.terms, thetas, strict=True)):
        end = start + term.structure.n_theta
        dtheta = term.structure.pullback(theta, by_term[k])
        parts.append(term.structure.free_pullback(psi[start:end], dtheta))
        start = end
    return np.concatenate(parts)
