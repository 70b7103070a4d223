"""Clusters: rows that are independent of all rows of other clusters, given the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import ControlError, DataError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import RandomTerm


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which cluster each row belongs to.

    Attributes
    ----------
    name : str
        What the clusters are, for messages; empty where each row is its own.
    codes : ndarray of int, shape (n,)
        Cluster of each row, in ``range(size)``.
    labels : tuple
        Names of the clusters.
    """

    name: str
    codes: IntArray
    labels: tuple[Any, ...]

    @property
    def size(self) -> int:
        """Number of clusters."""
        return len(self.labels)

    def rows(self) -> list[IntArray]:
        """Return the rows of each cluster."""
        order = np.argsort(self.codes, kind="stable")
        ends = np.cumsum(np.bincount(self.codes, minlength=self.size))
        return np.split(order, ends[:-1])

    def counted(self, weights: FloatArray) -> int:
        """Return how many clusters have a row of positive weight: the others say nothing."""
        return len(np.unique(self.codes[weights > 0.0]))


def clusters_of(fit: Fit, cluster: Any = None) -> Clusters:
    """Return the clusters of the rows of a fit.

    Parameters
    ----------
    fit : Fit
        The fit.
    cluster : str or array_like of shape (n,), optional
        Name of a grouping factor or of a column of the data, or a value for each row used (or each input
        row). By default the grouping factor that all others are nested in; each row by itself where the
        model has no random effects.

    Raises
    ------
    ControlError
        If there is no such factor or column.
    DataError
        If the values do not fit the rows, or there is only one cluster.
    NotAvailableError
        If random effects are shared between clusters, which then are not independent.
    """
    found = _outermost(fit) if cluster is None else _named(fit, cluster)
    if found.counted(fit.prior_weights) < 2:
        weighed = " with rows of positive weight" if found.size > 1 else ""
        raise DataError(f"there is only one cluster{weighed} ({found.name}); two at the least are needed.")
    for term in fit.random:
        if term.relationship is not None:
            raise NotAvailableError(
                f"the levels of {term.group} are related to each other by a covariance that was given: there "
                "are no independent clusters."
            )
        if _splits(term.codes.astype(np.intp), found.codes):
            raise NotAvailableError(
                f"random effects of {term.group} are shared between clusters of {found.name}: rows of "
                f"different clusters are not independent. Give a cluster that {term.group} is nested in."
            )
    residual = fit.design.residual
    if residual is not None and residual.structure.n_parameters and _splits(residual.codes, found.codes):
        raise NotAvailableError(
            f"residuals are correlated within {residual.group_name or 'all rows'}, across clusters of "
            f"{found.name}: rows of different clusters are not independent. Give a cluster that "
            f"{residual.group_name or 'the rows'} are nested in."
        )
    return found


def relative_covariance(
    fit: Fit, factors: Sequence[FloatArray], weights: FloatArray, rows: IntArray
) -> FloatArray:
    """Return the covariance of the responses at some rows over sigma^2, dense, shape (m, m).

    Parameters
    ----------
    fit : Fit
        The fit.
    factors : sequence of ndarray, each (S, S)
        T of each random-effects term.
    weights : ndarray, shape (n,)
        Weights of the rows, positive at `rows`.
    rows : ndarray of int, shape (m,)
        Which rows.
    """
    V = fit.residual_covariance(weights, rows)
    for term, T in zip(fit.random, factors, strict=True):
        ZT = term.Z[rows] @ T
        V += (ZT @ ZT.T) * level_covariance(term, rows)
    return V


def level_covariance(term: RandomTerm, rows: IntArray) -> FloatArray:
    """Return the covariance between the levels of some rows, 1 within independent ones, shape (m, m)."""
    codes = term.codes[rows]
    if term.relationship is None:
        return np.equal.outer(codes, codes).astype(np.float64)
    L = term.relationship[codes]
    return np.asarray(L @ L.T)


def rows_by(fit: Fit, groups: Any, argument: str = "groups") -> Clusters:
    """Return the rows of a fit by group, whether or not random effects are shared between groups.

    Parameters
    ----------
    fit : Fit
        The fit.
    groups : None, str, list of str, or array_like of shape (n,)
        Each row by itself; a grouping factor or a column of the data; combinations of several (``"a:b"``
        too); or a value for each row used (or each input row).
    argument : str
        What messages call it.

    Raises
    ------
    ControlError
        If there is no such factor or column.
    DataError
        If the values do not fit the rows, or there is only one group.
    """
    if groups is None:
        return Clusters("", np.arange(len(fit.y)), tuple(fit.design.index))
    found = _combined(fit, groups, argument)
    if found.size < 2:
        raise DataError(f"{argument} {found.name} is only one group; two at the least are needed.")
    return found


def _combined(fit: Fit, groups: Any, argument: str) -> Clusters:
    """Return one group for each combination of levels that occurs."""
    names = groups
    if isinstance(groups, str):
        is_one = ":" not in groups or any(term.group == groups for term in fit.random)
        names = None if is_one else groups.split(":")
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return _named(fit, groups, argument)
    if not names:
        raise ControlError(f"{argument} names nothing; leave it out for each row by itself.")
    parts = [_named(fit, name, argument) for name in names]
    first, *others = parts
    codes = first.codes
    for part in others:
        codes = codes * part.size + part.codes
    keys, codes = np.unique(codes, return_inverse=True)
    labels = tuple(":".join(_levels_of_key(key, parts)) for key in keys.tolist())
    return Clusters(":".join(names), codes.ravel(), labels)


def _levels_of_key(key: int, parts: list[Clusters]) -> list[str]:
    """Return the labels that a combination was numbered from."""
    levels: list[str] = []
    for part in reversed(parts):
        key, level = divmod(key, part.size)
        levels.insert(0, str(part.labels[level]))
    return levels


def _splits(codes: IntArray, clusters: IntArray) -> bool:
    """Tell whether a level occurs in more than one cluster."""
    first = np.full(int(codes.max(initial=-1)) + 1, -1, dtype=np.intp)
    first[codes] = clusters
    return bool((first[codes] != clusters).any())


def _outermost(fit: Fit) -> Clusters:
    residual = fit.design.residual
    if not fit.random and residual is not None:
        return Clusters(residual.group_name, residual.codes, residual.groups)
    if not fit.random:
        n = len(fit.y)
        return Clusters("", np.arange(n), tuple(fit.design.index))
    term = min(fit.random, key=lambda term: term.n_levels)
    return Clusters(term.group, term.codes.astype(np.intp), tuple(term.levels))


def _named(fit: Fit, cluster: Any, argument: str = "cluster") -> Clusters:
    if not isinstance(cluster, str):
        return _factorized("the values given", _values(fit, cluster, argument), argument)
    for term in fit.random:
        if term.group == cluster:
            return Clusters(cluster, term.codes.astype(np.intp), tuple(term.levels))
    if fit.data is None or cluster not in fit.data:
        groups = ", ".join(dict.fromkeys(term.group for term in fit.random))
        known = f" Grouping factors of the model: {groups}." if groups else ""
        raise ControlError(
            f"{argument} {shown(cluster)} is neither a grouping factor nor a column of the data.{known}"
        )
    column = fit.data[cluster]
    values = (
        column.loc[fit.design.index] if isinstance(column, pd.Series) and column.index.is_unique else column
    )
    return _factorized(cluster, _values(fit, values, argument), argument)


def _values(fit: Fit, values: Any, argument: str) -> Any:
    """Return one value for each row used, of values for those rows or for all input rows."""
    array = np.asarray(values)
    missing = fit.design.missing
    if array.ndim == 1 and len(array) == missing.n_input != len(fit.y):
        array = array[missing.kept]
    if array.ndim != 1 or len(array) != len(fit.y):
        raise DataError(f"{argument} must give one value for each of the {len(fit.y)} rows used.")
    return array


def _factorized(name: str, values: Any, argument: str) -> Clusters:
    codes, labels = pd.factorize(values, sort=False)
    if (codes < 0).any():
        raise DataError(f"{argument} {name} has missing values at {int((codes < 0).sum())} rows.")
    return Clusters(name, np.asarray(codes, dtype=np.intp), tuple(labels))
