"""The path of the search: ``plot_convergence(m)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.diagnostics.required import a_mixed_fit
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.formula.design.theta import theta_names
from mixedmodels.plots.canvas import ACCENT, RULE, check_axes, finished, panels, shape_of

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Rise of the objective that is drawn as none: rounding.
SMALLEST_RISE = 1e-10
#: Parameters drawn, the first ones.
MOST_PARAMETERS = 11


@advises
def plot_convergence(model: Fit, *, ax: Any = None) -> Picture:
    """Draw how the search went: the objective above its end, and every covariance parameter, step by step.

    Parameters
    ----------
    model : fitted model
        From lmer() or glmer().
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: step, quantity ("objective" or the name of a parameter, all of them) and value; and
        ``panels``.

    Raises
    ------
    NotAvailableError
        If the model has no random effects, or matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.plot_convergence(m).data["quantity"].unique().tolist()
    ['objective', 'Subject.(Intercept)', 'Subject.Days.(Intercept)', 'Subject.Days']
    """
    check_axes(ax)
    fit = a_mixed_fit(model, "plot_convergence")
    data = _path(fit)
    drawn = ["objective", *theta_names(fit.random)[:MOST_PARAMETERS]]
    host, inside = panels(ax, *shape_of(len(drawn)), 3.0, 2.6)
    for panel, name in zip(inside, drawn, strict=False):
        own = data[data["quantity"] == name]
        value = own["value"].to_numpy()
        if name == "objective":
            rise = np.maximum(value - value[-1], SMALLEST_RISE)
            panel.semilogy(own["step"], rise, "o-", color=ACCENT, markersize=3.0, linewidth=1.0)
            panel.set(title=f"objective: {fit.convergence().verdict}", ylabel="above its end")
        else:
            panel.axhline(value[-1], color=RULE, linewidth=0.8, zorder=0)
            panel.plot(own["step"], value, "o-", color=ACCENT, markersize=3.0, linewidth=1.0)
            panel.set(title=name, ylabel=r"$\theta$")
        panel.set_xlabel("step")
        panel.xaxis.get_major_locator().set_params(integer=True)
    return finished(host, data, inside)


def _path(fit: MixedFit) -> pd.DataFrame:
    """Return every accepted point, one row a step and quantity."""
    path = fit.optimization.path
    names = [*theta_names(fit.random), *fit.design.x_names, *_family_names(fit)]
    parameters = np.array([np.atleast_1d(values) for values, _ in path], dtype=np.float64)
    columns = {"objective": np.array([value for _, value in path])}
    columns |= dict(zip(names, parameters.T, strict=False))
    wide = pd.DataFrame(columns).rename_axis("step").reset_index()
    return wide.melt("step", var_name="quantity", value_name="value")


def _family_names(fit: MixedFit) -> tuple[str, ...]:
    family = fit.family()
    return () if family is None else tuple(family.phi_names)
