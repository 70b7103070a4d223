"""Marginal means of a reference grid as linear functions of the fixed effects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.emmeans.averaging import Weights, average
from mixedmodels.inference.emmeans.grid import Grid
from mixedmodels.inference.emmeans.linear_functions import Basis, LinearFunctions
from mixedmodels.inference.emmeans.reference_grid import term_variables
from mixedmodels.inference.emmeans.response_scale import response_scale

COUNT_PART = "NOTE: Means are of the counts of the family, before what is done to their zeros"
MISLEADING = "NOTE: Results may be misleading due to involvement in interactions"
# What the one mean of all is called.
OVERALL = ("1", "overall")


def check_model(model: object, function: str) -> None:
    """Raise NotAvailableError, in the name of `function`, unless given a fitted model."""
    if not isinstance(model, Fit):
        raise NotAvailableError(f"{function}() needs a fitted model; {shown(model)} is none.")


def means_of_grid(
    model: Fit,
    grid: Grid,
    basis: Basis,
    factors: Sequence[str],
    by: Sequence[str],
    weights: Weights,
    also: Sequence[str] = (),
) -> LinearFunctions:
    """Return the means of a grid at the levels of `factors` and `by`.

    Parameters
    ----------
    model : Fit
        The fit that the grid is of.
    grid : Grid
        Its reference grid.
    basis : Basis
        Its fixed effects.
    factors, by : sequence of str
        Variables of the means.
    weights : {"equal", "proportional", "outer", "cells", "flat"} or array_like
        Weights of the cells averaged over.
    also : sequence of str
        Variables whose part in an interaction does not make the means misleading: that of a trend.
    """
    means = average(grid, [*factors, *by], weights)
    nests = {outer for name in by for outer in means.nesting.get(name, ())}
    by = [*(name for name in means.names if name in nests and name not in by), *by]
    order = [*(name for name in means.names if name not in by), *by]
    return LinearFunctions(
        labels=_labels(means, order),
        by=tuple(by),
        L=means.L,
        offset=means.offset,
        basis=basis,
        scale=response_scale(model),
        sigma=None if model.random else model.sigma(),
        averaged=means.averaged,
        notes=_notes(model, {*order, *also} if order else set()),
        nesting=means.nesting,
    )


def _notes(model: Fit, shown: set[str]) -> tuple[str, ...]:
    """Return what is to be said of means at the levels of the variables `shown`."""
    notes = []
    if shown and any(shown < term for term in term_variables(model)):
        notes.append(MISLEADING)
    family, mu = model.family(), np.ones(1)
    if family is not None and family.response_mean(mu, model.phi)[0] != 1.0:
        notes.append(COUNT_PART)
    return tuple(notes)


def _labels(means: Grid, order: Sequence[str]) -> pd.DataFrame:
    """Return the level of each mean of each variable, numbers as numbers."""
    if not order:
        return pd.DataFrame({OVERALL[0]: [OVERALL[1]]})
    columns = {}
    for name in order:
        values = means.levels[name]
        kind = object if any(isinstance(value, (str, bool)) for value in values) else float
        columns[name] = np.array(values, dtype=kind)[means.code(name)]
    return pd.DataFrame(columns)
