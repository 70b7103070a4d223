"""Fits of single groups beside their data, a panel each: ``plot_groups(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.required import a_mixed_fit
from mixedmodels.errors import ControlError, listed
from mixedmodels.fits.family_quantities import response_mean
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.linear_predictor import contribution
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.formula.design.new_data import random_matrices
from mixedmodels.inference.emmeans.reference_grid import reference_grid
from mixedmodels.missing import NA
from mixedmodels.plots.canvas import COLORS, INK, TICK, check_axes, finished, legend_beside, panels, shape_of
from mixedmodels.plots.selection import one_group, rows_used
from mixedmodels.plots.within_group import group_coefficients
from mixedmodels.prediction.predict import predict
from mixedmodels.prediction.request import PredictionRequest

if TYPE_CHECKING:
    from mixedmodels.plots.canvas import Picture

#: Panels drawn unless levels are named, and places along a line.
MOST_PANELS, PLACES = 24, 30
#: Colour, line and width of each kind of line.
STYLES = {
    "within group": (COLORS[2], ":", 1.4),
    "population": (COLORS[1], "--", 1.1),
    "mixed model": (COLORS[0], "-", 1.5),
}


@advises
def plot_groups(
    model: Fit,
    x: str | None = None,
    group: str | None = None,
    *,
    levels: Sequence[Any] | None = None,
    ax: Any = None,
) -> Picture:
    """Draw the data of groups with three fits: of the mixed model, the population, each group alone.

    Other variables stand, in each panel, at their mean or most frequent level in the group, and random
    effects of other grouping factors at zero. The dotted line of a linear model is least squares within the
    group.

    Parameters
    ----------
    model : fitted model
        From lmer() or glmer().
    x : str, optional
        The variable along each panel, by default a covariate that has random slopes, else the first one.
    group : str, optional
        A grouping factor, by default the first with two random coefficients or more.
    levels : sequence, optional
        Levels to draw; by default all up to 24; of more, 24 from the lowest to the highest random effect.
    ax : Axes, optional
        Where to draw; by default in a new figure.

    Returns
    -------
    Axes
        With ``data``: kind ("observed", "mixed model", "population", "within group"), grpvar, grp, the
        variable under its name, and y on the scale of the response; and ``panels``.

    Raises
    ------
    ControlError
        If the model has no such variable, grouping factor or level.
    NotAvailableError
        If the model has no random effects, or matplotlib is not installed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> len(mm.plot_groups(m).panels)
    18
    """
    check_axes(ax)
    fit = a_mixed_fit(model, "plot_groups")
    name, frame = one_group(fit, group, size=2), rows_used(fit)
    along = _variable(fit, name, x, frame)
    chosen = chosen_levels(fit, name, levels)
    lines = _Lines(fit, name, along, frame, chosen, _places(frame[along]), _covariates(fit, frame))
    data = lines.table()
    host, inside = panels(ax, *shape_of(len(chosen), 6), 1.7, 1.6, sharex=True, sharey=True)
    for panel, level in zip(inside, chosen, strict=False):
        draw_level(panel, data[data["grp"] == level], along, lines.places)
        panel.set_title(str(level))
    total = fit.ngrps()[name]
    note = f"{len(chosen)} of {total} levels\nof {name}" if len(chosen) < total else None
    label_panels(inside, len(chosen), (along, fit.design.response.text), note)
    drawn = finished(host, data, inside)
    for panel in drawn.panels:
        panel.title.set_fontsize(TICK)
    return drawn


def _variable(fit: MixedFit, group: str, x: Any, frame: pd.DataFrame) -> str:
    """Return the variable along the panels."""
    if x is not None:
        if not isinstance(x, str) or x not in frame:
            raise ControlError(
                f"plot_groups(): the model has no variable {shown(x)}; it has {listed(frame)}."
            )
        return x
    covariates = [name for name, values in reference_grid(fit).levels.items() if name in frame]
    numeric = [name for name in covariates if _is_number(frame[name])]
    slopes = {column for term in fit.random if term.group == group for column in term.columns}
    found = [name for name in numeric if name in slopes] or numeric or covariates
    if not found:
        raise ControlError("plot_groups() needs x, a variable to draw along: the model has no predictor.")
    return found[0]


def chosen_levels(fit: MixedFit, group: str, levels: Any) -> list[str]:
    """Return the levels drawn, in their own order."""
    k = next(k for k, term in enumerate(fit.random) if term.group == group)
    known = fit.random[k].levels
    if levels is not None:
        wanted = [str(level) for level in ([levels] if np.ndim(levels) == 0 else levels)]
        unknown = [level for level in wanted if level not in known]
        if not wanted:
            raise ControlError(f"levels names none of {group} to draw; it has {listed(known)}.")
        if unknown:
            raise ControlError(f"{group} has no level {listed(map(repr, unknown))}; it has {listed(known)}.")
        return wanted
    if len(known) <= MOST_PANELS:
        return list(known)
    order = np.argsort(fit.b[k][:, 0], kind="stable")
    return [known[i] for i in order[np.linspace(0, len(known) - 1, MOST_PANELS).round().astype(np.intp)]]


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines and points of the levels drawn.

    Attributes
    ----------
    fit : MixedFit
        The model.
    group, along : str
        Grouping factor, and variable along the panels.
    frame : DataFrame
        Variables of the model at the rows used.
    chosen : list of str
        Levels.
    places : dict or None
        Where the levels of a factor stand along the panels; None of a covariate.
    averaged : set of str
        The covariates, of which a mean makes sense: numbers that the formula makes no factors of.
    """

    fit: MixedFit
    group: str
    along: str
    frame: pd.DataFrame
    chosen: list[str]
    places: dict[Any, float] | None
    averaged: set[str]

    @property
    def own(self) -> list[int]:
        """The terms of the grouping factor."""
        return [k for k, term in enumerate(self.fit.random) if term.group == self.group]

    def table(self) -> pd.DataFrame:
        """Return all of them, one row a point."""
        term = self.fit.random[self.own[0]]
        place = {level: k for k, level in enumerate(term.levels)}
        rows_of = [np.flatnonzero(term.codes == place[level]) for level in self.chosen]
        rows = np.concatenate(rows_of)
        names = np.repeat(np.array(self.chosen, dtype=object), [len(own) for own in rows_of])
        grid = pd.concat([self._typical(own) for own in rows_of], ignore_index=True)
        n_places = len(grid) // len(self.chosen)
        along = np.repeat(np.array(self.chosen, dtype=object), n_places)
        parts = [self._part("observed", names, self.frame[self.along].iloc[rows], self.fit.y[rows])]
        for kind, y in self._heights(grid, self._offsets(rows_of, n_places)).items():
            parts.append(self._part(kind, along, grid[self.along], y))
        return pd.concat(parts, ignore_index=True)

    def _part(self, kind: str, levels: Any, x: pd.Series, y: FloatArray) -> pd.DataFrame:
        return pd.DataFrame(
            {"kind": kind, "grpvar": self.group, "grp": levels, self.along: x.to_numpy(), "y": y}
        )

    def _typical(self, rows: Any) -> pd.DataFrame:
        """Return rows of one level along the variable, all else as it mostly is in the level."""
        own, values = self.frame.iloc[rows], self.frame[self.along]
        if self.places is None:
            places = pd.Series(np.linspace(values.min(), values.max(), PLACES))
        else:
            places = pd.Series(list(self.places), dtype=values.dtype)
        typical = {}
        for name in own.columns.difference([self.along, self.fit.design.response.text], sort=False):
            column = own[name]
            if name in self.averaged:
                typical[name] = pd.Series(float(column.mean()), index=places.index)
            else:
                typical[name] = pd.Series([column.mode().iloc[0]] * len(places), dtype=column.dtype)
        return pd.DataFrame({**typical, self.along: places})

    def _offsets(self, rows_of: list[Any], places: int) -> FloatArray | None:
        """Return the mean of an offset given as an array in each level; other offsets are in the columns."""
        design = self.fit.design
        if not design.recipe.offset_is_array or design.offset is None:
            return None
        return np.repeat([design.offset[rows].mean() for rows in rows_of], places)

    def _heights(self, grid: pd.DataFrame, offset: FloatArray | None) -> dict[str, FloatArray]:
        """Return the lines on the scale of the response."""
        fit, family = self.fit, self.fit.family()
        population = np.asarray(predict(fit, grid, NA, PredictionRequest(offset=offset)))
        random = [random_matrices(fit.design, grid, fit.theta_values)[k] for k in self.own]
        conditional = population + sum(
            contribution(Z, codes, fit.b[k]) for k, (Z, codes) in zip(self.own, random, strict=True)
        )
        if family is not None:
            heights = {"population": population, "mixed model": conditional}
            return {kind: response_mean(family, eta, fit.phi) for kind, eta in heights.items()}
        found = group_coefficients(fit, self.group, "plot_groups")
        Z, codes = np.hstack([Z for Z, _ in random]), random[0][1]
        within = conditional + contribution(Z, codes, found.within - found.conditional)
        return {"within group": within, "population": population, "mixed model": conditional}


def _places(values: pd.Series) -> dict[Any, float] | None:
    """Return where the levels of a factor stand along the panels; None of a covariate."""
    if _is_number(values) and not pd.api.types.is_bool_dtype(values.dtype):
        return None
    return {level: float(k) for k, level in enumerate(_levels_of(values))}


def _covariates(fit: MixedFit, frame: pd.DataFrame) -> set[str]:
    """Return the numeric variables that the formula makes no factors of."""
    levels = reference_grid(fit).levels
    return {name for name, at in levels.items() if len(at) == 1 and name in frame and _is_number(frame[name])}


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values.dtype)


def _levels_of(values: pd.Series) -> list[Any]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return [level for level in values.cat.categories if (values == level).any()]
    return sorted(values.unique())


def draw_level(panel: Any, rows: pd.DataFrame, along: str, places: dict[Any, float] | None) -> None:
    """Draw one level."""
    x = rows[along] if places is None else rows[along].map(places).astype(float)
    is_point = rows["kind"] == "observed"
    panel.plot(x[is_point], rows["y"][is_point], "o", color=INK, markersize=2.6, alpha=0.8, label="observed")
    for kind, (shade, dashes, width) in STYLES.items():
        own = rows["kind"] == kind
        if rows["y"][own].notna().any():
            panel.plot(x[own], rows["y"][own], color=shade, linestyle=dashes, linewidth=width, label=kind)
    if places is not None:
        panel.set_xticks(list(places.values()), [str(level) for level in places])


def label_panels(inside: list[Any], n: int, axes: tuple[str, str], note: str | None) -> None:
    """Name the axes once, and explain the lines beside the panels."""
    rows, columns = shape_of(n, 6)
    inside[columns * ((rows - 1) // 2)].set_ylabel(axes[1])
    for k in range(max(n - columns, 0), n):
        inside[k].tick_params(labelbottom=True)
        if k >= (rows - 1) * columns:
            inside[k].set_xlabel(axes[0])
    explained = max(inside[:n], key=lambda panel: len(panel.get_legend_handles_labels()[0]))
    handles, labels = explained.get_legend_handles_labels()
    legend_beside(inside[min(columns, n) - 1], note, handles=handles, labels=labels)
