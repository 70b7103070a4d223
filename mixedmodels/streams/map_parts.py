"""Map the parts of a table and add up what comes of them: in this process, in several, on Dask or on Spark.

Each part counts exactly once. A stop, by Ctrl-C or by a part that fails, loses nothing: what is complete
comes back with the names of its parts, and the rest can be done later.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from types import FrameType, TracebackType
from typing import Any

from mixedmodels.parallel import in_order, number_of_jobs
from mixedmodels.progress import Progress
from mixedmodels.streams.source import Batch, EngineSource, MapFunction, Part, Source, require_columns

#: Pieces of work for each process: a stop loses no more than what the processes are at, one piece each.
PIECES_PER_PROCESS = 8
#: The name of the one part of a table that has no parts.
ALL_ROWS = "all rows"


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a map over the parts of a table has given.

    Attributes
    ----------
    value : object
        The combined results of the parts that are complete; None if there is none.
    finished : tuple of str
        Names of these parts, with those that were done before.
    stopped_by : BaseException or None
        What stopped the map before its end.
    """

    value: Any
    finished: tuple[str, ...]
    stopped_by: BaseException | None = None

    def complete(self) -> Any:
        """Return the value of a map that came to its end.

        Raises
        ------
        BaseException
            What stopped it, if something did.
        """
        if self.stopped_by is not None:
            raise self.stopped_by
        return self.value


class Unbroken:
    """Hold back Ctrl-C until a step is complete, so that no sum is left half added."""

    __slots__ = ("_before", "_is_held", "_was_pressed")

    def __init__(self) -> None:
        self._is_held = threading.current_thread() is threading.main_thread()
        self._was_pressed = False

    def __enter__(self) -> None:
        if self._is_held:
            self._before = signal.signal(signal.SIGINT, self._hold)

    def _hold(self, number: int, frame: FrameType | None) -> None:
        self._was_pressed = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let Ctrl-C through."""
        if self._is_held:
            signal.signal(signal.SIGINT, self._before)
        if self._was_pressed:
            raise KeyboardInterrupt


def map_parts(
    source: Source,
    columns: Sequence[str],
    function: MapFunction,
    combine: Callable[[Any, Any], Any],
    *,
    n_jobs: int = 1,
    progress: bool | None = None,
    done: Iterable[str] = (),
    retries: int = 2,
) -> Mapped:
    """Map the parts of a table, each exactly once, and combine the results in the order in which they come.

    Parameters
    ----------
    source : Source
        The table. Partitions of Dask and Spark are mapped by their engine, where they are.
    columns : sequence of str
        The columns that are read.
    function : callable
        Makes a result of an iterator of batches: those of one part or several, or none of an empty one.
    combine : callable
        Makes one result of two; it may change and return the first.
    n_jobs : int
        Number of processes for files; -1 is one for each processor. Engines have workers of their own.
    progress : bool, optional
        Whether to draw a bar; by default where someone is watching.
    done : iterable of str
        Names of parts that are left out, those of an earlier map that was stopped.
    retries : int
        How often Dask computes a partition again that fails (Spark has a setting of its own).

    Returns
    -------
    Mapped
        The combined result, with the names of the parts in it and what stopped the map, if something did.

    Raises
    ------
    DataError
        If the table lacks a column.
    ControlError
        If `n_jobs` or `progress` is out of range, or the work cannot be sent to other processes.
    """
    n_jobs = number_of_jobs(n_jobs)
    require_columns(columns, source.columns(), "the data")
    before = tuple(dict.fromkeys(done))
    total, results = _results(source, columns, function, set(before), n_jobs, retries)
    value, finished = None, list(before)
    with Progress(total, progress, "parts") as bar:
        try:
            for names, result in results:
                with Unbroken():
                    value = result if len(finished) == len(before) else combine(value, result)
                    finished += names
                bar.add(len(names))
        except (Exception, KeyboardInterrupt) as error:
            return Mapped(value, tuple(finished), error)
    return Mapped(value, tuple(finished))


def _results(
    source: Source, columns: Sequence[str], function: MapFunction, done: set[str], n_jobs: int, retries: int
) -> tuple[int, Iterator[tuple[Sequence[str], Any]]]:
    """Return how many parts are to be done, and what yields names of parts with their joint result."""
    if isinstance(source, EngineSource):
        mapped = source.mapped(columns, function, done, retries)
        return source.n_partitions() - len(done), (((name,), result) for name, result in mapped)
    parts = source.parts()
    if parts is None:
        whole = [] if ALL_ROWS in done else [source]
        return len(whole), (((ALL_ROWS,), function(s.batches(columns))) for s in whole)
    left = [part for part in parts if part.name not in done]
    pieces = _pieces(left, PIECES_PER_PROCESS * n_jobs)
    results = in_order(_PieceTask(tuple(columns), function), pieces, n_jobs)
    names = [[part.name for part in piece] for piece in pieces]
    return len(left), zip(names, results, strict=True)


@dataclass(frozen=True, slots=True)
class _PieceTask:
    """What a process does with a few parts."""

    columns: tuple[str, ...]
    function: MapFunction

    def __call__(self, parts: Sequence[Part]) -> Any:
        batches: Iterator[Batch] = chain.from_iterable(part.batches(self.columns) for part in parts)
        return self.function(batches)


def _pieces(parts: Sequence[Part], most: int) -> list[Sequence[Part]]:
    """Return parts in at most so many runs of nearly equal length."""
    n = min(most, len(parts))
    cuts = [len(parts) * k // n for k in range(n + 1)] if n else []
    return [parts[a:b] for a, b in pairwise(cuts)]


@dataclass(frozen=True, slots=True)
class Work:
    """What is read of a source, and how.

    Attributes
    ----------
    source : Source
        The source.
    columns : tuple of str
        Columns that are read.
    n_jobs : int
        Number of processes.
    progress : bool or None
        Whether to draw a bar.
    """

    source: Source
    columns: tuple[str, ...]
    n_jobs: int
    progress: bool | None

    @property
    def is_mapped(self) -> bool:
        """Whether parts are worked on where they are, or in other processes."""
        return isinstance(self.source, EngineSource) or (self.n_jobs > 1 and self.source.parts() is not None)

    def mapped(self, function: Any, combine: Any, done: Iterable[str] = ()) -> Mapped:
        """Map the parts."""
        return map_parts(
            self.source,
            self.columns,
            function,
            combine,
            n_jobs=self.n_jobs,
            progress=self.progress,
            done=done,
        )
