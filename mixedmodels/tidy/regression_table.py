"""Several models side by side, as journals print them: ``regression_table([m1, m2])``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Literal, get_args, overload

from mixedmodels.advice import advises, shown
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.tidy.maketables import statistic_labels, statistics_of
from mixedmodels.tidy.tidy import check_fit

TextFormat = Literal["html", "latex", "markdown", "typst"]
ObjectFormat = Literal["docx", "gt"]
TableFormat = Literal[TextFormat, ObjectFormat]
#: What maketables calls the formats that it makes.
MAKETABLES = {"latex": "tex"}


@overload
def regression_table(
    models: Fit | Sequence[Fit],
    format: TextFormat = "html",
    names: Sequence[str] | None = None,
    *,
    coef_fmt: str = ...,
    caption: str | None = None,
    notes: str = "",
) -> str: ...
@overload
def regression_table(
    models: Fit | Sequence[Fit],
    format: ObjectFormat,
    names: Sequence[str] | None = None,
    *,
    coef_fmt: str = ...,
    caption: str | None = None,
    notes: str = "",
) -> Any: ...
@advises
def regression_table(
    models: Fit | Sequence[Fit],
    format: TableFormat = "html",
    names: Sequence[str] | None = None,
    *,
    coef_fmt: str = "b:.3f* \n (se:.3f)",
    caption: str | None = None,
    notes: str = "",
) -> Any:
    """Return models side by side: fixed effects, random effects and criteria, made by maketables.

    Parameters
    ----------
    models : fitted model or sequence of them
        One column each.
    format : {"html", "latex", "markdown", "docx", "typst", "gt"}
        A text, but for ``"docx"`` (a python-docx document) and ``"gt"`` (a great_tables table).
    names : sequence of str, optional
        Heads of the columns; by default (1), (2), ... under the name of the response.
    coef_fmt : str
        What a cell holds, as maketables writes it: b, se, t, p, ci95l, ci95u, and stars after ``*``.
    caption, notes : str, optional
        Text above and below.

    Returns
    -------
    str
        Or the object of the other package for ``"docx"`` and ``"gt"``.

    Raises
    ------
    ControlError
        If `format` is none of these, there is no model, or a wrong number of names.
    NotAvailableError
        If maketables is not installed, or a model has no fixed effects.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> sleepstudy = mm.load_dataset("sleepstudy")
    >>> m0 = mm.lmer("Reaction ~ Days + (1 | Subject)", sleepstudy)
    >>> m1 = mm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    >>> print(mm.regression_table([m0, m1], "markdown").splitlines()[3])
    | Days | 10.467***   (0.804) | 10.467***   (1.546) |
    """
    if isinstance(format, Fit):
        raise ControlError("regression_table() takes one list of models: write regression_table([m1, m2]).")
    one_of("format", format, get_args(TableFormat))
    chosen: list[Any] = list(models) if isinstance(models, (list, tuple)) else [models]
    for model in chosen:
        check_fit(model, "regression_table")
    if names is not None and not isinstance(names, (list, tuple)):
        raise ControlError(f"names must be a list of one text for each model, not {shown(names)}.")
    if not chosen or (names is not None and len(names) != len(chosen)):
        given = "no model" if not chosen else f"{len(names or ())} names for {len(chosen)} models"
        raise ControlError(f"regression_table() needs models, and one name for each; there is {given}.")
    _require_fixed_effects(chosen)
    keys: dict[str, object] = {}
    for model in chosen:
        keys |= statistics_of(model)
    last = ["sigma", "N", "ll", "aic", "bic"]
    order = [k for k in keys if k not in last] + [k for k in last if k in keys]
    table = _maketables().ETable(
        chosen, model_stats=order, model_stats_labels=statistic_labels(keys), coef_fmt=coef_fmt,
        model_heads=None if names is None else list(names), caption=caption, notes=notes,
    )  # fmt: skip
    return _markdown(table.df) if format == "markdown" else table.make(MAKETABLES.get(format, format))


def _require_fixed_effects(models: Sequence[Fit]) -> None:
    """Raise NotAvailableError if a model has no fixed effects, which are the rows of the table."""
    for model in models:
        if not len(model.beta):
            raise NotAvailableError(
                f"regression_table() prints fixed effects, of which {model.design.formula} has none; "
                "VarCorr() and tidy() have its random effects."
            )


def _maketables() -> Any:
    """Return the package maketables.

    Raises
    ------
    NotAvailableError
        If it is not installed.
    """
    try:
        return importlib.import_module("maketables")
    except ImportError as error:
        raise NotAvailableError(
            "regression_table() needs the package maketables: pip install 'mixedmodels[tables]'."
        ) from error


def _markdown(table: Any) -> str:
    """Return a table of maketables as a pipe table, its rows named by the last level of the index."""
    heads = [" ".join(map(str, c)) if isinstance(c, tuple) else str(c) for c in table.columns]
    names = [str(row[-1] if isinstance(row, tuple) else row) for row in table.index]
    lines = [["", *heads], ["---", *["---:"] * len(heads)]]
    lines += [[n, *map(str, cells)] for n, cells in zip(names, table.to_numpy(), strict=True)]
    return "\n".join(
        "| " + " | ".join(c.replace("\n", " ").replace("|", "\\|") for c in row) + " |" for row in lines
    )
