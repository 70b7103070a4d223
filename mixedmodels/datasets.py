"""Load the data sets that come with the package, with the types and level orders R gives them."""

from __future__ import annotations

import difflib
import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises
from mixedmodels.errors import DataError

FACTOR_TYPES = ("factor", "ordered")
INTEGER_LEVELS = "the integers that occur, in increasing order"


@advises
def load_dataset(name: str) -> pd.DataFrame:
    """Load a data set by name.

    Factors are Categoricals with their levels in R's order (the first is the reference level), ordered
    where R orders them; integers are int64, or float64 where values are missing; logicals are bool.

    Parameters
    ----------
    name : str
        A name listed by :func:`list_datasets`.

    Returns
    -------
    DataFrame
        A fresh copy: changing it changes nothing else. ``attrs["name"]`` is its name, which printed
        models repeat.

    Raises
    ------
    DataError
        If there is no such data set; the message lists the near matches.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> mm.load_dataset("cbpp")["period"].cat.categories.tolist()
    ['1', '2', '3', '4']
    """
    entry = _catalogue().get(name)
    if entry is None:
        raise DataError(_unknown(name))
    columns = {column["name"]: column for column in entry["columns"]}
    with (_folder() / entry["file"]).open("rb") as stream:
        frame = pd.read_csv(
            stream,
            compression="gzip" if entry["file"].endswith(".gz") else None,
            dtype={label: str for label, column in columns.items() if _is_text(column)},
            keep_default_na=False,
            na_values=[""],
        )
    data = pd.DataFrame({label: _typed(frame[label], column) for label, column in columns.items()})
    data.attrs["name"] = name
    return data


@advises
def list_datasets() -> pd.DataFrame:
    """List the data sets that :func:`load_dataset` knows.

    Returns
    -------
    DataFrame
        One row a data set: name, title, rows, columns (their names) and source.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> mm.list_datasets().query("name == 'cbpp'")["columns"].item()
    'herd, incidence, size, period'
    """
    return pd.DataFrame(
        [
            {
                "name": entry["name"],
                "title": entry["title"],
                "rows": entry["n_rows"],
                "columns": ", ".join(column["name"] for column in entry["columns"]),
                "source": entry["source"],
            }
            for entry in _catalogue().values()
        ]
    )


def _folder() -> Traversable:
    """Return the folder of the CSV files: inside an installed package, beside it in a checkout."""
    installed = files("mixedmodels") / "data"
    return installed if installed.is_dir() else files("mixedmodels") / ".." / "datasets"


@cache
def _catalogue() -> dict[str, dict[str, Any]]:
    """Return the entries of datasets.json by name."""
    entries = json.loads((_folder() / "datasets.json").read_text(encoding="utf-8"))["datasets"]
    return {entry["name"]: entry for entry in entries}


def _is_text(column: dict[str, Any]) -> bool:
    """Tell whether the column is to be read as text.

    All but integers are: labels, because "01" is not "1"; numbers, because converting the text rounds to
    the nearest double, which the reader's own conversion does not in every version of pandas.
    """
    return column["type"] not in ("integer", "logical") and column.get("levels_rule") != INTEGER_LEVELS


def _typed(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    """Return the column with the type that datasets.json states."""
    if column["type"] in FACTOR_TYPES:
        return _factor(values, column)
    if column["type"] == "logical" and not values.hasnans:
        return values.astype(bool)
    if column["type"] == "numeric":
        return values.astype(np.float64)
    return values


def _factor(values: pd.Series, column: dict[str, Any]) -> pd.Series:
    """Return a Categorical whose levels are those listed, or those that occur, sorted by value."""
    if "levels" in column:
        factor = pd.Categorical(values, categories=column["levels"])
    else:
        codes, uniques = pd.factorize(values, sort=True)
        factor = pd.Categorical.from_codes(codes, categories=pd.Index([str(level) for level in uniques]))
    return pd.Series(factor.set_ordered(column["type"] == "ordered"), index=values.index)


def _unknown(name: str) -> str:
    """Return the message for a name that is not in the catalogue."""
    by_lower = {known.lower(): known for known in _catalogue()}
    near = [by_lower[match] for match in difflib.get_close_matches(str(name).lower(), by_lower, n=5)]
    hint = f"Did you mean {', '.join(map(repr, near))}?" if near else "list_datasets() lists them all."
    return f"There is no data set {name!r}. {hint}"
