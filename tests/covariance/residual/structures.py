"""Structures of every kind with positions that they can have, for the tests."""

import numpy as np

from mixedmodels.covariance.residual.by_lag import AutoregressiveMovingAverage, Toeplitz
from mixedmodels.covariance.residual.by_levels import Antedependence, Unstructured
from mixedmodels.covariance.residual.one_correlation import Autoregressive1, CompoundSymmetric, Independent
from mixedmodels.covariance.residual.spatial import (
    ContinuousAutoregressive,
    Exponential,
    ExponentialSeries,
    Gaussian,
    Linear,
    Matern,
    PowerOfDistance,
    RationalQuadratic,
    Spherical,
)

BY_LEVELS = [
    Independent(),
    CompoundSymmetric(6),
    Autoregressive1(),
    Unstructured(6),
    Antedependence(6),
    Toeplitz(5),
    AutoregressiveMovingAverage(1, 0),
    AutoregressiveMovingAverage(0, 2),
    AutoregressiveMovingAverage(2, 1),
    AutoregressiveMovingAverage(1, 3),
]
BY_DISTANCE = [
    ContinuousAutoregressive(0.8),
    PowerOfDistance(1.4),
    ExponentialSeries(False, 0.7, 0.02),
    Exponential(True, 0.7, 0.02),
    Gaussian(True, 0.7, 0.02),
    Linear(False, 0.7, 0.02),
    Linear(True, 0.7, 0.02),
    RationalQuadratic(False, 0.7, 0.02),
    RationalQuadratic(True, 0.7, 0.02),
    Spherical(False, 0.7, 0.02),
    Spherical(True, 0.7, 0.02),
    Matern(False, 0.7, 0.02, 1.5),
    Matern(True, 0.7, 0.02),
    Matern(False, 0.7, 0.02),
]
ALL = BY_LEVELS + BY_DISTANCE
# One coordinate alone, as their classes say.
ONE_COORDINATE = (ContinuousAutoregressive, ExponentialSeries, Linear)


def named(structure):
    """Return what a test of a structure is called."""
    return repr(structure).replace(" ", "")


def random_positions(structure, rng, K, T):
    """Return sorted positions of K groups of T rows, with gaps."""
    if not structure.uses_coordinates:
        return np.array([np.sort(rng.choice(6, T, replace=False)) for _ in range(K)])
    d = 1 if isinstance(structure, ONE_COORDINATE) else int(rng.integers(1, 4))
    first = np.cumsum(rng.uniform(0.05, 1.0, (K, T)), axis=1)
    return np.dstack([first] + [rng.normal(size=(K, T)) for _ in range(d - 1)])


def random_rho(structure, rng, spread=1.0):
    """Return parameters at a random place of the free coordinates."""
    return structure.from_free(
        structure.to_free(structure.start()) + rng.normal(0, spread, structure.n_parameters)
    )
