"""Arrays with an entry for each row, as a pickled fit has them: what stands in the data is not written twice.

The columns of X, of Z and the response are for the most part columns of the data, constants or codes of few
levels. Each array is written as what it is, and only where it is that to the last digit; everything else is
written out. What was one array before is one array again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from mixedmodels.arrays import IntArray
from mixedmodels.formula.design.column_matrix import CodedColumns, ColumnMatrix, Piece
from mixedmodels.formula.design.design import Design, RandomTerm, Response

#: Arrays with fewer entries are written out: nothing is gained.
FEW = 1000
#: Entries by which columns are looked up before they are compared.
BEGINNING = 64
#: Whole numbers among floats that are written as such take half of their memory at most.
LARGEST_WHOLE = 2.0**31 - 1.0
Array: TypeAlias = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """An array of one value; `is_view` tells whether it took no memory."""

    value: Any
    shape: tuple[int, ...]
    is_view: bool

    def array(self, columns: Columns) -> Array:
        """Return the array."""
        view = np.broadcast_to(self.value, self.shape)
        return view if self.is_view else view.copy(order="F")


@dataclass(frozen=True, slots=True, eq=False)
class OfData:
    """A column of the data, or the codes of one."""

    name: str
    dtype: np.dtype[Any]

    def array(self, columns: Columns) -> Array:
        """Return the array."""
        return columns.at(self.name).astype(self.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Narrow:
    """Whole numbers in the narrowest type that holds them."""

    values: Array
    dtype: np.dtype[Any]

    def array(self, columns: Columns) -> Array:
        """Return the array."""
        return self.values.astype(self.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Columns side by side, each written by itself."""

    columns: tuple[Stored, ...]
    order: Literal["C", "F"]

    def array(self, columns: Columns) -> Array:
        """Return the array."""
        first = _array(self.columns[0], columns)
        found = np.empty(
            (len(first), len(self.columns)), first.dtype, order="C" if self.order == "C" else "F"
        )
        for k, column in enumerate(self.columns):
            found[:, k] = first if k == 0 else _array(column, columns)
        return found


Stored: TypeAlias = Constant | OfData | Narrow | Side | Array


@dataclass(slots=True, eq=False)
class Columns:
    """Columns of the data at the rows of a fit.

    Attributes
    ----------
    data : DataFrame, mapping of arrays, or another table
        The data; other tables have no columns that are found again.
    rows : ndarray of int, slice, or None
        Rows of the data that the fit has; None where they cannot be told.
    known : dict
        Columns that were read.
    by_beginning : dict
        Names of columns by their first entries.
    """

    data: Any
    rows: IntArray | slice | None
    known: dict[str, Array | None] = field(default_factory=dict)
    by_beginning: dict[bytes, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any, design: Design) -> Columns:
        """Return the columns of the data of a fit."""
        if isinstance(data, pd.DataFrame) and len(data) != design.n_rows:
            is_known = data.index.is_unique and design.index.isin(data.index).all()
            return cls(data, data.index.get_indexer(design.index) if is_known else None)
        return cls(data, slice(None) if isinstance(data, (pd.DataFrame, Mapping)) else None)

    def like(self, array: Array) -> str | None:
        """Return the name of a column that an array equals."""
        if self.rows is None:
            return None
        if not self.by_beginning:
            for name in list(self.data):
                column = self.find(name)
                if column is not None:
                    self.by_beginning.setdefault(_beginning(column), []).append(name)
        names = self.by_beginning.get(_beginning(array), [])
        return next((name for name in names if _is_same(self.at(name), array)), None)

    def find(self, name: str) -> Array | None:
        """Return a column, or the codes of its categories; None where it has neither."""
        if name not in self.known:
            self.known[name] = self._read(name)
        return self.known[name]

    def at(self, name: str) -> Array:
        """Return a column that is known to be there."""
        found = self.find(name)
        assert found is not None
        return found

    def _read(self, name: str) -> Array | None:
        values = self.data[name]
        if isinstance(values, pd.Series) and isinstance(values.dtype, pd.CategoricalDtype):
            values = values.cat.codes
        if isinstance(values, pd.Series) and isinstance(values.dtype, np.dtype):
            values = values.to_numpy()
        if type(values) is not np.ndarray or values.ndim != 1 or values.dtype.kind not in "fiu":
            return None
        return np.asarray(values[self.rows])


@dataclass(slots=True, eq=False)
class Writer:
    """Writes arrays, each of them once.

    Attributes
    ----------
    columns : Columns
        What the data have.
    written : dict
        By identity, arrays and what is stored in their place.
    """

    columns: Columns
    written: dict[int, tuple[Array, Stored]] = field(default_factory=dict)

    def write(self, array: Array | None) -> Any:
        """Return what is stored in place of an array."""
        if array is None or not isinstance(array, np.ndarray) or array.size < FEW:
            return array
        if id(array) not in self.written:
            self.written[id(array)] = array, self._stored(array)
        return self.written[id(array)][1]

    def _stored(self, array: Array) -> Stored:
        if array.dtype.kind not in "fiu" or array.ndim > 2:
            return array
        if not any(array.strides) or bool((array == array.flat[0]).all()):
            return Constant(array.flat[0], array.shape, not any(array.strides))
        if array.ndim == 2:
            order: Literal["C", "F"] = "C" if array.flags.c_contiguous else "F"
            return Side(tuple(self._stored(column) for column in array.T), order)
        name = self.columns.like(array)
        if name is not None:
            return OfData(name, array.dtype)
        return _narrow(array) if _is_whole(array) else np.ascontiguousarray(array)


@dataclass(slots=True, eq=False)
class Reader:
    """Makes arrays of what was stored, each of them once.

    Attributes
    ----------
    columns : Columns
        What the data have.
    made : dict
        By identity of what was stored, the arrays.
    """

    columns: Columns
    made: dict[int, Array] = field(default_factory=dict)

    def read(self, stored: Any) -> Any:
        """Return the array that something stands for."""
        if not isinstance(stored, (Constant, OfData, Narrow, Side)):
            return stored
        if id(stored) not in self.made:
            self.made[id(stored)] = stored.array(self.columns)
        return self.made[id(stored)]


def _array(stored: Stored, columns: Columns) -> Array:
    return stored if isinstance(stored, np.ndarray) else stored.array(columns)


def _beginning(array: Array) -> bytes:
    """Return the first entries, which tell most columns apart."""
    return array[:BEGINNING].astype(np.float64).tobytes()


def _is_same(found: Array, array: Array) -> bool:
    """Tell whether two columns are equal, zeros of different signs told apart."""
    signs = array.dtype.kind != "f" or np.array_equal(np.signbit(found), np.signbit(array))
    return signs and np.array_equal(found, array)


def _is_whole(array: Array) -> bool:
    """Tell whether an array holds whole numbers, as indicators of levels are; zeros without a sign."""
    if array.dtype.kind in "iu":
        return True
    if not np.array_equal(array[:BEGINNING], np.rint(array[:BEGINNING])):
        return False
    small = bool(np.abs(array).max() <= LARGEST_WHOLE)
    return small and np.array_equal(array, np.rint(array)) and not np.signbit(array[array == 0.0]).any()


def _narrow(array: Array) -> Stored:
    """Return whole numbers in the narrowest type, the array itself where that is its own."""
    low, high = int(array.min()), int(array.max())
    dtype = np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high))
    return Narrow(array.astype(dtype), array.dtype) if dtype.itemsize < array.dtype.itemsize else array


def over_rows(design: Design, change: Callable[[Any], Any]) -> Design:
    """Return a design with each of its arrays of rows changed."""
    return replace(
        design,
        response=_response(design.response, change),
        fixed=ColumnMatrix(
            tuple(_piece(piece, change) for piece in design.fixed.pieces), design.fixed.n_rows
        ),
        random=tuple(_term(term, change) for term in design.random),
        weights=change(design.weights),
        offset=change(design.offset),
        missing=replace(design.missing, some=change(design.missing.some)),
    )


def _response(response: Response, change: Callable[[Any], Any]) -> Response:
    return replace(response, values=change(response.values), failures=change(response.failures))


def _piece(piece: Piece, change: Callable[[Any], Any]) -> Piece:
    if isinstance(piece, CodedColumns):
        return replace(piece, codes=change(piece.codes), values=change(piece.values))
    return change(piece)  # type: ignore[no-any-return]


def _term(term: RandomTerm, change: Callable[[Any], Any]) -> RandomTerm:
    return replace(term, Z=change(term.Z), codes=change(term.codes))


def with_rows_written(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a fit with each of its arrays of rows written once.

    A fit without rows, and one whose design changes with its estimates, stay as they are.
    """
    design = state["design"]
    if "nonlinear" in state or not isinstance(design.fixed, ColumnMatrix):
        return state
    return _changed(state, _without_labels(design), Writer(Columns.of(state["data"], design)).write)


def with_rows_read(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a fit with its arrays of rows put back."""
    design = state["design"]
    if "nonlinear" in state or not isinstance(design.fixed, ColumnMatrix):
        return state
    kept = Reader(Columns(None, None)).read(design.missing.some)
    design = _with_labels(replace(design, missing=replace(design.missing, some=kept)))
    return _changed(state, design, Reader(Columns.of(state["data"], design)).read)


def _without_labels(design: Design) -> Design:
    """Return a design without the labels of its rows, where those of all rows are in it."""
    labels = _labels(design)
    follow = labels is not None and design.index.equals(labels)
    return replace(design, index=None) if follow else design  # type: ignore[arg-type]


def _with_labels(design: Design) -> Design:
    """Return a design with the labels of its rows."""
    labels = _labels(design) if design.index is None else None
    return design if labels is None else replace(design, index=labels)


def _labels(design: Design) -> pd.Index | None:
    """Return the labels of the rows used as those of all rows give them."""
    labels, some = design.missing.input_index, design.missing.some
    return labels if labels is None or some is None else labels[some]


def _changed(state: dict[str, Any], design: Design, change: Callable[[Any], Any]) -> dict[str, Any]:
    return state | {
        "design": over_rows(design, change),
        "y": change(state["y"]),
        "prior_weights": change(state["prior_weights"]),
    }
