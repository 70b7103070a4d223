"""Read columns out of whatever table the caller has: pandas, a dict of arrays, polars, pyarrow.

Only the columns that a formula names are ever touched.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from mixedmodels.errors import DataError, listed
from mixedmodels.formula.evaluation.columns import Column
from mixedmodels.formula.evaluation.known_indexes import Remembered
from mixedmodels.formula.evaluation.no_table import no_table, refuse_column_levels
from mixedmodels.formula.evaluation.read_column import column_of, column_of_series, values_of
from mixedmodels.formula.language.syntax_tree import quote_name


def _named(labels: Iterable[Any]) -> tuple[list[Any], list[str], dict[str, int]]:
    """Return the labels of columns, these as texts, and the place of each text."""
    given = labels.tolist() if isinstance(labels, pd.Index) else list(labels)
    names = [name if type(name) is str else str(name) for name in given]
    return given, names, {name: position for position, name in enumerate(names)}


_NAMES = Remembered(_named)


class InputFrame:
    """A table of named columns.

    Attributes
    ----------
    names : list of str
        All column names.
    n_rows : int
        Number of rows.
    index : pandas.Index
        Row labels.
    """

    __slots__ = ("_columns", "_labels", "_positions", "_raw", "index", "n_rows", "names")

    def __init__(self, raw: Any, names: Iterable[Any], n_rows: int, index: pd.Index) -> None:
        self._raw = raw
        read = _NAMES.of(names) if isinstance(names, pd.Index) else _named(names)
        self._labels, self.names, self._positions = read
        self.n_rows = n_rows
        self.index = index
        self._columns: dict[str, Column] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._positions

    @property
    def is_labelled(self) -> bool:
        """Whether the rows carry labels of their own, as those of a pandas DataFrame."""
        return isinstance(self._raw, pd.DataFrame)

    def column(self, name: str) -> Column:
        """Return a column, read and converted on first use.

        Raises
        ------
        DataError
            When the name occurs twice or the type cannot enter a model.
        """
        found = self._columns.get(name)
        if found is None:
            if len(self._positions) < len(self.names) and self.names.count(name) > 1:
                raise DataError(
                    f"column {name!r} is ambiguous: the data have {self.names.count(name)} of that name"
                )
            found = self._columns[name] = self._read(name)
        return found

    def _read(self, name: str) -> Column:
        """Convert one column of the underlying table."""
        raw = self._raw
        label = self._labels[self._positions[name]]
        if isinstance(raw, pd.DataFrame):
            return column_of(values_of(raw, self._positions[name]), name)
        if isinstance(raw, Mapping):
            return column_of(raw[label], name)
        return column_of_series(raw[label], name)

    def require(self, names: Iterable[str], also: Iterable[str] = ()) -> None:
        """Raise one error that lists all `names` that are not columns (nor in `also`)."""
        known = set(also)
        absent = [n for n in dict.fromkeys(names) if n not in self._positions and n not in known]
        if not absent:
            return
        parts = []
        for name in absent:
            near = difflib.get_close_matches(name, [*self.names, *known], n=3, cutoff=0.6)
            near = near or [column for column in self.names if column.lower() == name.lower()]
            hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
            if name in self.index.names:
                hint = " (a level of the index: data.reset_index() makes it a column)"
            parts.append(f"{name!r}{hint}")
        noun = "variable is" if len(absent) == 1 else "variables are"
        raise DataError(
            f"the following {noun} not in the data: {listed(parts)}. The columns are: {listed(self.names)}"
        )

    def wants_backticks(self, text: str) -> str:
        """Return the advice to quote the columns that a formula names as they stand; empty without any."""
        rest = re.sub("`[^`]*`", "", text)
        found = [n for n in self.names if quote_name(n) != n and "`" not in n and n.strip() and n in rest]
        found = [n for n in found if not any(n in other and n != other for other in found)]
        if not found:
            return ""
        what = "a column: put its name" if len(found) == 1 else "columns: put their names"
        are = "is" if len(found) == 1 else "are"
        return f"{listed(map(repr, found))} {are} {what} in backticks, {listed(map(quote_name, found))}"


def input_frame(data: Any) -> InputFrame:
    """Wrap a table.

    Raises
    ------
    DataError
        When `data` is no table.
    """
    if isinstance(data, InputFrame):
        return data
    if isinstance(data, pd.DataFrame):
        refuse_column_levels(data)
        return InputFrame(data, data.columns, len(data), data.index)
    if isinstance(data, Mapping):
        return _mapping_frame(data)
    return _narwhals_frame(data)


def _mapping_frame(data: Mapping[Any, Any]) -> InputFrame:
    """Wrap a dict of arrays, which must all have one length."""
    lengths = {}
    for name, values in data.items():
        try:
            lengths[str(name)] = len(values)
        except TypeError as error:
            raise DataError(
                f"column {str(name)!r} is not an array but a single {type(values).__name__}"
            ) from error
    if len(set(lengths.values())) > 1:
        shown = listed(f"{name}: {length}" for name, length in lengths.items())
        raise DataError(f"the columns of the data differ in length ({shown})")
    n_rows = next(iter(lengths.values()), 0)
    return InputFrame(data, data, n_rows, pd.RangeIndex(n_rows))


def _narwhals_frame(data: Any) -> InputFrame:
    """Wrap a polars, pyarrow or other table that narwhals knows."""
    import narwhals.stable.v1 as nw  # deferred: 20 ms that users of pandas need not pay

    try:
        frame = nw.from_native(data, eager_only=True)
    except TypeError as error:
        raise no_table(data) from error
    return InputFrame(frame, frame.columns, len(frame), pd.RangeIndex(len(frame)))


def in_row_order(given: Any, role: str, index: pd.Index) -> Any:
    """Return a pandas Series in the order of the rows labelled `index`; anything else as it is.

    A Series with the labels of the rows in another order is matched by label, as pandas does when a column
    is assigned. The labels 0, 1, 2, ... of a Series that was never given any say nothing: where the rows
    have others it goes by position.

    Raises
    ------
    DataError
        When the labels of the Series are neither those of the rows nor the default ones.
    """
    if not isinstance(given, pd.Series) or given.index.equals(index):
        return given
    labels = given.index
    if labels.is_unique and index.is_unique and len(labels) == len(index) and labels.isin(index).all():
        return given.reindex(index)
    if labels.equals(pd.RangeIndex(len(labels))):
        return given
    raise DataError(
        f"{role} is a pandas Series whose index is not that of the data, so its values cannot be matched to "
        f"the rows. Take them by label with {role}.loc[data.index], or by position with {role}.to_numpy()"
    )
