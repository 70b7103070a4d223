"""The pictures to look at first: ``m.plot()``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.advice import advises
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.plots.binned_residuals import plot_binned_residuals
from mixedmodels.plots.canvas import check_axes, panels, shape_of
from mixedmodels.plots.caterpillar import plot_ranef
from mixedmodels.plots.residual_panels import composed, plot_qq, plot_residuals, plot_scale_location
from mixedmodels.plots.selection import columns_of

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Families whose residuals are near normal where the model is right.
CONTINUOUS = ("gaussian", "Gamma", "inverse.gaussian")
#: Panels of random effects, the first ones.
MOST_CATERPILLARS = 4


@advises
def plot(model: Fit, *, ax: Any = None) -> Picture:
    """Draw the pictures to look at first: residuals against the fit, their quantiles, the random effects.

    Residuals of 0/1 responses are drawn in bins; those of counts and trials have no normal quantiles, and
    their spread is drawn in place of them.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``, the tables of the panels below each other, named in column panel; and ``panels``.

    Raises
    ------
    NotAvailableError
        If matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"))
    >>> m.plot().data["panel"].unique().tolist()
    ['residuals', 'quantiles', '(Intercept) | Batch']
    """
    check_axes(ax)
    fit = a_fit(model, "plot")
    pictures = {**_of_residuals(fit), **_of_random_effects(fit)}
    host, inside = panels(ax, *shape_of(len(pictures)), 3.8, 3.4)
    return composed(host, inside, pictures)


def _of_residuals(fit: Fit) -> dict[str, Callable[..., Any]]:
    """Return the pictures of residuals that say something of a family."""
    family = fit.family()
    if family is None or family.name in CONTINUOUS:
        return {"residuals": partial(plot_residuals, fit), "quantiles": partial(plot_qq, fit)}
    if len(np.unique(fit.y)) <= 2:
        return {"binned residuals": partial(plot_binned_residuals, fit)}
    return {"residuals": partial(plot_residuals, fit), "scale-location": partial(plot_scale_location, fit)}


def _of_random_effects(fit: Fit) -> dict[str, Callable[..., Any]]:
    """Return a caterpillar for each of the first random coefficients."""
    if not isinstance(fit, MixedFit):
        return {}
    cells = [(group, column) for group in fit.ngrps() for column in columns_of(fit, group)]
    return {
        f"{column} | {group}": partial(plot_ranef, fit, group, columns=column, sort=columns_of(fit, group)[0])
        for group, column in cells[:MOST_CATERPILLARS]
    }
