"""Caterpillar of the random effects, with intervals: ``plot_ranef(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import special

from mixedmodels.advice import advises, shown
from mixedmodels.control import one_of
from mixedmodels.diagnostics.required import a_mixed_fit
from mixedmodels.errors import ControlError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.wald import check_level
from mixedmodels.plots.canvas import ACCENT, INK, SHADE, TICK, check_axes, finished, panels, shape_of
from mixedmodels.plots.selection import chosen_cells, limits, random_effects

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Size of text that can still be read, in points.
SMALLEST_TEXT = 5.0
#: Inches for each level, and the least and the most for a panel.
PER_LEVEL, SHORTEST, TALLEST = 0.15, 2.6, 9.0


@advises
def plot_ranef(
    model: Fit,
    group: str | Sequence[str] | None = None,
    *,
    columns: str | Sequence[str] | None = None,
    level: float = 0.95,
    sort: str | bool = True,
    ax: Any = None,
) -> Picture:
    """Draw the conditional modes of the random effects with their intervals, level by level.

    Parameters
    ----------
    model : fitted model
        From lmer() or glmer().
    group : str or list of str, optional
        Grouping factors, by default all.
    columns : str or list of str, optional
        Random coefficients, by default all; a panel each.
    level : float
        Probability of the intervals, which are the mode and its conditional standard deviation.
    sort : bool or str
        Whether levels are in the order of their first coefficient, or of the one named; else in their own.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: grpvar, term, grp, condval and condsd as ``ranef(m).to_frame()`` has them, lower, upper
        and position, from the bottom; and ``panels``.

    Raises
    ------
    ControlError
        If the model has no such grouping factor or coefficient.
    NotAvailableError
        If the model has no random effects, or matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"))
    >>> mm.plot_ranef(m).data["grp"].iloc[-1]
    'E'
    """
    check_axes(ax)
    fit = a_mixed_fit(model, "plot_ranef")
    check_level(level)
    if not isinstance(sort, str):
        one_of("sort", sort, (True, False), ", or the name of a coefficient")
    modes, quantile = random_effects(fit), float(special.ndtri((1.0 + level) / 2.0))
    data = pd.concat(
        [
            _rows(modes[name], modes.condsd[name], name, chosen, sort, quantile)
            for name, chosen in chosen_cells(fit, group, columns).items()
        ],
        ignore_index=True,
    )
    cells = [((str(n), str(c)), rows) for (n, c), rows in data.groupby(["grpvar", "term"], sort=False)]
    height = height_for(max(len(rows) for _, rows in cells))
    host, inside = panels(ax, *shape_of(len(cells)), 3.4, height)
    previous = None
    for panel, ((name, column), rows) in zip(inside, cells, strict=False):
        still = bool((rows["condval"] == 0.0).all())
        _draw(panel, rows, labelled=name != previous or len(cells) > 3)
        panel.set_title(f"{column} | {name}" + ("\nestimated variance 0" if still else ""))
        panel.set_xlabel(f"conditional mode, {100 * level:g} % interval")
        previous = name
    return finished(host, data, inside)


def _rows(
    modes: pd.DataFrame,
    sds: pd.DataFrame,
    group: str,
    columns: Sequence[str],
    sort: str | bool,
    quantile: float,
) -> pd.DataFrame:
    """Return the marks of one grouping factor, the levels from the bottom to the top in each panel."""
    if isinstance(sort, str) and sort not in modes.columns:
        raise ControlError(f"sort={shown(sort)} is no random coefficient of {group}.")
    by = sort if isinstance(sort, str) else columns[0]
    # Levels in their own order are read from the top, as a table is.
    order = np.argsort(modes[by].to_numpy(), kind="stable") if sort else np.arange(len(modes))[::-1]
    parts = []
    for column in columns:
        value, sd = modes[column].to_numpy()[order], sds[column].to_numpy()[order]
        names = modes.index.to_numpy(dtype=object)[order]
        part = {"grpvar": group, "term": column, "grp": names, "condval": value, "condsd": sd}
        parts.append(pd.DataFrame({**part, **limits(value, sd, quantile), "position": np.arange(len(value))}))
    return pd.concat(parts, ignore_index=True)


def _draw(panel: Any, rows: pd.DataFrame, labelled: bool) -> None:
    """Draw one coefficient."""
    n, position = len(rows), rows["position"]
    is_apart = (rows["lower"] > 0.0) | (rows["upper"] < 0.0)
    size = float(np.clip(200.0 / n, 1.0, 4.5))
    panel.axvline(0.0, color=SHADE, linewidth=0.8, zorder=0)
    for part, shade in ((~is_apart, SHADE), (is_apart, ACCENT)):
        if part.any():
            at = position[part]
            panel.hlines(at, rows["lower"][part], rows["upper"][part], color=shade, linewidth=0.3 * size)
            panel.plot(rows["condval"][part], at, "o", color=INK if n <= 200 else shade, markersize=size)
    panel.set_ylim(-0.8, n - 0.2)
    if labelled:
        label_levels(panel, position, rows["grp"])
    else:
        panel.set_yticks([])


def height_for(n: int) -> float:
    """Return the height of a panel of n levels, one below the other, in inches."""
    return float(min(max(PER_LEVEL * n + 0.9, SHORTEST), TALLEST))


def label_levels(panel: Any, position: Any, names: pd.Series) -> None:
    """Write the names of levels along the vertical axis where there is room, else how many there are."""
    n = len(names)
    height = panel.get_window_extent().height / panel.figure.dpi * 72.0  # in points
    size = min(TICK, 0.9 * height / n)
    if size >= SMALLEST_TEXT:
        panel.set_yticks(position, names.astype(str))
        panel.tick_params(axis="y", labelsize=size)
    else:
        panel.set(yticks=[], ylabel=f"{n} levels, in order")
