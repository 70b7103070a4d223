"""Sums over the rows of a design, from which linear mixed models are fitted: data larger than memory."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from mixedmodels.advice import advises
from mixedmodels.arrays import IntArray
from mixedmodels.control import whole_number
from mixedmodels.engines.moments.sums import Sums, empty_sums
from mixedmodels.errors import DataError
from mixedmodels.fits.call import Call, record_call
from mixedmodels.fits.moments_file import Stored, read_moments, write_moments
from mixedmodels.fits.private_levels import (
    added_cells,
    hashed_tables,
    joined_cells,
    key_bytes,
    no_cells,
    refuse_small_cells,
    renumbered,
    without_level_names,
)
from mixedmodels.fits.row_summary import RowSummary, summary_of_rows
from mixedmodels.fits.same_design import refuse_other_design
from mixedmodels.fits.summed_design import (
    SummedDesign,
    joined_rows,
    predictors_of_stream,
    summed_columns,
    summed_design,
)
from mixedmodels.formula.design.chunks import (
    ChunkRows,
    StreamDesign,
    StreamRequest,
    chunk_rows,
    level_tables,
    stream_design,
    stream_request,
)
from mixedmodels.formula.design.design import NaAction
from mixedmodels.formula.design.first_pass import FirstPass, first_pass
from mixedmodels.formula.design.level_tables import LevelTable, absorb
from mixedmodels.formula.evaluation.evaluate import CONSTANTS
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.machine import physical_memory
from mixedmodels.parallel import number_of_jobs
from mixedmodels.progress import Progress
from mixedmodels.sql.queries import MomentQueries
from mixedmodels.sql.result import sums_from_sql
from mixedmodels.streams.map_parts import ALL_ROWS, Mapped, Unbroken, Work
from mixedmodels.streams.open_source import open_source
from mixedmodels.streams.source import Batch, Source, naming

#: Rows that are gathered before the basis of the sums is taken from them, for each column.
ROWS_PER_COLUMN = 20
#: What is said to those who stopped a sum.
STOPPED = (
    "What was summed up to here is not lost: it is the attribute moments of this exception "
    "(sys.last_value.moments at a prompt), and moments(formula, source, into=it) goes on from there."
)
#: Bytes of the sums by pairs of levels of two crossed factors beyond which they are refused: a sixth of the
#: memory, for merging them, and what a fit makes of them, takes three times as much.
MOST_PAIR_BYTES = max(2**30, physical_memory() // 6)
#: Pairs of levels that a factorization can number.
MOST_PAIRS = 2**31 - 1
#: In place of the number of batches that were counted of a part: it is counted to its end.
COMPLETE = -1


class Moments:
    """The sums over its rows that are all a linear mixed model needs to know of its data.

    Made by :func:`moments`, added by ``+``, kept by :meth:`save` and fitted by :func:`mixedmodels.lmer`.
    They are sums by level of every grouping factor, and by pair of levels of every two: as large as the
    levels, whatever the number of rows.

    Parameters
    ----------
    design : StreamDesign
        How tables become arrays.
    tables : tuple of LevelTable
        Levels of the grouping factors.
    """

    def __init__(self, design: StreamDesign, tables: tuple[LevelTable, ...]) -> None:
        self._design = design
        self._tables = tables
        self._sums: Sums | None = None
        self._first: list[ChunkRows] = []
        self._n_input = 0
        self._done: dict[str, int] = {}
        self._cells: list[IntArray] | None = None
        self._is_hashed = False
        self._summary: RowSummary | None = RowSummary(predictors_of_stream(design))

    def add(self, batch: Batch, part: str) -> None:
        """Add the rows of a batch, all of them or, where something is wrong with them, none.

        Parameters
        ----------
        batch : Batch
            The rows.
        part : str
            The part of the source that it belongs to, of which one more batch is counted.
        """
        counts = [len(table) for table in self._tables]
        frame, summary = input_frame(batch.frame), None
        try:
            rows = chunk_rows(self._design, frame, self._tables)
            if rows is not None and rows.U.size and self._summary is not None:
                X = rows.U[np.argsort(self._design.order)].T if rows.weights is not None else None
                summary = summary_of_rows(
                    self._summary.predictors, frame, rows.kept, rows.weights, offset=rows.offset, X=X
                )
        except BaseException:
            for table, count in zip(self._tables, counts, strict=True):
                table.truncate(count)
            raise
        with Unbroken():
            self._done[part] = self._done.get(part, 0) + 1
            if rows is None:
                return
            self._n_input += rows.n_input
            if not rows.U.shape[1]:
                return
            if self._summary is not None and summary is not None:
                self._summary.absorb(summary)
            self._first.append(rows)
            if self._cells is not None:
                self._cells = [
                    added_cells(count, codes, len(table))
                    for count, codes, table in zip(self._cells, rows.codes, self._tables, strict=True)
                ]
            waiting = sum(chunk.U.shape[1] for chunk in self._first)
            if waiting >= ROWS_PER_COLUMN * len(rows.U):
                self._enter()

    def add_part(self, name: str, batches: Iterable[Batch]) -> None:
        """Add the batches of a part that were not counted before."""
        counted = self._done.get(name, 0)
        if counted == COMPLETE:
            return
        for k, batch in enumerate(batches):
            if k >= counted:
                with naming(batch):
                    self.add(batch, name)
        self._done[name] = COMPLETE

    def absorb(self, other: Moments) -> None:
        """Add the sums of other rows of the same design, whose own are used up.

        Raises
        ------
        DataError
            If the levels of one are hashed and of the other not.
        """
        if self._is_hashed != other._is_hashed:
            raise DataError(
                "moments with hashed levels and with names cannot be added: hash both by one key."
            )
        if other._sums is not None or other._first:
            theirs = other.sums
            if self._sums is None and not self._first:
                self._sums, self._tables, self._cells = theirs, other._tables, other._cells
            else:
                ours = self.sums
                theirs.to_basis_of(ours)
                places = [
                    absorb(here, there) for here, there in zip(self._tables, other._tables, strict=True)
                ]
                sizes = [len(table) for table in self._tables]
                ours.absorb(theirs, places, sizes)
                self._cells = joined_cells(self._cells, other._cells, places, sizes)
        if self._summary is not None and other._summary is not None:
            self._summary.absorb(other._summary)
        else:
            self._summary = None
        self._n_input += other._n_input
        self._done |= other._done

    def _enter(self) -> None:
        """Enter gathered rows into the sums."""
        if not self._first:
            return
        rows = joined_rows(self._first, self._tables)
        if self._sums is None:
            self._sums = empty_sums(summed_columns(self._design), rows)
        self._sums.add(rows)
        self._first = []
        self._refuse_large_pairs()

    def _refuse_large_pairs(self) -> None:
        """Raise where two crossed factors meet in more pairs of levels than memory should hold."""
        assert self._sums is not None
        for (a, b), pairs in self._sums.pairs.items():
            if pairs.nbytes > MOST_PAIR_BYTES or pairs.n_pairs > MOST_PAIRS:
                pairs.shorten()
            if pairs.nbytes > MOST_PAIR_BYTES or pairs.n_pairs > MOST_PAIRS:
                one, other = self._design.groups[a].name, self._design.groups[b].name
                raise DataError(
                    f"{one} and {other} meet in {pairs.n_pairs:,} pairs of levels and more, whose sums take "
                    f"{pairs.nbytes / 2**30:.1f} GB: too much for sums of crossed factors on this machine. "
                    f"Leave one of them out, or make {other} a fixed effect if it has few levels."
                )

    @property
    def sums(self) -> Sums:
        """The sums themselves.

        Raises
        ------
        DataError
            If no row was used.
        """
        self._enter()
        if self._sums is None or not self._sums.n_rows:
            raise DataError("0 (non-NA) cases: no row of the source is in use")
        return self._sums

    @property
    def nobs(self) -> int:
        """Number of rows used."""
        return self.sums.n_rows

    def ngrps(self) -> dict[str, int]:
        """Return the number of levels of each grouping factor."""
        return {group.name: len(t) for group, t in zip(self._design.groups, self._tables, strict=True)}

    @property
    def nbytes(self) -> int:
        """Bytes of the sums."""
        return self.sums.nbytes

    def formula(self) -> str:
        """Return the formula."""
        return str(self._design.blueprint.request.formula)

    def __repr__(self) -> str:
        groups = ", ".join(f"{name} ({count:,})" for name, count in self.ngrps().items())
        terms = ", ".join(f"({term.expression})" for term in self._design.terms)
        return (
            f"Moments of {self.formula()}\n"
            f"Rows: {self.nobs:,} used, {self._n_input - self.nobs:,} dropped\n"
            f"Levels: {groups}\nRandom terms: {terms}; fixed columns: {len(self._design.order)}\n"
            f"Size: {self.nbytes / 1e6:,.1f} MB"
        )

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of the rows of both, levels matched by name.

        Raises
        ------
        DataError
            If they are not of the same design.
        """
        if not isinstance(other, Moments):
            return NotImplemented
        refuse_other_design(self._design, other._design)
        total = copy.deepcopy(self)
        total.absorb(copy.deepcopy(other))
        return total

    def absorb_parts(self, mapped: Mapped) -> None:
        """Add what a map over parts has given, whole or not."""
        if mapped.value is not None:
            mapped.value._done = {}
            self.absorb(mapped.value)
        self._done |= dict.fromkeys(mapped.finished, COMPLETE)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the moments to a file.

        Parameters
        ----------
        path : path
            Where to; what was there before stays until all is written.

        Raises
        ------
        DataError
            If `env` or the contrasts hold what no text says, such as a function.
        """
        write_moments(
            Stored(
                self._design,
                self._tables,
                self.sums,
                self._n_input,
                self._done,
                self._summary,
                self._is_hashed,
            ),
            path,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Moments:
        """Read moments that :meth:`save` wrote; nothing in the file is executed.

        Parameters
        ----------
        path : path
            The file.

        Raises
        ------
        DataError
            If it is no file of moments.
        """
        return cls._of(read_moments(path))

    @classmethod
    def from_sql(cls, queries: MomentQueries, results: Mapping[str, Any] | Callable[[str], Any]) -> Moments:
        """Take the sums that the queries of :func:`moments_sql` have made.

        Parameters
        ----------
        queries : MomentQueries
            The queries.
        results : mapping or callable
            The table that each query returned, by its name, or a function that runs the text of one:
            ``lambda text: connection.sql(text).df()``.

        Raises
        ------
        DataError
            If a result is absent or is not of this query, levels occur that `levels` did not name, a value is
            infinite, or the table was changed between the queries.
        """
        return cls._of(sums_from_sql(queries, results))

    @classmethod
    def _of(cls, stored: Stored) -> Moments:
        found = cls(stored.design, stored.tables)
        found._sums, found._n_input, found._done = stored.sums, stored.n_input, stored.done
        found._is_hashed, found._summary = stored.is_hashed, stored.summary
        return found

    def hashed(self, key: bytes) -> Moments:
        """Return the moments with the levels of grouping factors behind a keyed hash.

        Names of parts are left out, and the order of the levels is that of the hashes.
        """
        design = without_level_names(self._design)
        names = [group.name for group in design.groups]
        tables, places = hashed_tables(self._tables, names, key)
        sums = renumbered(self.sums, summed_columns(design), places)
        return Moments._of(Stored(design, tables, sums, self._n_input, {}, self._summary, is_hashed=True))

    def finished(self) -> tuple[str, ...]:
        """Return the names of the parts that are counted to their end."""
        return tuple(name for name, count in self._done.items() if count == COMPLETE)

    def finish(self) -> None:
        """Enter the rows that wait for others into the sums."""
        with Unbroken():
            self._enter()

    def __radd__(self, other: Any) -> Moments:
        """Let ``sum()`` begin with 0."""
        return self if other == 0 else NotImplemented

    def call(self) -> Call:
        """Return how the moments were asked for, as the printed text of a model repeats it."""
        request = self._design.blueprint.request
        return record_call(None, request.weights, request.offset, request.subset, na_action=request.na_action)

    def fitting_design(self, relmat: Mapping[str, Any]) -> SummedDesign:
        """Return names and places of the model that is fitted to the sums."""
        return summed_design(self._design, self._tables, self.sums, self._n_input, relmat, self._summary)


@advises
def moments(
    formula: str,
    source: Any,
    *,
    levels: Mapping[str, Any] | None = None,
    weights: str | npt.ArrayLike | None = None,
    offset: str | npt.ArrayLike | None = None,
    subset: str | npt.ArrayLike | None = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    into: Moments | None = None,
    hash_levels: str | bytes | None = None,
    min_cell: int | None = None,
    n_jobs: int = 1,
    progress: bool | None = None,
) -> Moments:
    """Sum what a linear mixed model needs to know of its rows, batch by batch.

    Parameters
    ----------
    formula : str
        lme4 formula.
    source : path, Dataset, relation, LazyFrame, Dask or Spark DataFrame, or iterable of frames
        The rows. They are read once where the formula has neither factors among its fixed effects and random
        slopes nor transformations that remember numbers, such as ``scale(x)``; twice otherwise.
    levels : mapping, optional
        Levels of such factors, ``{"f": ["a", "b", "c"]}``: with all of them one reading is enough.
    weights, offset, subset : str, optional
        A column or an expression of columns, as for :func:`mixedmodels.lmer`.
    na_action : {"omit", "exclude", "fail", "pass"}
        What to do with rows in which a variable is missing.
    contrasts, env : mapping, optional
        As for :func:`mixedmodels.lmer`.
    into : Moments, optional
        Moments of the batches of this source that were summed before a stop: none of them is counted twice.
        They are changed in place. Rows of other sources are added by ``+``.
    hash_levels : str or bytes, optional
        A secret by which names of levels of grouping factors are replaced by their HMAC-SHA256, for a file
        that leaves its site. Sites that share it can add their moments.
    min_cell : int, optional
        The fewest rows that a level of a grouping factor may have; an error says how many have less.
    n_jobs : int
        Number of processes for files in parts; -1 is one for each processor. Parquet is decoded by threads
        of its own, so that two gain little; Dask and Spark have workers of their own.
    progress : bool, optional
        Whether to draw a bar; by default where someone is watching.

    Returns
    -------
    Moments

    Raises
    ------
    FormulaError, DataError
        If the formula or a batch is at fault; the message names the batch.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> d = mm.load_dataset("sleepstudy")
    >>> sums = mm.moments("Reaction ~ Days + (Days | Subject)", [d[:100], d[100:]])
    >>> mm.lmer(sums).fixef().round(3).tolist()
    [251.405, 10.467]
    """
    key = None if hash_levels is None else key_bytes(hash_levels)
    least = None if min_cell is None else whole_number("min_cell", min_cell, 1)
    if into is not None and (into._is_hashed or least is not None):
        raise DataError(
            "into= goes on with moments that have names and no min_cell=: what is hashed is complete, and "
            "small cells are counted from the first row."
        )
    opened = open_source(source)
    request = stream_request(
        formula, opened.columns(), weights=weights, offset=offset, subset=subset, na_action=na_action,
        contrasts=contrasts, env=env,
    )  # fmt: skip
    work = Work(opened, tuple(_read_columns(request, opened)), number_of_jobs(n_jobs), progress)
    stream: Iterable[Batch] = ()
    if into is None:
        into, stream = _begin(work, request, levels)
        into._cells = None if least is None else no_cells(len(into._tables))
    elif into.formula() != str(request.formula):
        raise DataError(f"into= holds moments of {into.formula()}, which is not {request.formula}.")
    try:
        _sum_up(work, into, stream)
    except (Exception, KeyboardInterrupt) as error:
        setattr(error, "moments", into)  # noqa: B010 - exceptions of any kind carry it
        error.add_note(STOPPED)
        raise
    if least is not None and into._cells is not None:
        factors = [group.name for group in into._design.groups]
        refuse_small_cells(factors, into._tables, into._cells, least)
    if (least is not None or key is not None) and into._summary is not None:
        into._summary = into._summary.without_extremes()
    return into if key is None else into.hashed(key)


def _read_columns(request: StreamRequest, opened: Source) -> list[str]:
    known = opened.columns()
    return [name for name in request.columns() if name in known or name not in CONSTANTS]


def _begin(
    work: Work, request: StreamRequest, levels: Mapping[str, Any] | None
) -> tuple[Moments, Iterable[Batch]]:
    """Return moments of no rows, and the batches of a source that can be read only once."""
    design, stream = _looked_at(work, request, levels)
    return Moments(design, level_tables(design)), stream


def design_of_source(opened: Source, request: StreamRequest) -> tuple[StreamDesign, tuple[str, ...]]:
    """Return how the tables of a source that can be read twice become arrays, and the columns to read."""
    work = Work(opened, tuple(_read_columns(request, opened)), 1, False)
    return _looked_at(work, request, None)[0], work.columns


def _looked_at(
    work: Work, request: StreamRequest, levels: Mapping[str, Any] | None
) -> tuple[StreamDesign, Iterable[Batch]]:
    """Return the design that a first pass gives, and the batches of a source that can be read only once."""
    stream = iter(work.source.batches(work.columns))
    waiting: list[Batch] = []
    for batch in stream:
        waiting.append(batch)
        if len(batch.frame):
            break
    else:
        raise DataError("0 (non-NA) cases: the source has no rows")
    if isinstance(stream, Generator) and not work.source.once:
        stream.close()
    with naming(waiting[-1]):
        strings = frozenset(name for name, kind in work.source.columns().items() if kind == "string")
        gathered = first_pass(request, waiting[-1].frame, levels, strings)
    if gathered.is_needed:
        if work.source.once:
            raise DataError(
                f"{', '.join([*gathered.factors, *gathered.stateful])} must be known of all rows before they "
                "are summed, and this source can be read only once. Give levels= of factors and numbers in "
                "place of transformations, as in I((x - 10) / 2), or a source that can be read twice, such "
                "as a path or a list of frames."
            )
        if work.is_mapped:
            gathered = work.mapped(_Look(gathered), FirstPass.joined).complete()
        else:
            for batch in work.source.batches(work.columns):
                with naming(batch):
                    gathered.add(batch.frame)
    design = stream_design(gathered.blueprint())
    return design, chain(waiting, stream) if work.source.once else ()


@dataclass(frozen=True, slots=True)
class _Look:
    """The first pass over a part."""

    empty: FirstPass

    def __call__(self, batches: Iterator[Batch]) -> FirstPass:
        found = copy.deepcopy(self.empty)
        for batch in batches:
            with naming(batch):
                found.add(batch.frame)
        return found


@dataclass(frozen=True, slots=True)
class _Sum:
    """The sums of a part, or of several."""

    design: StreamDesign
    counts_cells: bool

    def __call__(self, batches: Iterator[Batch]) -> Moments:
        found = Moments(self.design, level_tables(self.design))
        found._cells = no_cells(len(found._tables)) if self.counts_cells else None
        for batch in batches:
            with naming(batch):
                found.add(batch, batch.name)
        found.finish()
        return found


def _sum_up(work: Work, into: Moments, stream: Iterable[Batch]) -> None:
    """Add all parts that are not counted yet."""
    if work.is_mapped:
        mapped = work.mapped(_Sum(into._design, into._cells is not None), _combined, into.finished())
        into.absorb_parts(mapped)
        mapped.complete()
        return
    parts = work.source.parts()
    if parts is None:
        into.add_part(ALL_ROWS, stream if work.source.once else work.source.batches(work.columns))
    else:
        with Progress(len(parts), work.progress, "parts") as bar:
            for part in parts:
                into.add_part(part.name, part.batches(work.columns))
                bar.add(1)
    into.finish()


def _combined(one: Moments, other: Moments) -> Moments:
    one.absorb(other)
    return one
