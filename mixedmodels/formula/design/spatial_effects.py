"""Random effects over places: ``exp(x + y | g)``, one coefficient for each distinct place."""

from __future__ import annotations

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.covariance.by_correlation import ByCorrelation
from mixedmodels.covariance.residual.spatial import Exponential, Gaussian, Matern, Spatial
from mixedmodels.errors import DataError
from mixedmodels.formula.design.coding import MatrixRecipe
from mixedmodels.formula.design.correlation_structures import typical_distances
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.recipe import RandomRecipe
from mixedmodels.formula.evaluation.columns import Factor
from mixedmodels.formula.language.bars import Bar
from mixedmodels.formula.language.number_format import number_name

# The covariance between places is a dense matrix, whose factor costs their cube.
MOST_PLACES = 3000


def spatial_term(
    bar: Bar, group: str, recipe: MatrixRecipe, matrix: FloatArray, factor: Factor
) -> tuple[RandomTerm, RandomRecipe]:
    """Return the term of a process over places.

    Parameters
    ----------
    bar : Bar
        The term as it was written.
    group : str
        Name of its grouping factor.
    recipe : MatrixRecipe
        Of the coordinates.
    matrix : ndarray, shape (n, columns)
        The coordinates, with a column of ones where the left side of the bar did not take it out.
    factor : Factor
        The grouping factor.

    Raises
    ------
    DataError
        When a coordinate is no number, or there are too many places.
    """
    categorical = [variable.name for variable in recipe.variables if variable.levels is not None]
    selected = tuple(k for k, pattern in enumerate(recipe.assign) if pattern != 0)
    if categorical or not selected:
        what = f"{categorical[0]} is categorical" if categorical else "there is no coordinate"
        raise DataError(
            f"{bar.structure}({bar}) takes coordinates, which are numbers, left of the bar, and {what}; "
            f"write {bar.structure}(x + y | g), or toep(0 + f | g) over the levels of a factor"
        )
    coordinates = matrix[:, list(selected)]
    places = np.unique(coordinates, axis=0)
    if len(places) > MOST_PLACES:
        raise DataError(
            f"{bar.structure}({bar}) has {len(places)} places, more than {MOST_PLACES}, among all of which "
            f"there are correlations; round the coordinates, or correlate residuals within groups: residual="
            f"'{bar.structure}({bar})'"
        )
    term = RandomTerm(
        label=group,
        group=group,
        expression=str(bar),
        columns=tuple(f"({','.join(map(number_name, place))})" for place in places.tolist()),
        Z=indicators_of_places(coordinates, places),
        codes=factor.codes,
        levels=factor.levels,
        structure=ByCorrelation(_process(bar, places), tuple(map(tuple, places.tolist())), homogeneous=True),
    )
    return term, RandomRecipe(recipe, selected, bar.group, places)


def _process(bar: Bar, places: FloatArray) -> Spatial:
    """Return the correlation over places, whose search begins at distances as they are."""
    typical, nearest = typical_distances(np.zeros(len(places), dtype=np.intp), places)
    if bar.structure == "mat":
        return Matern(False, typical, nearest, bar.nu)
    return (Exponential if bar.structure == "exp" else Gaussian)(False, typical, nearest)


def indicators_of_places(coordinates: FloatArray, places: FloatArray) -> FloatArray:
    """Return one where a row is at a place, shape (n, S); NaN where a coordinate is missing.

    Raises
    ------
    DataError
        When a row is at none of them (named).
    """
    Z, unknown = _at_places(coordinates, places)
    if unknown.any():
        raise DataError(
            f"({', '.join(map(number_name, coordinates[int(np.argmax(unknown))].tolist()))}) is none of the "
            f"{len(places)} places of the fit; re_form=mm.NA goes without random effects, and predict() has "
            "the conditional mean at any place"
        )
    return Z


def interpolated_places(
    coordinates: FloatArray, places: FloatArray, process: ByCorrelation, theta: FloatArray
) -> FloatArray:
    """Return the same with the weights of the places in the conditional mean of the process at other ones."""
    Z, unknown = _at_places(coordinates, places)
    if unknown.any():
        distinct, of_row = np.unique(coordinates[unknown], axis=0, return_inverse=True)
        Z[unknown] = process.interpolation(theta, distinct)[of_row.ravel()]
    return Z


def _at_places(coordinates: FloatArray, places: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return indicators of places, and which rows are at none of them."""
    position = {place: k for k, place in enumerate(map(tuple, places.tolist()))}
    found = [position.get(place, -1) for place in map(tuple, coordinates.tolist())]
    codes = np.array(found, dtype=np.intp)
    missing = np.isnan(coordinates).any(axis=1)
    Z = np.zeros((len(codes), len(places)))
    known = np.flatnonzero(codes >= 0)
    Z[known, codes[known]] = 1.0
    Z[missing] = np.nan
    return Z, (codes < 0) & ~missing
