"""What every table that is read in batches offers, whichever engine reads it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import pandas as pd

from mixedmodels.errors import DataError, FormulaError, listed

#: Memory of one batch as it is read, in bytes; what is made from it takes several times as much.
BATCH_BYTES = 16 * 2**20
#: A value of most columns, in bytes.
VALUE_BYTES = 8
#: Fewer rows are never read at a time: what a batch costs by itself would be felt.
FEWEST_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a table.

    Attributes
    ----------
    frame : DataFrame
        The columns asked for, in the order asked for, rows numbered from 0. Integers keep their type (as
        pandas' nullable integers where some are missing), strings and categories are Categorical.
    name : str
        Where the rows come from, as an error says it.
    """

    frame: pd.DataFrame
    name: str


#: What is made of the batches of one part; other processes must be able to import it.
MapFunction: TypeAlias = Callable[[Iterator[Batch]], Any]


class Part(Protocol):
    """A part of a table that can be read without the others, in another process too."""

    @property
    def name(self) -> str:
        """What the part is called; no two parts of a table have one name."""

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows of the part, with these columns."""


class Source(Protocol):
    """A table that is read in batches."""

    @property
    def once(self) -> bool:
        """Whether the rows can be read only once."""

    def columns(self) -> dict[str, str]:
        """Return the kind of each column, by name: one of `mixedmodels.streams.kinds.KINDS`."""

    def parts(self) -> Sequence[Part] | None:
        """Return the parts that other processes can read; None where rows come one after the other."""

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield all rows, with these columns."""


@runtime_checkable
class EngineSource(Source, Protocol):
    """A table whose engine can map its partitions by itself."""

    def mapped(
        self, columns: Sequence[str], function: MapFunction, done: Set[str], retries: int
    ) -> Iterator[tuple[str, Any]]:
        """Yield the name of each partition that is not done, once, with `function` of its batches."""

    def n_partitions(self) -> int:
        """Return the number of partitions."""


def rows_per_batch(n_columns: int) -> int:
    """Return how many rows of so many columns a batch holds.

    Examples
    --------
    >>> rows_per_batch(4)
    524288
    """
    return max(FEWEST_ROWS, BATCH_BYTES // (VALUE_BYTES * max(1, n_columns)))


def require_columns(asked: Iterable[str], known: Mapping[str, str] | Iterable[str], where: str) -> None:
    """Raise one error that lists all columns that a table does not have.

    Raises
    ------
    DataError
        Naming the table or the part of it, and columns of like names.
    """
    there = list(known)
    absent = [name for name in dict.fromkeys(asked) if name not in there]
    if absent:
        shown = []
        for name in absent:
            near = difflib.get_close_matches(name, there, n=3, cutoff=0.6)
            shown.append(f"{name!r}" + (f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""))
        noun = "column" if len(absent) == 1 else "columns"
        raise DataError(f"{where} {_has(where)} no {noun} {listed(shown)}. Its columns are: {listed(there)}")


def require_rows(batches: Iterator[Batch], where: str) -> Iterator[Batch]:
    """Yield the batches that have rows.

    Raises
    ------
    DataError
        At the end, if there was none.
    """
    empty = True
    for batch in batches:
        if len(batch.frame):
            empty = False
            yield batch
    if empty:
        raise DataError(f"{where} {_has(where)} no rows")


def _has(where: str) -> str:
    return "have" if where == "the data" else "has"


def cannot_read(name: str, error: BaseException) -> DataError:
    """Return the error about a part that an engine cannot read, with the first line of its reason."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return DataError(f"{name} cannot be read ({reason})")


@contextmanager
def naming(batch: Batch) -> Iterator[None]:
    """Name the batch in an error about it.

    Raises
    ------
    MixedModelsError
        The one raised inside.
    """
    try:
        yield
    except FormulaError as error:
        raise FormulaError(f"{batch.name}: {error.message}", error.text, error.position) from error
    except DataError as error:
        raise type(error)(f"{batch.name}: {error}") from error
