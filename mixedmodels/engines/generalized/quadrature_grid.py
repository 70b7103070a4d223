"""Nodes and weights for integrals against the standard normal density in one or more dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import comb

import numpy as np
from scipy.special import roots_hermitenorm

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError, ConvergenceError

# Largest dimension for the product rule: beyond it the number of nodes explodes and a sparse grid takes over.
LARGEST_PRODUCT_DIMENSION = 4
# Most nodes per dimension: nodes and weights are exact to 1e-12 there, and an integral that needs more is not
# to be had this way.
MOST_NODES = 1000
# Nodes per dimension tried in turn, each about half as many again as the one before.
SEQUENCE = (1, 3, 5, 9, 13, 19, 29, 43, 65, 99)
# Most points of a rule: beyond, the rule alone takes seconds to make and a level tens of megabytes.
MOST_POINTS = 1_000_000
# Size of the numbers of a recurrence beyond which they are scaled down.
_LARGE = 1e100


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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
        nodes, log_weights = product_rule((n_nodes,) * dimension)
        return Grid(nodes, log_weights, np.ones(len(nodes)))
    nodes, weights = sparse_rule(n_nodes, dimension)
    return Grid(nodes, np.log(np.abs(weights)), np.sign(weights))


def n_points(n_nodes: int, dimension: int) -> int:
    """Return how many points a rule has, of a sparse one those of the products it is made of."""
    if dimension <= LARGEST_PRODUCT_DIMENSION:
        return int(n_nodes**dimension)
    return comb(n_nodes + 2 * dimension - 2, 2 * dimension - 1)


def check_grid(n_nodes: int, dimension: int) -> None:
    """Raise ControlError if a rule has more nodes than it can be made with."""
    if n_nodes > MOST_NODES:
        raise ControlError(
            f"nAGQ is the number of quadrature nodes in each dimension, at most {MOST_NODES}, not {n_nodes}; "
            "nAGQ='auto' finds how many are enough."
        )
    if n_points(n_nodes, dimension) > MOST_POINTS:
        raise ControlError(
            f"nAGQ={n_nodes} for {dimension} random effects of a level takes more than {MOST_POINTS:,} "
            "points for every level; use fewer nodes, or nAGQ='auto', which finds how many are enough."
        )


def no_integral(grid: Grid) -> ConvergenceError:
    """Return the error of a level over which the rule gives nothing positive."""
    if (grid.signs > 0.0).all():
        return ConvergenceError("The likelihood of a level is not finite at any quadrature node.")
    return ConvergenceError(
        "The sparse quadrature grid gives a negative integral for a level; use fewer or more nodes."
    )


@lru_cache(maxsize=64)
def hermite_rule(n_nodes: int) -> tuple[FloatArray, FloatArray]:
    """Return nodes and logarithms of the weights of the Gauss-Hermite rule for the standard normal density.

    The weight at a node x is ``1 / (n p(x)^2)`` with p the orthonormal polynomial of degree n - 1 (Golub &
    Welsch 1969), from its recurrence scaled down on the way: weights of far nodes are too small for a double,
    and count all the same where adaptive quadrature multiplies them by ``exp(x^2 / 2)``.
    """
    nodes = roots_hermitenorm(n_nodes)[0]
    before, p, log_scale = np.zeros(n_nodes), np.ones(n_nodes), np.zeros(n_nodes)
    for k in range(1, n_nodes):
        before, p = p, (nodes * p - np.sqrt(k - 1) * before) / np.sqrt(k)
        size = np.maximum(np.abs(before), np.abs(p))
        size[size < _LARGE] = 1.0
        before, p, log_scale = before / size, p / size, log_scale + np.log(size)
    log_weights = -2.0 * (np.log(np.abs(p)) + log_scale)
    largest = log_weights.max()
    return nodes, log_weights - largest - np.log(np.exp(log_weights - largest).sum())


def product_rule(sizes: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Return the product of one-dimensional rules, nodes of shape (K, S) and logarithms of weights."""
    nodes, log_weights = zip(*(hermite_rule(size) for size in sizes), strict=True)
    points = np.meshgrid(*nodes, indexing="ij")
    sums = np.meshgrid(*log_weights, indexing="ij")
    return np.stack([p.ravel() for p in points], axis=1), np.sum([s.ravel() for s in sums], axis=0)


def sparse_rule(level: int, dimension: int) -> tuple[FloatArray, FloatArray]:
    """Return Smolyak's combination of product rules, equal nodes merged."""
    merged: dict[tuple[float, ...], float] = {}
    for total in range(max(0, level - dimension), level):
        sign = (-1.0) ** (level - 1 - total) * comb(dimension - 1, level - 1 - total)
        for extra in _compositions(total, dimension):
            nodes, log_weights = product_rule(tuple(1 + e for e in extra))
            for node, weight in zip(np.round(nodes, 14) + 0.0, np.exp(log_weights), strict=True):
                key = tuple(node)
                merged[key] = merged.get(key, 0.0) + sign * weight
    kept = {node: weight for node, weight in merged.items() if abs(weight) > 1e-16}
    return np.array(list(kept)), np.array(list(kept.values()))


def _compositions(total: int, parts: int) -> list[tuple[int, ...]]:
    """Return all tuples of `parts` non-negative integers with the given sum."""
    if parts == 1:
        return [(total,)]
    return [(first, *rest) for first in range(total + 1) for rest in _compositions(total - first, parts - 1)]
