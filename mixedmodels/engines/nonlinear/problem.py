"""What never changes while a nonlinear mixed model is fitted: rows, clusters, and where each effect stands.

The parameters of the mean are linear in fixed and random effects,

    phi_k(i) = sum_j X[i, j] beta_j + sum_s Z[i, s] b_s(i),

over the columns j and the coefficients s that belong to parameter k. Rows tied together by random effects are
a cluster; the effects of a cluster stand side by side, so that everything is done for all clusters at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypedDict

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.residual.batches import clusters_of_rows
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.nonlinear import MeanFunction
from mixedmodels.formula.design.theta import theta_slices


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class NonlinearProblem:
    """Everything about a nonlinear mixed model that does not change with its parameters.

    Attributes
    ----------
    y, weights : ndarray, shape (n,)
        Response and prior weights.
    mean : MeanFunction
        The mean, bound to the rows.
    X : ndarray, shape (n, p)
        Columns of the fixed effects.
    fixed_parameter : ndarray of int, shape (p,)
        Parameter that each fixed effect is part of.
    terms : tuple of RandomTerm
        Random-effects terms.
    Z : ndarray, shape (n, S)
        Columns of the coefficients of all terms, side by side.
    parameter : ndarray of int, shape (S,)
        Parameter that each coefficient is part of.
    cluster : ndarray of int, shape (n,)
        Cluster of each row.
    place : ndarray of int, shape (n, S)
        Place of each effect of a row among those of its cluster.
    shape : (int, int)
        Number of clusters C, and the most effects that one has, q.
    term_places : tuple of ndarray of int, each (levels, S_t)
        Where the effects of each term stand in an array of shape (C q,).
    spots : ndarray of int, shape (n S,)
        Where the effects of a row stand in an array of shape (C q,).
    pairs : ndarray of int, shape (n S S,)
        Where the products of two effects of a row stand in an array of shape (C q q,).
    columns : tuple of slice
        Columns of Z of each term.
    Z_products : ndarray, shape (S S, n)
        Products of two columns of Z.
    n : int
        Number of rows of positive weight.
    sum_log_weights : float
        Sum of the logarithms of the positive weights.
    """

    y: FloatArray
    weights: FloatArray
    mean: MeanFunction
    X: FloatArray
    fixed_parameter: IntArray
    terms: tuple[RandomTerm, ...]
    Z: FloatArray
    parameter: IntArray
    cluster: IntArray
    place: IntArray
    shape: tuple[int, int]
    term_places: tuple[IntArray, ...]
    spots: IntArray
    pairs: IntArray
    columns: tuple[slice, ...]
    Z_products: FloatArray
    n: int
    sum_log_weights: float

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the mean, K."""
        return len(self.mean.parameters)

    @property
    def n_theta(self) -> int:
        """Number of covariance parameters."""
        return sum(term.structure.n_theta for term in self.terms)

    def with_response(self, y: FloatArray) -> NonlinearProblem:
        """Return the same problem for another response."""
        return replace(self, y=y)

    def with_weighted(self, y: FloatArray, weights: FloatArray) -> NonlinearProblem:
        """Return the same problem for another response with weights of its own."""
        return replace(self, y=y, weights=weights, **_of_weights(weights))

    # Sums over the rows of each cluster.

    def summed(self, values: FloatArray) -> FloatArray:
        """Return the sums of one number a row over each cluster, shape (C,)."""
        return _floats(np.bincount(self.cluster, values, self.shape[0]))

    def vectors(self, values: FloatArray) -> FloatArray:
        """Return the sums of one number for each effect of a row, (n, S), by cluster, shape (C, q)."""
        C, q = self.shape
        return _floats(np.bincount(self.spots, values.ravel(), C * q)).reshape(C, q)

    def matrices(self, values: FloatArray) -> FloatArray:
        """Return the same of matrices, (n, S, S), by cluster, shape (C, q, q)."""
        C, q = self.shape
        return _floats(np.bincount(self.pairs, values.ravel(), C * q * q)).reshape(C, q, q)

    def at_rows(self, vectors: FloatArray) -> FloatArray:
        """Return the effects of each row, (n, S), from those by cluster (C, q)."""
        return vectors.ravel()[self.spots].reshape(self.place.shape)

    def pairs_at_rows(self, matrices: FloatArray) -> FloatArray:
        """Return the entries between the effects of each row, (n, S, S), of matrices (C, q, q)."""
        S = self.Z.shape[1]
        return matrices.ravel()[self.pairs].reshape(-1, S, S)

    def by_term(self, vectors: FloatArray) -> tuple[FloatArray, ...]:
        """Return effects by term, each (levels, S_t), from those by cluster."""
        return tuple(vectors.ravel()[places] for places in self.term_places)

    def by_cluster(self, by_term: Sequence[FloatArray]) -> FloatArray:
        """Return effects by cluster, (C, q), from those by term."""
        vectors = np.zeros(self.shape)
        for places, values in zip(self.term_places, by_term, strict=True):
            vectors.ravel()[places] = values
        return vectors

    # From effects to parameters and back.

    def factor(self, theta: FloatArray) -> FloatArray:
        """Return the factors T of all terms as one block-diagonal matrix, shape (S, S)."""
        T = np.zeros((self.Z.shape[1],) * 2)
        for term, own, part in zip(self.terms, self.columns, theta_slices(self.terms), strict=True):
            T[own, own] = term.structure.factor(theta[part])
        return T

    def factor_pullback(self, theta: FloatArray, dT: FloatArray) -> FloatArray:
        """Return the gradient in theta from that in the factor of :meth:`factor`."""
        parts = [
            term.structure.pullback(theta[part], dT[own, own])
            for term, own, part in zip(self.terms, self.columns, theta_slices(self.terms), strict=True)
        ]
        return np.concatenate([np.empty(0), *parts])

    def fixed_part(self, beta: FloatArray) -> FloatArray:
        """Return what the fixed effects give to each parameter, shape (K, n)."""
        phi = np.zeros((self.n_parameters, len(self.y)))
        for j, k in enumerate(self.fixed_parameter.tolist()):
            phi[k] += beta[j] * self.X[:, j]
        return phi

    def with_effects(self, fixed: FloatArray, b: FloatArray) -> FloatArray:
        """Return the parameters (K, n) with the random effects b (n, S) of the rows added."""
        phi = fixed.copy()
        for s, k in enumerate(self.parameter.tolist()):
            phi[k] += self.Z[:, s] * b[:, s]
        return phi


def nonlinear_problem(
    y: FloatArray,
    mean: MeanFunction,
    X: FloatArray,
    fixed_parameter: IntArray,
    terms: Sequence[RandomTerm],
    random_parameter: Sequence[IntArray],
    weights: FloatArray | None = None,
) -> NonlinearProblem:
    """Arrange the rows of a nonlinear mixed model.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Response.
    mean : MeanFunction
        The mean, bound to the rows.
    X : ndarray, shape (n, p)
        Columns of the fixed effects.
    fixed_parameter : ndarray of int, shape (p,)
        Parameter of the mean that each column belongs to.
    terms : sequence of RandomTerm
        Random-effects terms.
    random_parameter : sequence of ndarray of int, each (S,)
        Parameter that each coefficient of a term belongs to.
    weights : ndarray, shape (n,), optional
        Prior weights, by default one.
    """
    terms = tuple(terms)
    Z = np.column_stack([np.empty((len(y), 0)), *(term.Z for term in terms)])
    cluster = np.asarray(clusters_of_rows(np.arange(len(y)), terms))
    sizes, offsets = _places(terms, cluster)
    C, q = len(sizes), int(sizes.max(initial=0))
    place = np.column_stack(
        [np.empty((len(y), 0), dtype=np.intp), *(at[t.codes] for at, t in zip(offsets, terms, strict=True))]
    )
    of_level = tuple(_level_clusters(term, cluster) for term in terms)
    first = cluster[:, None] * q + place
    ends = np.cumsum([0, *(term.size for term in terms)])
    weights = np.ones(len(y)) if weights is None else weights
    return NonlinearProblem(
        y=y,
        weights=weights,
        mean=mean,
        X=X,
        fixed_parameter=fixed_parameter,
        terms=terms,
        Z=Z,
        parameter=np.concatenate([np.empty(0, dtype=np.intp), *random_parameter]).astype(np.intp),
        cluster=cluster,
        place=place,
        shape=(C, q),
        term_places=tuple(c[:, None] * q + at for c, at in zip(of_level, offsets, strict=True)),
        spots=first.ravel(),
        pairs=(first[:, :, None] * q + place[:, None, :]).ravel(),
        columns=tuple(slice(int(a), int(b)) for a, b in pairwise(ends)),
        Z_products=(Z.T[:, None, :] * Z.T[None, :, :]).reshape(Z.shape[1] ** 2, len(y)),
        **_of_weights(weights),
    )


def _floats(sums: Any) -> FloatArray:
    return np.asarray(sums, dtype=np.float64)


class _OfWeights(TypedDict):
    """What the prior weights alone say."""

    n: int
    sum_log_weights: float


def _of_weights(weights: FloatArray) -> _OfWeights:
    """Return the number of rows of positive weight, and the sum of their logarithms."""
    positive = weights[weights > 0.0]
    return {"n": len(positive), "sum_log_weights": float(np.log(positive).sum())}


def _level_clusters(term: RandomTerm, cluster: IntArray) -> IntArray:
    """Return the cluster of each level, shape (levels,)."""
    of_level = np.zeros(term.n_levels, dtype=np.intp)
    of_level[term.codes] = cluster
    return of_level


def _places(terms: tuple[RandomTerm, ...], cluster: IntArray) -> tuple[IntArray, list[IntArray]]:
    """Return the number of effects of each cluster, and the places of those of each level by term."""
    C = int(cluster.max(initial=-1)) + 1
    sizes, offsets = np.zeros(C, dtype=np.intp), []
    for term in terms:
        of_level = _level_clusters(term, cluster)
        order = np.argsort(of_level, kind="stable")
        counts = np.bincount(of_level, minlength=C)
        rank = np.empty(term.n_levels, dtype=np.intp)
        rank[order] = np.arange(term.n_levels) - np.repeat(np.cumsum(counts) - counts, counts)
        offsets.append((sizes[of_level] + rank * term.size)[:, None] + np.arange(term.size))
        sizes += counts * term.size
    return sizes, offsets
