"""Parquet files: parts are row groups, or several small ones together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.errors import DataError, MixedModelsError
from mixedmodels.streams.arrow_frames import ArrowFrames, kinds_of_schema
from mixedmodels.streams.files import File, key_kinds
from mixedmodels.streams.libraries import arrow
from mixedmodels.streams.source import Batch, require_columns, require_rows, rows_per_batch

#: Row groups of fewer rows than this are read together.
FEWEST_ROWS_OF_PART = 2**19


class ParquetSource:
    """The rows of Parquet files of the same columns.

    Parameters
    ----------
    files : sequence of File
        The files; the first settles the types.
    """

    once = False

    def __init__(self, files: Sequence[File]) -> None:
        self._files = list(files)
        self._keys = key_kinds(files)
        self._kinds = _settle_kinds(self._files) | self._keys
        self._parts: list[ParquetPart] | None = None

    def columns(self) -> dict[str, str]:
        """Return the kind of each column."""
        return dict(self._kinds)

    def parts(self) -> list[ParquetPart]:
        """Return the row groups of all files.

        Raises
        ------
        DataError
            Naming a file that cannot be read.
        """
        if self._parts is None:
            self._parts = [part for file in self._files for part in self._parts_of(file)]
        return self._parts

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows in batches, row group by row group."""
        require_columns(columns, self._kinds, _where(self._files))
        batches = (batch for part in self.parts() for batch in part.batches(columns))
        yield from require_rows(batches, _where(self._files))

    def _parts_of(self, file: File) -> Iterator[ParquetPart]:
        with opened(file) as parquet:
            rows = [parquet.metadata.row_group(k).num_rows for k in range(parquet.metadata.num_row_groups)]
        for groups in _together(rows):
            yield ParquetPart(file, groups, len(rows), self._kinds, self._keys)


@dataclass(frozen=True, slots=True)
class ParquetPart:
    """Row groups of one Parquet file.

    Attributes
    ----------
    file : File
        The file.
    groups : range
        Numbers of the row groups, from 0.
    n_groups : int
        How many the file has.
    kinds, keys : mapping of str to str
        Kinds of the table's columns, and of those that the names of directories give.
    """

    file: File
    groups: range
    n_groups: int
    kinds: Mapping[str, str]
    keys: Mapping[str, str]

    @property
    def name(self) -> str:
        """File and row groups, counted from 1."""
        first, last = self.groups[0] + 1, self.groups[-1] + 1
        numbers = f"group {first}" if first == last else f"groups {first} to {last}"
        return f"{self.file.name}, row {numbers} of {self.n_groups}"

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows of the part in batches.

        Raises
        ------
        DataError
            Naming the part, if it cannot be read or has other columns than the table.
        """
        stored = [c for c in columns if c not in self.keys]
        with opened(self.file) as parquet:
            schema = parquet.schema_arrow
            kinds = kinds_of_schema(schema)
            require_columns(stored, kinds, self.name)
            text = [c for c in stored if arrow().types.is_string(schema.field(c).type)]
            metadata = parquet.metadata
        with opened(self.file, read_dictionary=text, metadata=metadata) as parquet:
            frames = ArrowFrames(stored, self.kinds)
            records = parquet.iter_batches(
                rows_per_batch(len(columns)), row_groups=list(self.groups), columns=stored, use_threads=False
            )
            for batch in frames.batches(readable(records, self.name), self.name):
                yield self._with_keys(batch, columns)

    def _with_keys(self, batch: Batch, columns: Sequence[str]) -> Batch:
        """Return a batch with the columns that the names of directories give."""
        wanted = {key: value for key, value in self.file.keys if key in columns}
        if not wanted:
            return batch
        frame = batch.frame.copy(deep=False)
        for key, value in wanted.items():
            frame[key] = _constant(value, self.keys[key], len(frame))
        return Batch(frame[list(columns)], batch.name)


def opened(file: File, **options: Any) -> Any:
    """Open a Parquet file.

    Raises
    ------
    DataError
        Naming the file, if it is none.
    """
    try:
        return arrow("parquet").ParquetFile(file.path, filesystem=file.system, pre_buffer=False, **options)
    except (arrow().ArrowException, OSError) as error:
        raise unreadable(file.name, error) from error


def readable(records: Any, name: str) -> Iterator[Any]:
    """Yield record batches, and say where one cannot be read.

    Raises
    ------
    DataError
        Naming the part.
    """
    try:
        yield from records
    except MixedModelsError:
        raise
    except (arrow().ArrowException, OSError, ValueError) as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: BaseException) -> DataError:
    """Return the error about a part that cannot be read."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return DataError(
        f"{name} cannot be read ({reason}). The file may be cut short or damaged: write it again"
    )


def _settle_kinds(files: Sequence[File]) -> dict[str, str]:
    """Return the kinds of the first file's columns, from later files where it has no values."""
    kinds: dict[str, str] = {}
    for file in files:
        with opened(file) as parquet:
            found = kinds_of_schema(parquet.schema_arrow)
        kinds = kinds or found
        kinds = {c: found.get(c, k) if k == "unknown" else k for c, k in kinds.items()}
        if "unknown" not in kinds.values():
            break
    return kinds


def _together(rows: Sequence[int]) -> Iterator[range]:
    """Yield ranges of row groups that are read together."""
    start, total = 0, 0
    for k, n in enumerate(rows):
        total += n
        if total >= FEWEST_ROWS_OF_PART or k == len(rows) - 1:
            yield range(start, k + 1)
            start, total = k + 1, 0


def _constant(value: str | None, kind: str, n_rows: int) -> Any:
    """Return one value in every row."""
    if kind == "integer":
        if value is None:
            return pd.array([pd.NA] * n_rows, dtype="Int64")
        return np.full(n_rows, int(value))
    codes = np.full(n_rows, -1 if value is None else 0)
    return pd.Categorical.from_codes(
        codes, categories=pd.Index([] if value is None else [value], dtype=object)
    )


def _where(files: Sequence[File]) -> str:
    return files[0].name if len(files) == 1 else f"the table of {len(files)} files"
