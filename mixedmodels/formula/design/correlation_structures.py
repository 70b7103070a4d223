"""Which correlation structure a name stands for, at positions like these."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
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
    Spatial,
    Spherical,
    pair_distances,
)
from mixedmodels.covariance.residual.structure import Positions, ResidualStructure
from mixedmodels.errors import DataError
from mixedmodels.formula.language.residual import ResidualCall

# Groups, and rows of one group, among which distances are looked at.
_MOST_SAMPLED = 300
# Distances for which the correlation at distance 1 is a number that says something.
_USUAL = (0.02, 1e4)
# Structures that are positive definite in spaces of few dimensions alone.
_MOST_DIMENSIONS = {"lin": 1, "spher": 3, "car1": 1}
_SPATIAL: Mapping[str, type[Spatial]] = {
    "exp": Exponential,
    "gau": Gaussian,
    "lin": Linear,
    "ratio": RationalQuadratic,
    "spher": Spherical,
}


def correlation_structure(
    call: ResidualCall, codes: IntArray, positions: Positions, levels: tuple[str, ...]
) -> ResidualStructure:
    """Return the correlation structure for positions like these."""
    base, options = call.kind.base, call.options
    if call.kind.by == "coordinates":
        return spatial_structure(call, codes, positions)
    if base == "cs":
        return CompoundSymmetric(int(np.bincount(codes).max()))
    if base == "toep":
        return Toeplitz(int(np.ptp(positions)))
    if base == "arma":
        return AutoregressiveMovingAverage(int(options["p"]), int(options["q"]))
    if base in ("us", "ante"):
        return Unstructured(len(levels)) if base == "us" else Antedependence(len(levels))
    return Autoregressive1() if base == "ar1" else Independent()


def spatial_structure(call: ResidualCall, codes: IntArray, positions: FloatArray) -> ResidualStructure:
    """Return the structure of a process over coordinates, whose search begins at distances as they are.

    Raises
    ------
    DataError
        When it is none in a space of so many dimensions.
    """
    base, d = call.kind.base, positions.shape[1]
    most = _MOST_DIMENSIONS.get(base, d)
    if d > most:
        raise DataError(
            f"{base}() is no correlation over {d} coordinates, only over {most}: matrices of it need not be "
            "positive definite; exp(), gau(), mat() and ratio() take any number"
        )
    typical, nearest = typical_distances(codes, positions)
    if base in ("car1", "pow"):
        unit = 1.0 if _USUAL[0] < typical < _USUAL[1] else 10.0 ** np.floor(np.log10(typical))
        return (ContinuousAutoregressive if base == "car1" else PowerOfDistance)(typical, unit)
    nugget = bool(call.options["nugget"])
    if base == "mat":
        return Matern(nugget, typical, nearest, float(call.options["nu"]))
    if base == "exp" and d == 1 and not nugget:
        return ExponentialSeries(nugget, typical, nearest)
    return _SPATIAL[base](nugget, typical, nearest)


def typical_distances(codes: IntArray, positions: FloatArray) -> tuple[float, float]:
    """Return the median distance between rows of one group, and the smallest that is not zero.

    Of many groups some are looked at, and of long ones some rows: then the smallest distance over several
    coordinates is not known, and zero.
    """
    order = np.lexsort([*positions.T[::-1], codes])
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    several = np.flatnonzero(sizes > 1)
    found = [np.zeros(0)]
    for group in several[:: _stride(len(several))].tolist():
        rows = order[starts[group] : starts[group] + sizes[group]]
        found.append(pair_distances(positions[rows[:: _stride(len(rows))]][None])[0])
    apart = np.concatenate(found)
    typical = float(np.median(apart[apart > 0.0])) if np.any(apart > 0.0) else 1.0
    if positions.shape[1] == 1:
        apart = np.diff(positions[order, 0])[np.diff(codes[order]) == 0]
    elif max(len(several), int(sizes.max())) > _MOST_SAMPLED:
        return typical, 0.0
    return typical, float(np.min(apart[apart > 0.0], initial=np.inf)) if np.any(apart > 0.0) else 0.0


def _stride(count: int) -> int:
    """Return every how many of so many are looked at."""
    return max(-(-count // _MOST_SAMPLED), 1)
