"""Arrow record batches as frames, without loss: integers keep every digit, text becomes codes and levels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.errors import DataError
from mixedmodels.streams.kinds import KINDS, kind_of_arrow, missing_column, settled
from mixedmodels.streams.libraries import arrow
from mixedmodels.streams.source import Batch, require_columns


class ArrowFrames:
    """Make frames of the record batches of one table.

    Parameters
    ----------
    columns : sequence of str
        The columns of each frame.
    declared : mapping of str to str
        The kinds of the table's columns.
    """

    __slots__ = ("_columns", "_declared", "_levels")

    def __init__(self, columns: Sequence[str], declared: Mapping[str, str]) -> None:
        self._columns = list(columns)
        self._declared = declared
        # The last dictionary of each column: batches of one row group share it, and it takes long to make a
        # million levels pandas' own.
        self._levels: dict[str, tuple[Any, pd.CategoricalDtype]] = {}

    def batches(self, records: Iterable[Any], name: str) -> Iterator[Batch]:
        """Yield the frames of record batches that come from one place."""
        for record in records:
            yield self.batch(record, name)

    def batch(self, record: Any, name: str) -> Batch:
        """Return the frame of one record batch.

        Raises
        ------
        DataError
            Naming batch and column, if the column is not there or not of the table's kind.
        """
        require_columns(self._columns, record.schema.names, name)
        frame = {column: self._column(record.column(column), column, name) for column in self._columns}
        return Batch(pd.DataFrame(frame, index=pd.RangeIndex(record.num_rows), copy=False), name)

    def _column(self, array: Any, column: str, where: str) -> Any:
        kind = kind_of_arrow(array.type)
        if kind not in KINDS:
            raise DataError(f"{where}: column {column!r} holds {kind}, which cannot enter a model")
        while isinstance(array.type, arrow().BaseExtensionType):
            array = array.storage
        values = self._values(array, kind, column)
        declared = self._declared.get(column, "unknown")
        if kind == declared or declared == "unknown":
            return values
        return settled(pd.Series(values, name=column, copy=False), kind, declared, where).array

    def _values(self, array: Any, kind: str, column: str) -> Any:
        """Return an array as what a frame holds."""
        if kind in ("string", "categorical", "ordered"):
            return self._labels(array, column)
        if kind == "integer":
            return _masked(array, pd.arrays.IntegerArray)
        if kind == "boolean":
            return _masked(array, pd.arrays.BooleanArray)
        if kind == "float":
            return array.to_numpy(zero_copy_only=False)
        if kind == "decimal":
            return _decimals(array)
        if kind == "unknown":
            return missing_column("float", len(array)).array
        if arrow().types.is_date(array.type):
            array = array.cast(arrow().timestamp("s"), safe=False)
        return array.to_pandas().array

    def _labels(self, array: Any, column: str) -> pd.Categorical:
        """Return text or categories as pandas has them."""
        types = arrow().types
        if types.is_time(array.type):
            array = array.cast(arrow().string())
        if not types.is_dictionary(array.type):
            array = array.dictionary_encode()
        key, dtype = self._levels.get(column, (None, None))
        if dtype is None or not _same_memory(key, array.dictionary):
            array, dtype = _with_levels(array)
            self._levels[column] = (array.dictionary, dtype)
        codes = array.indices
        codes = (
            codes.cast(arrow().int64())
            if len(dtype.categories) > _MOST_SHORT
            else codes.cast(arrow().int32())
        )
        if codes.null_count:
            codes = codes.fill_null(-1)
        return pd.Categorical.from_codes(codes.to_numpy(), dtype=dtype, validate=False)


#: The most levels that codes of 32 bits tell apart.
_MOST_SHORT = 2**31 - 1


def _with_levels(array: Any) -> tuple[Any, pd.CategoricalDtype]:
    """Return a dictionary array and its type for pandas: each level once, and none that is missing."""
    levels = _level_index(array.dictionary)
    if array.dictionary.null_count or not levels.is_unique:
        plain = array.dictionary.take(array.indices)
        array = plain.dictionary_encode()
        levels = _level_index(array.dictionary)
    return array, pd.CategoricalDtype(levels, ordered=bool(array.type.ordered))


def _level_index(dictionary: Any) -> pd.Index:
    """Return the values of a dictionary as an index; bytes as the text they are in Latin-1, as in memory."""
    types = arrow().types
    kind = dictionary.type
    if types.is_binary(kind) or types.is_large_binary(kind):
        return pd.Index([None if v is None else v.decode("latin-1") for v in dictionary.to_pylist()])
    if types.is_decimal(kind):
        decimals: pd.Index[Any] = pd.Index(dictionary.to_pylist(), dtype=object)
        return decimals
    index: pd.Index[Any] = pd.Index(dictionary.to_pandas())
    return index


def _same_memory(one: Any, other: Any) -> bool:
    """Tell whether two arrays are the same memory; the first is still held, so its place is not free."""
    places = [[None if b is None else (b.address, b.size) for b in a.buffers()] for a in (one, other)]
    return places[0] == places[1] and len(one) == len(other) and one.offset == other.offset


def _masked(array: Any, masked: Any) -> Any:
    """Return whole numbers or truth values, by pandas' nullable type where some are missing."""
    if not array.null_count:
        return array.to_numpy(zero_copy_only=False)
    missing = array.is_null().to_numpy(zero_copy_only=False)
    known = array.fill_null(False if arrow().types.is_boolean(array.type) else 0)
    return masked(np.array(known.to_numpy(zero_copy_only=False)), np.array(missing))


def _decimals(array: Any) -> Any:
    """Return decimal numbers: whole ones as integers where 64 bits hold them, others exactly as Arrow's."""
    if array.type.scale == 0:
        try:
            return _masked(array.cast(arrow().int64()), pd.arrays.IntegerArray)
        except arrow().ArrowInvalid:
            pass
    return pd.arrays.ArrowExtensionArray(array)


def kinds_of_schema(schema: Any) -> dict[str, str]:
    """Return the kinds of the columns of an Arrow schema.

    Raises
    ------
    DataError
        If two columns have one name.
    """
    names = schema.names
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise DataError(
            f"column {twice[0]!r} is ambiguous: the data have {names.count(twice[0])} of that name"
        )
    return {field.name: kind_of_arrow(field.type) for field in schema}
