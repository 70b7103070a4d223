"""DuckDB relations: DuckDB runs the query, with only the columns asked for, and hands over record batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mixedmodels.streams.arrow_frames import kinds_of_schema
from mixedmodels.streams.arrow_source import numbered
from mixedmodels.streams.libraries import arrow, library
from mixedmodels.streams.source import Batch, Part, cannot_read, require_columns, require_rows, rows_per_batch


class DuckDBSource:
    """The rows of a DuckDB relation; each pass runs its query again.

    Parameters
    ----------
    relation : duckdb.DuckDBPyRelation
        The relation.
    """

    once = False

    def __init__(self, relation: Any) -> None:
        arrow(what="relations of DuckDB")
        self._relation = relation
        self._kinds = kinds_of_schema(_reader(relation.limit(0), 1).schema)

    def columns(self) -> dict[str, str]:
        """Return the kind of each column."""
        return dict(self._kinds)

    def parts(self) -> Sequence[Part] | None:
        """Return None: DuckDB divides the work by itself."""
        return None

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows in batches, as the query yields them.

        Raises
        ------
        DataError
            If the query fails.
        """
        where = "the DuckDB relation"
        require_columns(columns, self._kinds, where)
        selected = self._relation.project(", ".join(map(_quoted, columns)))
        records = _reader(selected, rows_per_batch(len(columns)))
        yield from require_rows(numbered(records, columns, self._kinds, f"{where}, batch"), where)


def _reader(relation: Any, n_rows: int) -> Any:
    """Return a reader of the rows of a relation."""
    # Before DuckDB 1.5 it had another name.
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_record_batch
    try:
        return read(n_rows)
    except library("duckdb", "duckdb", "relations of DuckDB").Error as error:
        raise cannot_read("the DuckDB relation", error) from error


def _quoted(column: str) -> str:
    escaped = column.replace('"', '""')
    return f'"{escaped}"'
