"""Coefficients of several models beside each other, with intervals: ``plot_coefs(m1, m2)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import is_list_like

from mixedmodels.advice import advises, shown
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.fixed_effects import Ddf
from mixedmodels.plots.canvas import (
    SHADE,
    check_axes,
    color,
    finished,
    legend_beside,
    mark,
    matplotlib,
    panels,
)
from mixedmodels.tidy.tidy import check_fit, tidy

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Height that the intervals of one coefficient share.
DODGE = 0.6


@advises
def plot_coefs(
    *models: Fit,
    names: Sequence[str] | None = None,
    intercept: bool = False,
    level: float = 0.95,
    ddf: Ddf = "default",
    exponentiate: bool = False,
    ax: Any = None,
) -> Picture:
    """Draw the fixed effects of one or several models with their confidence intervals.

    Parameters
    ----------
    *models : fitted models
        Of any kind.
    names : sequence of str, optional
        What the models are called, by default ``model 1``, ``model 2``.
    intercept : bool
        Whether to draw the intercept, which often has another size.
    level : float
        Confidence level.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Degrees of freedom of the intervals.
    exponentiate : bool
        Whether to draw odds ratios, or ratios of rates, on a logarithmic scale.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: model, term, estimate, std.error, conf.low and conf.high, as ``tidy(m)`` has them; and
        ``panels``.

    Raises
    ------
    ControlError
        If there is no model, or not a name for each.
    NotAvailableError
        If matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.load_dataset("sleepstudy")
    >>> m1 = mm.lmer("Reaction ~ Days + (1 | Subject)", data)
    >>> m2 = mm.lmer("Reaction ~ Days + (Days | Subject)", data)
    >>> mm.plot_coefs(m1, m2, names=["intercepts", "slopes"]).data["std.error"].round(3).tolist()
    [0.804, 1.546]
    """
    check_axes(ax)
    one_of("intercept", intercept, (True, False))
    labels = _names(models, names)
    tables = [
        tidy(model, "fixed", conf_int=True, conf_level=level, ddf=ddf, exponentiate=exponentiate).assign(
            model=name
        )
        for model, name in zip(models, labels, strict=True)
    ]
    data = pd.concat(tables, ignore_index=True)
    if not intercept and (data["term"] != "(Intercept)").any():
        data = data[data["term"] != "(Intercept)"].reset_index(drop=True)
    data = data[["model", "term", "estimate", "std.error", "conf.low", "conf.high"]]
    terms = list(dict.fromkeys(data["term"]))
    height = 0.9 + len(terms) * max(0.3, 0.16 * len(models))
    host, _ = panels(ax, 1, 1, 5.4, min(max(height, 2.0), 10.0))
    host.axvline(1.0 if exponentiate else 0.0, color=SHADE, linewidth=0.9, zorder=0)
    for k, name in enumerate(labels):
        own = data[data["model"] == name]
        shift = DODGE * ((k + 0.5) / len(models) - 0.5)
        at = own["term"].map({term: position + shift for position, term in enumerate(terms)})
        half = [own["estimate"] - own["conf.low"], own["conf.high"] - own["estimate"]]
        host.errorbar(
            own["estimate"],
            at,
            xerr=half,
            fmt=mark(k),
            color=color(k),
            markersize=4.5,
            linewidth=1.4,
            label=name,
        )
    host.set_yticks(np.arange(len(terms)), terms)
    host.set_ylim(len(terms) - 0.5, -0.5)
    if exponentiate:
        host.set_xscale("log")
        ticker = matplotlib("ticker")
        host.xaxis.set_minor_formatter(ticker.NullFormatter())
        host.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        host.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    host.set_xlabel(f"{'ratio' if exponentiate else 'estimate'}, {100 * level:g} % interval")
    if len(models) > 1:
        legend_beside(host)
    return finished(host, data)


def _names(models: Sequence[Any], names: Any) -> list[str]:
    """Return a name for each model."""
    if not models:
        raise ControlError("plot_coefs() needs at least one fitted model, as in plot_coefs(m).")
    for model in models:
        check_fit(model, "plot_coefs")
    found = [f"model {k + 1}" for k in range(len(models))] if names is None else names
    if not is_list_like(found) or len(found) != len(models) or len(set(found)) < len(found):
        raise ControlError(
            f"names must have a name of its own for each of {len(models)} models, not {shown(names)}."
        )
    return [str(name) for name in found]
