"""Spark DataFrames: partitions are mapped where they are, by Arrow batches (`mapInArrow`)."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from mixedmodels.errors import MixedModelsError
from mixedmodels.streams.arrow_frames import ArrowFrames
from mixedmodels.streams.libraries import arrow, library
from mixedmodels.streams.source import Batch, MapFunction, Part, cannot_read, require_columns, require_rows

#: Partitions of one job, for each that Spark computes at a time: a stop loses the job that is running.
WAVES_OF_JOB = 2


class SparkSource:
    """The rows of a Spark DataFrame; each pass runs its plan again.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The frame.
    """

    once = False

    def __init__(self, frame: Any) -> None:
        arrow(what="Spark DataFrames")
        self._frame = frame
        self._kinds = {name: _kind(kind) for name, kind in frame.dtypes}

    def columns(self) -> dict[str, str]:
        """Return the kind of each column."""
        return dict(self._kinds)

    def parts(self) -> Sequence[Part] | None:
        """Return None: only Spark can read its partitions, see `mapped`."""
        return None

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows in batches, partition by partition.

        Raises
        ------
        DataError
            If Spark cannot compute them.
        """
        records = self._in_arrow(columns, _as_bytes, "part int, result binary")
        yield from require_rows(self._read(columns, records), "the Spark DataFrame")

    def n_partitions(self) -> int:
        """Return the number of partitions."""
        return int(self._frame.rdd.getNumPartitions()) if _is_classic(self._frame) else 1

    def mapped(
        self, columns: Sequence[str], function: MapFunction, done: Set[str], retries: int
    ) -> Iterator[tuple[str, Any]]:
        """Yield the name of each partition that is not done, once, with `function` of its batches.

        Spark computes a partition again that is lost or fails, as often as `spark.task.maxFailures` says; its
        result is taken once.

        Raises
        ------
        DataError
            Naming a partition that cannot be read, if Spark knows which.
        """
        task = _PartitionTask(tuple(columns), self._kinds, function)
        for number, result in _rows(self._in_arrow(columns, task, "part int, result binary"), done):
            value = pickle.loads(result)
            if isinstance(value, MixedModelsError):
                raise value
            yield partition_name(number), value

    def _in_arrow(self, columns: Sequence[str], task: Any, schema: str) -> Any:
        require_columns(columns, self._kinds, "the Spark DataFrame")

        def run(records: Iterator[Any]) -> Iterator[Any]:
            return task(records)  # type: ignore[no-any-return]

        # Names of our own: mapInArrow looks columns up by name and trips over a dot in one.
        plain = [self._frame[_quoted(c)].alias(f"c{k}") for k, c in enumerate(columns)]
        return self._frame.select(plain).mapInArrow(run, schema)

    def _read(self, columns: Sequence[str], records: Any) -> Iterator[Batch]:
        frames = ArrowFrames(columns, self._kinds)
        with _Failing():
            for row in records.toLocalIterator():
                with arrow("ipc").open_stream(bytes(row.result)) as reader:
                    yield from frames.batches(_renamed(reader, columns), partition_name(row.part))


@dataclass(frozen=True, slots=True)
class _PartitionTask:
    """What a worker of Spark does with a partition: one row, its number and the pickled result."""

    columns: tuple[str, ...]
    kinds: Mapping[str, str]
    function: MapFunction

    def __call__(self, records: Iterator[Any]) -> Iterator[Any]:
        number = _partition_number()
        frames = ArrowFrames(self.columns, self.kinds)
        try:
            value = self.function(frames.batches(_renamed(records, self.columns), partition_name(number)))
        except MixedModelsError as error:  # what is wrong with the data is wrong again in a second attempt
            value = error
        yield _row(number, pickle.dumps(value))


def _renamed(records: Any, columns: Sequence[str]) -> Iterator[Any]:
    """Yield record batches under the names of the table's columns."""
    for record in records:
        yield arrow().RecordBatch.from_arrays(record.columns, names=list(columns))


def _as_bytes(records: Iterator[Any]) -> Iterator[Any]:
    """Send the record batches of a partition to the driver, each as bytes."""
    number = _partition_number()
    for record in records:
        sink = arrow().BufferOutputStream()
        with arrow("ipc").new_stream(sink, record.schema) as writer:
            writer.write_batch(record)
        yield _row(number, sink.getvalue().to_pybytes())


def _row(number: int, result: bytes) -> Any:
    columns = [arrow().array([number], arrow().int32()), arrow().array([result], arrow().binary())]
    return arrow().RecordBatch.from_arrays(columns, names=["part", "result"])


def _partition_number() -> int:
    return int(library("pyspark", "spark", "Spark DataFrames").TaskContext.get().partitionId())


def partition_name(number: int) -> str:
    """Return what a partition is called, counted from 1.

    Examples
    --------
    >>> partition_name(0)
    'Spark partition 1'
    """
    return f"Spark partition {number + 1}"


def _rows(frame: Any, done: Set[str]) -> Iterator[tuple[int, bytes]]:
    """Yield number and result of the partitions that are not done, some at a time."""
    with _Failing():
        if not _is_classic(frame):
            for row in frame.collect():
                if partition_name(row.part) not in done:
                    yield row.part, bytes(row.result)
            return
        rows, context = frame.rdd, frame.sparkSession.sparkContext
        wanted = [k for k in range(rows.getNumPartitions()) if partition_name(k) not in done]
        width = WAVES_OF_JOB * context.defaultParallelism
        for start in range(0, len(wanted), width):
            for row in context.runJob(rows, list, wanted[start : start + width]):
                yield row.part, bytes(row.result)


def _is_classic(frame: Any) -> bool:
    """Tell whether the driver is in this process (not Spark Connect)."""
    return hasattr(frame.sparkSession, "sparkContext")


class _Failing:
    """Turn errors of Spark into one that says what was read."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, MixedModelsError):
            return
        raise cannot_read("the Spark DataFrame", _cause(error)) from error


def _cause(error: Exception) -> Exception:
    """Return the error of a worker in Python, which Spark hands over as the text of its traceback."""
    lines = [line.strip() for line in str(error).splitlines()]
    raised = [line for line in lines if _RAISED.match(line)]
    return RuntimeError(raised[-1]) if raised else error


#: How the last line of a traceback begins.
_RAISED = re.compile(r"([A-Za-z_]\w*\.)*[A-Z]\w*(Error|Exception|Invalid)\b: ")


def _kind(name: str) -> str:
    """Return the kind of a type of Spark; its own name where no model can use it."""
    plain = name.partition("(")[0]
    return next((kind for kind, names in _KINDS.items() if plain in names), name)


_KINDS = {
    "integer": ("tinyint", "smallint", "int", "bigint"),
    "decimal": ("decimal",),
    "float": ("float", "double"),
    "boolean": ("boolean",),
    "string": ("string", "varchar", "char", "binary"),
    "datetime": ("date", "timestamp", "timestamp_ntz"),
    "duration": ("interval day to second",),
    "unknown": ("void",),
}


def _quoted(column: str) -> str:
    escaped = column.replace("`", "``")
    return f"`{escaped}`"
