"""Datasets and readers of pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mixedmodels.errors import DataError
from mixedmodels.streams.arrow_frames import ArrowFrames, kinds_of_schema
from mixedmodels.streams.libraries import arrow
from mixedmodels.streams.parquet import unreadable
from mixedmodels.streams.source import Batch, Part, cannot_read, require_columns, require_rows, rows_per_batch


class DatasetSource:
    """A pyarrow Dataset, its filter included.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
        The dataset.
    """

    once = False

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._kinds = kinds_of_schema(dataset.schema)

    def columns(self) -> dict[str, str]:
        """Return the kind of each column."""
        return dict(self._kinds)

    def parts(self) -> Sequence[Part] | None:
        """Return None: the scanner of the dataset reads its fragments in order."""
        return None

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows in batches, fragment by fragment."""
        require_columns(columns, self._kinds, "the dataset")
        yield from require_rows(self._scan(columns), "the dataset")

    def _at_fault(self, columns: Sequence[str], after: str) -> str:
        """Return the fragment that cannot be read, or whose columns are of other types than the dataset's."""
        unknown = f"a fragment of the dataset, after {after},"
        try:
            fragments = list(self._dataset.get_fragments())
        except ValueError:  # of a dataset with a filter pyarrow does not tell them
            return unknown
        for fragment in fragments:
            name = getattr(fragment, "path", "") or unknown
            try:
                own = kinds_of_schema(fragment.physical_schema)
            except (arrow().ArrowException, OSError):
                return name
            if any(own.get(column, self._kinds[column]) != self._kinds[column] for column in columns):
                return name
        return unknown

    def _scan(self, columns: Sequence[str]) -> Iterator[Batch]:
        scanner = self._dataset.scanner(
            columns=list(columns), batch_size=rows_per_batch(len(columns)), use_threads=False,
            fragment_readahead=1, batch_readahead=1, fragment_scan_options=_options(self._dataset),
        )  # fmt: skip
        frames = ArrowFrames(columns, self._kinds)
        name = "the dataset"
        try:
            for tagged in scanner.scan_batches():
                before, name = name, getattr(tagged.fragment, "path", "") or "the dataset"
                if name != before:
                    _require_in_fragment(columns, tagged.fragment, name)
                yield frames.batch(tagged.record_batch, name)
        except (arrow().ArrowException, OSError) as error:
            raise unreadable(self._at_fault(columns, name), error) from error


def _require_in_fragment(columns: Sequence[str], fragment: Any, name: str) -> None:
    """Raise where a fragment lacks a column, for which the scanner puts missing values."""
    keys = arrow("dataset").get_partition_keys(fragment.partition_expression)
    require_columns(columns, [*fragment.physical_schema.names, *keys], name)


def _options(dataset: Any) -> Any:
    """Return how fragments are read: of Parquet files no more than the columns of a row group at a time."""
    if type(getattr(dataset, "format", None)).__name__ != "ParquetFileFormat":
        return None
    return arrow("dataset").ParquetFragmentScanOptions(pre_buffer=False)


class ReaderSource:
    """A pyarrow RecordBatchReader, whose rows come only once.

    Parameters
    ----------
    reader : pyarrow.RecordBatchReader
        The reader.
    """

    once = True

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._kinds = kinds_of_schema(reader.schema)
        self._is_spent = False

    def columns(self) -> dict[str, str]:
        """Return the kind of each column."""
        return dict(self._kinds)

    def parts(self) -> Sequence[Part] | None:
        """Return None: a reader is read in order."""
        return None

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows in batches.

        Raises
        ------
        DataError
            If they have been read.
        """
        if self._is_spent:
            raise DataError(
                "the rows of a RecordBatchReader can be read only once, and have been read: pass a pyarrow "
                "Dataset or Table, or a function that makes the reader anew"
            )
        require_columns(columns, self._kinds, "the reader")
        self._is_spent = True
        yield from require_rows(numbered(self._reader, columns, self._kinds, "record batch"), "the reader")


def numbered(records: Any, columns: Sequence[str], kinds: dict[str, str], noun: str) -> Iterator[Batch]:
    """Yield record batches as batches that are named by their number.

    Raises
    ------
    DataError
        Naming the first that cannot be read.
    """
    frames, number = ArrowFrames(columns, kinds), 1
    try:
        for record in records:
            yield frames.batch(record, f"{noun} {number}")
            number += 1
    except (arrow().ArrowException, OSError) as error:
        raise cannot_read(f"{noun} {number}", error) from error
    finally:
        records.close()  # DuckDB has one open result for each connection
