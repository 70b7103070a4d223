"""Axes to draw in: one, or panels in place of one; matplotlib is loaded when the first picture is drawn."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.errors import ControlError, NotAvailableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    class Picture(Axes):
        """Axes that know what they show.

        Attributes
        ----------
        data : DataFrame
            What is drawn, one row a mark.
        panels : tuple of Axes
            The axes that hold the marks: these, or several inside them.
        """

        data: pd.DataFrame
        panels: tuple[Axes, ...]


# Colours that the colour-blind tell apart (Okabe & Ito 2008), with marks and lines for print without colours.
INK, ACCENT, SHADE, RULE = "#1a1a1a", "#0072B2", "#9a9a9a", "#c8c8c8"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
LINES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKS = ("o", "s", "^", "D", "v", "P", "X")
#: Sizes of text, in points.
TITLE, LABEL, TICK = 10.0, 9.0, 8.0


def matplotlib(module: str) -> Any:
    """Return a module of matplotlib by its name within it.

    Raises
    ------
    NotAvailableError
        If matplotlib is not installed.
    """
    try:
        return importlib.import_module(f"matplotlib.{module}")
    except ImportError:
        raise NotAvailableError(
            "pictures need matplotlib, the extra 'plot': pip install 'mixedmodels[plot]'."
        ) from None


def check_axes(ax: Any) -> None:
    """Raise before anything is computed where nothing can be drawn.

    Raises
    ------
    ControlError
        If `ax` is no matplotlib Axes.
    NotAvailableError
        If matplotlib is not installed.
    """
    axes = matplotlib("axes").Axes
    if ax is not None and not isinstance(ax, axes):
        raise ControlError(
            f"ax must be one matplotlib Axes, such as that of plt.subplots(), not {shown(ax)}; several "
            "panels are drawn inside it."
        )


def picture(ax: Any, width: float = 5.0, height: float = 3.8) -> Any:
    """Return the axes to draw one panel in: those given, or new ones of a size in inches."""
    if ax is not None:
        return ax
    figure = matplotlib("pyplot").figure(figsize=(width, height), layout="constrained")
    return figure.add_subplot()


def panels(
    ax: Any, rows: int, columns: int, width: float = 3.2, height: float = 3.0, **sharing: Any
) -> tuple[Any, list[Any]]:
    """Return host axes and the panels inside them, row by row.

    Parameters
    ----------
    ax : Axes or None
        Axes whose place the panels take.
    rows, columns : int
        Their number.
    width, height : float
        Size of one panel in inches, where the figure is new.
    **sharing
        ``sharex`` and ``sharey``, as for ``plt.subplots()``; ``width_ratios``, ``height_ratios``.
    """
    host = picture(ax, columns * width, rows * height)
    if rows == columns == 1:
        return host, [host]
    place = host.get_subplotspec()
    if place is None:
        raise ControlError("ax must come from a grid, as plt.subplots() makes it, to hold several panels.")
    _blank(host)
    ratios = {name: sharing.pop(name) for name in ("width_ratios", "height_ratios") if name in sharing}
    grid = place.subgridspec(rows, columns, **ratios)
    return host, list(grid.subplots(squeeze=False, **sharing).ravel())


def _blank(host: Any) -> None:
    """Leave of host axes nothing but their title and labels."""
    host.patch.set_visible(False)
    host.set(xticks=[], yticks=[])
    for spine in host.spines.values():
        spine.set_visible(False)


def finished(host: Any, data: pd.DataFrame, inside: Sequence[Any] = ()) -> Picture:
    """Return host axes with what they show, the panels in the house style; spare panels are taken away."""
    shown_panels = tuple(inside) or (host,)
    used = tuple(panel for panel in shown_panels if panel.has_data() or panel.texts)
    for panel in shown_panels:
        if panel in used:
            _style(panel)
        else:
            panel.remove()
    drawn: Picture = host
    drawn.data, drawn.panels = data, used
    return drawn


def _style(panel: Any) -> None:
    panel.spines[["top", "right"]].set_visible(False)
    for axis in (panel.xaxis, panel.yaxis):
        if axis.get_tick_params().get("labelsize") is None:
            axis.set_tick_params(labelsize=TICK)
    panel.title.set_fontsize(TITLE)
    panel.xaxis.label.set_fontsize(LABEL)
    panel.yaxis.label.set_fontsize(LABEL)


def entitle(panel: Any, title: str) -> None:
    """Give several panels a title, from the left end of the first."""
    panel.set_title(title, loc="left", fontsize=TITLE)


def legend_beside(panel: Any, title: str | None = None, **options: Any) -> None:
    """Explain marks to the right of a panel, where they hide nothing."""
    panel.legend(
        title=title, fontsize=TICK, title_fontsize=TICK, frameon=False, loc="upper left",
        bbox_to_anchor=(1.0, 1.0), **options,
    )  # fmt: skip


def name_levels(panel: Any, places: Sequence[float], names: Sequence[Any]) -> None:
    """Name levels along the horizontal axis, aslant where they would overlap."""
    texts = [str(name) for name in names]
    width = panel.get_window_extent().width / panel.figure.dpi * 72.0  # in points
    is_tight = sum(map(len, texts)) * 0.7 * TICK > 0.9 * width
    panel.set_xticks(places, texts, rotation=40.0 if is_tight else 0.0, ha="right" if is_tight else "center")


def color(k: int) -> str:
    """Return the colour of the k-th group, from 0; they come round."""
    return COLORS[k % len(COLORS)]


def line(k: int) -> Any:
    """Return the line style of the k-th group."""
    return LINES[k % len(LINES)]


def mark(k: int) -> str:
    """Return the mark of the k-th group."""
    return MARKS[k % len(MARKS)]


def shape_of(n: int, most: int = 4) -> tuple[int, int]:
    """Return rows and columns for n panels, at most `most` side by side, few places being left empty.

    Examples
    --------
    >>> shape_of(3), shape_of(4), shape_of(6), shape_of(18, 6)
    ((1, 3), (2, 2), (2, 3), (3, 6))
    """
    if n <= min(3, most):
        return 1, n
    fewest = min(most, math.ceil(math.sqrt(n)))
    columns = min(range(fewest, most + 1), key=lambda c: math.ceil(n / c) * c - n)
    return math.ceil(n / columns), columns
