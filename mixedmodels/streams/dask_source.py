"""Dask DataFrames: partitions are read, and mapped, by the active client or by Dask in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mixedmodels.errors import MixedModelsError
from mixedmodels.streams.kinds import kind_of_dtype
from mixedmodels.streams.libraries import library
from mixedmodels.streams.pandas_frames import frame_batches
from mixedmodels.streams.source import Batch, MapFunction, cannot_read, require_columns, require_rows


class DaskSource:
    """The rows of a Dask DataFrame.

    Parameters
    ----------
    frame : dask.dataframe.DataFrame
        The frame; its columns have the types of its `dtypes`.
    """

    once = False

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self._kinds = {str(c): kind_of_dtype(t) for c, t in zip(frame.columns, frame.dtypes, strict=True)}

    def columns(self) -> dict[str, str]:
        """Return the kind of each column."""
        return dict(self._kinds)

    def parts(self) -> list[DaskPart]:
        """Return the partitions."""
        n = self.n_partitions()
        return [DaskPart(self._frame, k, n, self._kinds) for k in range(n)]

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows in batches, partition by partition."""
        require_columns(columns, self._kinds, "the Dask DataFrame")
        batches = (batch for part in self.parts() for batch in part.batches(columns))
        yield from require_rows(batches, "the Dask DataFrame")

    def n_partitions(self) -> int:
        """Return the number of partitions."""
        return int(self._frame.npartitions)

    def mapped(
        self, columns: Sequence[str], function: MapFunction, done: Set[str], retries: int
    ) -> Iterator[tuple[str, Any]]:
        """Yield the name of each partition that is not done, once, with `function` of its batches.

        A partition whose worker is lost, or that fails, is computed again by Dask; its result is taken once.

        Raises
        ------
        DataError
            Naming a partition that fails again and again.
        """
        require_columns(columns, self._kinds, "the Dask DataFrame")
        delayed = library("dask", "dask", "Dask DataFrames").delayed
        pieces = dict(zip((part.name for part in self.parts()), _delayed(self._frame, columns), strict=True))
        task = delayed(_on_partition, pure=False)
        work = {
            name: task(piece, name, tuple(columns), self._kinds, function)
            for name, piece in pieces.items()
            if name not in done
        }
        client = active_client()
        return _here(work) if client is None else _on_workers(client, work, retries)


@dataclass(frozen=True, slots=True)
class DaskPart:
    """One partition of a Dask DataFrame.

    Attributes
    ----------
    frame : dask.dataframe.DataFrame
        The frame.
    number : int
        Which partition, from 0.
    n_parts : int
        How many there are.
    kinds : mapping of str to str
        Kinds of the table's columns.
    """

    frame: Any
    number: int
    n_parts: int
    kinds: Mapping[str, str]

    @property
    def name(self) -> str:
        """The number of the partition, from 1."""
        return f"Dask partition {self.number + 1} of {self.n_parts}"

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows of the partition in batches.

        Raises
        ------
        DataError
            Naming the partition, if Dask cannot compute it.
        """
        partition = _selected(self.frame, columns).partitions[self.number]
        try:
            frame = partition.compute()
        except Exception as error:  # whatever a task of the user's graph raises
            raise _failed(self.name, error) from error
        yield from frame_batches(frame, columns, self.kinds, self.name)


def active_client() -> Any:
    """Return the client of a Dask cluster that is connected; None without any."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


def _selected(frame: Any, columns: Sequence[str]) -> Any:
    labels = {str(label): label for label in frame.columns}
    return frame[[labels[column] for column in columns]]


def _delayed(frame: Any, columns: Sequence[str]) -> list[Any]:
    return list(_selected(frame, columns).to_delayed())


def _on_partition(
    frame: pd.DataFrame, name: str, columns: Sequence[str], kinds: Mapping[str, str], function: MapFunction
) -> Any:
    """Return what `function` makes of a partition, where the partition is."""
    return function(frame_batches(frame, columns, kinds, name))


def _here(work: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Compute in this process, as many partitions at a time as there are processors."""
    dask = library("dask", "dask", "Dask DataFrames")
    names, width = list(work), os.cpu_count() or 1
    for start in range(0, len(names), width):
        wave = names[start : start + width]
        try:
            results = dask.compute(*(work[name] for name in wave))
        except Exception as error:  # whatever a task of the user's graph raises
            raise _failed(_name_of_failed(dask, wave, work) if wave[1:] else wave[0], error) from error
        yield from zip(wave, results, strict=True)


def _name_of_failed(dask: Any, wave: list[str], work: Mapping[str, Any]) -> str:
    """Return which of some partitions fails again when it is computed by itself."""
    for name in wave:
        try:
            dask.compute(work[name])
        except Exception:  # whatever a task of the user's graph raises
            return name
    return f"{wave[0]}, or one of the {len(wave) - 1} after it,"


def _on_workers(client: Any, work: Mapping[str, Any], retries: int) -> Iterator[tuple[str, Any]]:
    """Compute on the workers of a client; a stop cancels what has not begun."""
    distributed = library("distributed", "dask", "clusters of Dask")
    futures = client.compute(list(work.values()), retries=retries)
    names = {future.key: name for future, name in zip(futures, work, strict=True)}
    try:
        for future in distributed.as_completed(futures):
            name = names[future.key]
            try:
                result = future.result()
            except Exception as error:  # whatever a task of the user's graph raises
                raise _failed(name, error) from error
            yield name, result
            future.release()
    finally:
        client.cancel([future for future in futures if not future.done()])


def _failed(name: str, error: Exception) -> Exception:
    """Return the error about a partition: our own as it is, others with the name of the partition."""
    return error if isinstance(error, MixedModelsError) else cannot_read(name, error)
