"""Larger data of the same design: new levels copy the rows of old ones, cells get more rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import IntArray
from mixedmodels.control import whole_number
from mixedmodels.errors import ControlError, DataError, listed
from mixedmodels.specify import as_frame

#: Steps of an evenly spaced column are equal within this share.
EVEN = 1e-8
_NUMBERED = re.compile(r"(.*?)(\d+)")


@advises
def extend(
    data: Any,
    levels: Mapping[str, Any] | None = None,
    *,
    within: Mapping[Any, int] | None = None,
    nested: str | Sequence[str] = (),
    **columns: Any,
) -> pd.DataFrame:
    """Return data of the same design with more, or fewer, levels or rows.

    A new level has the rows of an old one under a new name. Old levels are copied so that any number of them
    keeps the balance of what differs between levels: of treatments given to whole subjects, for one.

    Parameters
    ----------
    data : DataFrame or other table
        The design, one row an observation.
    levels, **columns : mapping, or by name
        Column -> number of levels, ``extend(data, subject=60)``, or the values themselves. Evenly spaced
        numbers go on with their step, labels with their numbers (s01, s02, ...).
    within : mapping, optional
        Column, or several in a tuple or joined by "+", -> rows in each cell: ``{"subject + day": 3}``.
    nested : str or sequence of str
        Columns whose levels belong to one level of the column extended, such as classes of a school: those
        of copies get new names.

    Returns
    -------
    DataFrame
        With rows numbered from 0.

    Raises
    ------
    DataError
        If a column is missing, or its numbers are not evenly spaced.
    ControlError
        If a number of levels or rows is not a whole number, 1 or more.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> sleep = mm.load_dataset("sleepstudy")
    >>> larger = mm.extend(sleep, Subject=40)
    >>> len(larger), larger["Subject"].nunique(), mm.extend(sleep, within={"Subject": 20}).shape[0]
    (400, 40, 360)
    """
    frame = as_frame(data).reset_index(drop=True)
    if levels is not None and not isinstance(levels, Mapping):
        raise ControlError(f"levels must be a dict such as {{'subject': 60}}, not {shown(levels)}.")
    inner = _nested_columns(nested)
    for column, wanted in {**(levels or {}), **columns}.items():
        frame = _along(frame, str(column), wanted, inner)
    if within is not None and not isinstance(within, Mapping):
        raise ControlError(f"within must be a dict such as {{'subject': 10}}, not {shown(within)}.")
    for cell, count in (within or {}).items():
        frame = _within(frame, cell_columns(cell), whole_number("the number of rows within", count, 1))
    return frame


def _nested_columns(nested: Any) -> tuple[str, ...]:
    """Return the names of the columns that are renamed within copies.

    Raises
    ------
    ControlError
        If they are not names.
    """
    names = (nested,) if isinstance(nested, str) else nested
    if isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise ControlError(f"nested must be the name of a column, or a list of them, not {shown(nested)}.")


def cell_columns(cell: Any) -> tuple[str, ...]:
    """Return the columns whose combinations are cells: ``"a + b"``, or a tuple."""
    return tuple(name.strip() for name in re.split("[+:]", cell)) if isinstance(cell, str) else tuple(cell)


def _along(frame: pd.DataFrame, column: str, wanted: Any, nested: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a table with another set of levels of a column."""
    _require(frame, (column, *nested))
    codes, old = _levels(frame[column])
    order = balanced_order(frame, column, codes)
    if isinstance(wanted, (str, bytes, Mapping)) or np.ndim(wanted) != 1:
        n = whole_number(f"the number of levels of {column}", wanted, 1)
        names = more_levels(old, n, column) if n > len(old) else old
    else:
        names = list(wanted)
        n = len(names)
        if not n or len(set(names)) < n:
            raise ControlError(f"the levels of {column} must be different from each other, and at least one.")
    # The first levels keep their place and name; with fewer of them those stay that keep the balance.
    sources = [order[k % len(old)] for k in range(n)]
    if isinstance(wanted, (int, np.integer)):
        chosen = sorted(sources[: len(old)]) + sources[len(old) :]
        names = [old[k] for k in chosen[: len(old)]] + names[len(old) :]
        sources = chosen
    rows_of = [np.flatnonzero(codes == k) for k in range(len(old))]
    rows = np.concatenate([rows_of[k] for k in sources])
    copy = np.repeat(np.arange(n), [len(rows_of[k]) for k in sources])
    larger = frame.iloc[rows].reset_index(drop=True)
    larger[column] = _column(frame[column], names, copy)
    for inner in nested:
        larger[inner] = _renamed(larger[inner], copy // len(old), inner)
    return larger


def _levels(values: pd.Series) -> tuple[IntArray, list[Any]]:
    """Return the level of each row, and the levels in their order (numbers by size).

    Raises
    ------
    DataError
        If a value is missing.
    """
    if values.isna().any():
        raise DataError(f"{values.name} has missing values, which belong to no level; leave these rows out.")
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.cat.remove_unused_categories()
        return np.asarray(values.cat.codes, dtype=np.intp), values.cat.categories.tolist()
    codes, levels = pd.factorize(values, sort=pd.api.types.is_numeric_dtype(values.dtype))
    return np.asarray(codes, dtype=np.intp), levels.tolist()


def balanced_order(frame: pd.DataFrame, column: str, codes: IntArray) -> list[int]:
    """Return the levels of a column in an order of which any first part is balanced.

    Balanced in the columns that are constant within levels and shared by several: each combination of their
    values is met as often as its share of all levels allows.
    """
    L = int(codes.max()) + 1
    first = pd.Series(codes).drop_duplicates().sort_values().index.to_numpy()
    signature = np.zeros(L, dtype=np.intp)
    for name in frame.columns:
        if name == column:
            continue
        own = pd.factorize(frame[name], use_na_sentinel=False)[0]
        of_level = own[first]
        if np.array_equal(of_level[codes], own) and len(np.unique(of_level)) <= max(2, L // 2):
            signature = np.unique(np.column_stack([signature, of_level]), axis=0, return_inverse=True)[
                1
            ].ravel()
    place = np.empty(L)
    for value in np.unique(signature):
        members = np.flatnonzero(signature == value)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return [int(k) for k in np.argsort(place, kind="stable")]


def more_levels(old: Sequence[Any], n: int, column: str, labels: bool = False) -> list[Any]:
    """Return n levels, of which the first are the old ones.

    Parameters
    ----------
    old : sequence
        Levels; numbers by size.
    n : int
        How many there shall be.
    column : str
        Their column, for messages.
    labels : bool
        Whether numbers are names, so that they need not be evenly spaced.

    Raises
    ------
    DataError
        If numbers that are no names are not evenly spaced.

    Examples
    --------
    >>> more_levels(["s08", "s09"], 4, "subject"), more_levels([0.0, 0.5], 3, "dose")
    (['s08', 's09', 's10', 's11'], [0.0, 0.5, 1.0])
    """
    added = n - len(old)
    if all(isinstance(level, (int, float)) and not isinstance(level, bool) for level in old):
        steps = np.diff(np.asarray(old, dtype=np.float64))
        even = len(steps) > 0 and np.ptp(steps) <= EVEN * abs(steps[0])
        if not (even or labels):
            raise DataError(
                f"the values of {column} ({listed(old, 5)}) are not evenly spaced, so what comes after them "
                f"is not known: give all of them, {column}=[...], or make the column text if they are names."
            )
        step = old[1] - old[0] if even else 1
        return [*old, *(_plain(old[-1] + step * (k + 1)) for k in range(added))]
    numbered = [_NUMBERED.fullmatch(str(level)) for level in old]
    found = [match for match in numbered if match is not None]
    if len(found) == len(old) and len({match.group(1) for match in found}) == 1:
        width = min(len(match.group(2)) for match in found)
        last = max(int(match.group(2)) for match in found)
        return [*old, *(f"{found[0].group(1)}{last + k + 1:0{width}d}" for k in range(added))]
    return [*old, *(_unused(old, old[k % len(old)], k // len(old) + 2) for k in range(added))]


def _plain(number: float) -> float:
    """Return a number without what its last digits owe to rounding."""
    return number if isinstance(number, int) else float(f"{number:.12g}")


def _unused(old: Sequence[Any], level: Any, copy: int) -> str:
    name = f"{level}.{copy}"
    while name in old:
        name += "'"
    return name


def _column(old: pd.Series, names: Sequence[Any], copy: IntArray) -> pd.Series:
    """Return a column of names by level, of the kind that the old one was."""
    if isinstance(old.dtype, pd.CategoricalDtype):
        kept = [name for name in old.cat.categories if name in set(names)]
        categories = [*kept, *(name for name in names if name not in set(kept))]
        kind = pd.CategoricalDtype(categories, ordered=bool(old.cat.ordered))
        return pd.Series([names[k] for k in copy], dtype=kind)
    values = [names[k] for k in copy]
    return pd.Series(values, dtype=object) if old.dtype == object else pd.Series(values)


def _renamed(values: pd.Series, copy: IntArray, name: str) -> pd.Series:
    """Return a column in which the levels of copies have names of their own."""
    codes, old = _levels(values.rename(name))
    n = len(old) * (int(copy.max()) + 1)
    return _column(values, more_levels(old, n, name, labels=True), codes + copy * len(old))


def _within(frame: pd.DataFrame, columns: tuple[str, ...], count: int) -> pd.DataFrame:
    """Return a table with `count` rows in every cell, its rows in turn."""
    _require(frame, columns)
    codes = frame.groupby(list(columns), sort=False, observed=True).ngroup().to_numpy()
    cells = [np.flatnonzero(codes == cell) for cell in range(int(codes.max()) + 1)]
    rows = np.concatenate([np.resize(cell, count) for cell in cells])
    return frame.iloc[rows].reset_index(drop=True)


def _require(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    absent = [column for column in columns if column not in frame.columns]
    if absent:
        raise DataError(f"the data have no column {absent[0]!r}; the columns are {listed(frame.columns)}.")
