"""Polars lazy frames: Polars' streaming engine runs the query and hands over frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mixedmodels.errors import NotAvailableError
from mixedmodels.streams.libraries import arrow, library
from mixedmodels.streams.pandas_frames import frame_batches, kinds_of_frame
from mixedmodels.streams.source import Batch, Part, cannot_read, require_columns, require_rows, rows_per_batch


class PolarsSource:
    """The rows of a Polars LazyFrame; each pass runs its query again.

    Parameters
    ----------
    frame : polars.LazyFrame
        The frame.
    """

    once = False

    def __init__(self, frame: Any) -> None:
        arrow(what="frames of Polars")
        if not hasattr(frame, "collect_batches"):
            raise NotAvailableError(
                "lazy frames are read in batches from Polars 1.34 on: pip install -U polars."
            )
        self._frame = frame
        with _Failing("the lazy frame"):
            polars = library("polars", "polars", "frames of Polars")
            self._kinds = kinds_of_frame(polars.DataFrame(schema=frame.collect_schema()))

    def columns(self) -> dict[str, str]:
        """Return the kind of each column."""
        return dict(self._kinds)

    def parts(self) -> Sequence[Part] | None:
        """Return None: Polars divides the work by itself."""
        return None

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows in batches, as the query yields them.

        Raises
        ------
        DataError
            If the query fails.
        """
        require_columns(columns, self._kinds, "the lazy frame")
        yield from require_rows(self._read(columns), "the lazy frame")

    def _read(self, columns: Sequence[str]) -> Iterator[Batch]:
        number = 1
        with _Failing("the lazy frame"):
            query = self._frame.select(list(columns))
            frames = query.collect_batches(
                chunk_size=rows_per_batch(len(columns)), maintain_order=True, lazy=True
            )
        while True:
            name = f"the lazy frame, batch {number}"
            with _Failing(name):
                frame = next(frames, None)
            if frame is None:
                return
            yield from frame_batches(frame, columns, self._kinds, name)
            number += 1


class _Failing:
    """Turn errors of Polars into one that names what was read."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        failures = library("polars", "polars", "frames of Polars").exceptions.PolarsError
        if isinstance(error, (failures, OSError)):
            raise cannot_read(self._name, error) from error
