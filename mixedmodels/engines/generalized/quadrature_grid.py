"""Nodes and weights for integrals against the standard normal density in one or more dimensions."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from mixedmodels.arrays import FloatArray

# Largest dimension for the product rule: beyond it the number of nodes explodes and a sparse grid takes over.
LARGEST_PRODUCT_DIMENSION = 4


@dataclass(frozen=True, slots=True)
class Grid:
    """A quadrature rule for the standard normal density.

    Attributes
    ----------
    nodes : ndarray, shape (K, S)
        Nodes.
    log_weights : ndarray, shape (K,)
        Logarithms of the absolute weights; the weights sum to one.
    signs : ndarray, shape (K,)
        Signs of the weights; all one for a product rule.
    """

    nodes: FloatArray
    log_weights: FloatArray
    signs: FloatArray


@lru_cache(maxsize=64)
def quadrature_grid(n_nodes: int, dimension: int) -> Grid:
    """Return a Gauss-Hermite rule with `n_nodes` nodes per dimension.

    Up to four dimensions the product rule; beyond, Smolyak's sparse grid of that level, exact for
    polynomials of total degree ``2 n_nodes - 1`` (Heiss & Winschel 2008).

    Examples
    --------
    >>> grid = quadrature_grid(3, 1)
    >>> round(float(np.exp(grid.log_weights) @ grid.nodes[:, 0] ** 2), 12)
    1.0
    """
    if dimension <= LARGEST_PRODUCT_DIMENSION:
        nodes, weights = product_rule((n_nodes,) * dimension)
    else:
        nodes, weights = sparse_rule(n_nodes, dimension)
    return Grid(nodes, np.log(np.abs(weights)), np.sign(weights))


def hermite_rule(n_nodes: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of the Gauss-Hermite rule for the standard normal density."""
    nodes, weights = hermegauss(n_nodes)
    return nodes, weights / weights.sum()


def product_rule(sizes: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Return the product of one-dimensional rules, nodes of shape (K, S)."""
    rules = [hermite_rule(size) for size in sizes]
    nodes = np.array(list(itertools.product(*(rule[0] for rule in rules))))
    weights = np.array([np.prod(w) for w in itertools.product(*(rule[1] for rule in rules))])
    return nodes, weights


def sparse_rule(level: int, dimension: int) -> tuple[FloatArray, FloatArray]:
    """Return Smolyak's combination of product rules, equal nodes merged."""
    merged: dict[tuple[float, ...], float] = {}
    for total in range(max(0, level - dimension), level):
        sign = (-1.0) ** (level - 1 - total) * comb(dimension - 1, level - 1 - total)
        for extra in _compositions(total, dimension):
            nodes, weights = product_rule(tuple(1 + e for e in extra))
            for node, weight in zip(np.round(nodes, 14) + 0.0, weights, strict=True):
                key = tuple(node)
                merged[key] = merged.get(key, 0.0) + sign * weight
    kept = {node: weight for node, weight in merged.items() if abs(weight) > 1e-16}
    return np.array(list(kept)), np.array(list(kept.values()))


def _compositions(total: int, parts: int) -> list[tuple[int, ...]]:
    """Return all tuples of `parts` non-negative integers with the given sum."""
    if parts == 1:
        return [(total,)]
    return [(first, *rest) for first in range(total + 1) for rest in _compositions(total - first, parts - 1)]
