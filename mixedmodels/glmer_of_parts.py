"""Fit a generalized linear mixed model to a source whose different rows are more than memory should hold.

The rows are put aside on disk, those of a level together, and each evaluation of the likelihood goes through
them once. One grouping factor, or several of which all are nested in one, let the rows be divided like that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import AbsentColumns, AbsentRows
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.checks import (
    check_design,
    check_response_varies,
    check_two_levels,
    refuse_offset,
    warn_unless_converged,
)
from mixedmodels.control import GlmerControl, Start, starting_values
from mixedmodels.engines.column_basis import orthogonal_if_needed
from mixedmodels.engines.generalized.parts import PartModel
from mixedmodels.engines.generalized.parts_fit import Given, PartsFit, fit_parts
from mixedmodels.engines.orthonormal import orthonormalize
from mixedmodels.errors import DataError, listed
from mixedmodels.factorization.threads import at_most
from mixedmodels.families.family import Family
from mixedmodels.fits.call import record_call
from mixedmodels.fits.level_parts import LevelRows
from mixedmodels.fits.row_summary import Predictors, RowSummary, summary_of_rows
from mixedmodels.fits.summed_design import (
    inverse_order,
    level_orders,
    predictors_of_stream,
    reordered,
    rowless_design,
)
from mixedmodels.formula.design.chunks import (
    FamilyChunk,
    StreamDesign,
    StreamRequest,
    family_chunk,
    level_tables,
)
from mixedmodels.formula.design.design import Design, RandomTerm
from mixedmodels.formula.design.fixed_effects import independent_columns
from mixedmodels.formula.design.level_tables import LevelTable
from mixedmodels.formula.design.random_effects import in_order_of_levels, unique_labels
from mixedmodels.formula.evaluation.input_frames import InputFrame, input_frame
from mixedmodels.machine import physical_memory
from mixedmodels.models.parted import PartedGeneralizedLinearMixedModel, RowCounts
from mixedmodels.moments import design_of_source
from mixedmodels.optimization.watch import Verbosity, say_what_was_done, watched
from mixedmodels.progress import Progress
from mixedmodels.streams.open_source import open_source
from mixedmodels.streams.source import Batch, Source, naming

#: Bytes that a fit takes for a row where all of them are in memory, nearly (measured).
BYTES_OF_ROW = 400
#: Different rows from which that is more than a quarter of the memory: divided they take twice the time.
MANY_ROWS = physical_memory() // 4 // BYTES_OF_ROW
#: Rows that are made arrays of at once.
ROWS_AT_ONCE = 500_000


@dataclass(frozen=True, slots=True)
class PartsAsked:
    """What is fitted, and how.

    Attributes
    ----------
    request : StreamRequest
        Formula and arguments.
    family : Family
        Distribution of the response.
    nodes : int or "auto"
        Nodes of the quadrature.
    observed : bool
        Whether log|L| takes the observed information.
    start : start
        Values to start from.
    options : GlmerControl
        Options.
    has_relmat : bool
        Whether levels are related.
    """

    request: StreamRequest
    family: Family
    nodes: int | Literal["auto"]
    observed: bool
    start: Start
    options: GlmerControl
    has_relmat: bool


def fit(
    opened: Source, asked: PartsAsked, verbose: Verbosity, error: DataError
) -> PartedGeneralizedLinearMixedModel:
    """Fit the model.

    Parameters
    ----------
    opened : Source
        The rows.
    asked : PartsAsked
        What is fitted.
    verbose : Verbosity
        What to say on the way.
    error : DataError
        Why the rows are not held in memory: what is raised where they cannot be divided by levels.
    """
    if reason := _why_not(opened, asked):
        raise DataError(f"{error} Rows divided by levels on disk would do, but {reason}.") from None
    design, columns = design_of_source(opened, asked.request)
    tables = level_tables(design)
    outer = _outermost(opened.batches(columns), design, tables) if len(design.groups) > 1 else 0
    if outer is None:
        names = [group.name for group in design.groups]
        raise DataError(
            f"{error} Rows divided by levels on disk would do where grouping factors are nested, and of "
            f"{listed(names)} none has all others nested in it: leave one of them out, or make one that has "
            "few levels a fixed effect."
        ) from None
    if len(design.terms) > 1 and asked.nodes != 1:
        raise DataError(f"{error} Rows divided by levels on disk would do, but for nAGQ=1 alone.") from None
    return _divided(_batches(opened, columns), design, asked, verbose, tables, outer)


def _outermost(batches: Iterable[Batch], design: StreamDesign, tables: tuple[LevelTable, ...]) -> int | None:
    """Return the grouping factor that all others are nested in, the levels of all entered into the tables."""
    n = len(design.groups)
    pairs = {(a, b): NestedLevels() for a in range(n) for b in range(n) if a != b}
    for batch in batches:
        with naming(batch):
            chunk = family_chunk(design, batch.frame, tables)
            if chunk is None:
                continue
            for (a, b), nested in pairs.items():
                nested.add(chunk.codes[a], chunk.codes[b])
    return next((b for b in range(n) if all(pairs[a, b].is_nested for a in range(n) if a != b)), None)


class NestedLevels:
    """Whether every level of one grouping factor has been met with one level of another only."""

    def __init__(self) -> None:
        self.is_nested = True
        self._parents: IntArray = np.empty(0, dtype=np.intp)

    def add(self, inner: IntArray, outer: IntArray) -> None:
        """Look at the levels of some rows."""
        if not self.is_nested:
            return
        missing = int(inner.max()) + 1 - len(self._parents)
        if missing > 0:
            self._parents = np.append(self._parents, np.full(missing, -1, dtype=np.intp))
        new = self._parents[inner] < 0
        self._parents[inner[new]] = outer[new]
        self.is_nested = bool((self._parents[inner] == outer).all())


def is_asked(asked: PartsAsked, n_different: int) -> bool:
    """Tell whether so many different rows, which memory could hold, are better divided by levels."""
    few = n_different < MANY_ROWS
    bars = asked.request.plan.bars
    return not (few or asked.has_relmat or asked.nodes in (0, "auto") or len(bars) != 1)


def fit_counted(
    table: pd.DataFrame, counts: IntArray, asked: PartsAsked, verbose: Verbosity
) -> PartedGeneralizedLinearMixedModel | None:
    """Fit the model to different rows, numbered from 0, and how often each occurs; None for several terms."""
    slices = [table[start : start + ROWS_AT_ONCE] for start in range(0, len(table), ROWS_AT_ONCE)]
    design, _ = design_of_source(open_source(slices), asked.request)
    if len(design.terms) != 1:
        return None
    batches = (Batch(one, "rows") for one in slices)
    return _divided(batches, design, asked, verbose, level_tables(design), 0, counts)


def _divided(
    batches: Iterable[Batch],
    design: StreamDesign,
    asked: PartsAsked,
    verbose: Verbosity,
    tables: tuple[LevelTable, ...],
    outer: int,
    counts: IntArray | None = None,
) -> PartedGeneralizedLinearMixedModel:
    """Put rows aside, fit the model, and say what was done."""
    with LevelRows(design, asked.family, outer) as rows:
        n_input, summary = _read(batches, design, tables, rows, counts)
        with watched("glmer", verbose), at_most(asked.options.n_threads):
            model = _fitted(asked, design, tables, rows, n_input, summary)
    say_what_was_done("glmer", verbose, model.optimization, model.convergence())
    return model


def _why_not(opened: Source, asked: PartsAsked) -> str:
    """Return why rows cannot be divided by levels; nothing if they can."""
    if opened.once:
        return "this source can be read only once: give a path, or a function that returns the reader"
    if asked.has_relmat:
        return "levels that relmat relates belong together"
    if asked.nodes in (0, "auto"):
        return f"not with nAGQ={asked.nodes!r}: give 1, or a number of nodes"
    return ""


def _read(
    batches: Iterable[Batch],
    design: StreamDesign,
    tables: tuple[LevelTable, ...],
    rows: LevelRows,
    counts: IntArray | None = None,
) -> tuple[int, RowSummary]:
    """Put rows aside, and return how many there are after `subset`, with their summary.

    With counts the labels of a row say which is its own.
    """
    n_input, summary = 0, RowSummary(predictors_of_stream(design))
    for batch in batches:
        with naming(batch):
            frame = input_frame(batch.frame)
            chunk = family_chunk(design, frame, tables)
            if chunk is not None:
                labels = chunk.input_index.to_numpy()
                n_input += len(labels) if counts is None else int(counts[labels].sum())
                check_two_levels(chunk.response)
                times = None if counts is None else counts[chunk.index.to_numpy()]
                rows.add(chunk, times)
                summary.absorb(_summary(summary.predictors, frame, chunk, times))
    return n_input, summary.with_order_of(level_orders(design.blueprint, {}))


def _summary(
    predictors: Predictors, frame: InputFrame, chunk: FamilyChunk, times: IntArray | None
) -> RowSummary:
    kept = np.asarray(frame.index.get_indexer(chunk.index), dtype=np.intp)
    offset = 0.0
    if chunk.offset is not None:
        offset = float(chunk.offset.sum() if times is None else times @ chunk.offset)
    return summary_of_rows(predictors, frame, kept, chunk.weights, offset=offset, times=times)


def _batches(opened: Source, columns: tuple[str, ...]) -> Iterator[Batch]:
    parts = opened.parts()
    if parts is None:
        yield from opened.batches(columns)
        return
    with Progress(len(parts), None, "parts") as bar:
        for part in parts:
            yield from part.batches(columns)
            bar.add(1)


def _fitted(
    asked: PartsAsked,
    stream: StreamDesign,
    tables: tuple[LevelTable, ...],
    rows: LevelRows,
    n_input: int,
    summary: RowSummary,
) -> PartedGeneralizedLinearMixedModel:
    """Fit the model to rows that were put aside."""
    assert rows.response is not None or not rows.n_rows
    kept = independent_columns(rows.fixed)
    design, order = _design(stream, tables, rows, n_input, kept)
    parts = rows.parts(kept, [len(table) for table in tables], order)
    check_response_varies(rows.range, design.response.text)
    refuse_offset(replace(design, offset=np.array([rows.largest_offset])), asked.family)
    check_design(design, asked.options, linear=False)
    bases = []
    for term, t in zip(design.random, order, strict=True):
        triangle = rows.random[t] * np.sqrt(len(rows.random[t]) / rows.n_rows)
        bases.append(orthogonal_if_needed(replace(term, Z=triangle))[1])
    model = PartModel(
        orthonormalize(rows.fixed[:, kept], None).R_inverse, tuple(bases), asked.family, asked.observed
    )
    assert isinstance(asked.nodes, int)
    found = fit_parts(parts, model, asked.nodes, _given(asked.start, design, len(kept)))
    found = replace(found, deviance=found.deviance + parts.files.deviance_within)
    places = [inverse_order(tables[rows.groups[t]].order())[parts.levels(k)] for k, t in enumerate(order)]
    found = _in_order(found, places)
    warn_unless_converged(found.estimates.convergence)
    request = asked.request
    call = record_call(None, request.weights, request.offset, request.subset, na_action=request.na_action)
    counts = RowCounts(
        rows.n_rows, rows.n_positive, rows.square, len(parts), stream.groups[rows.outer].name, summary
    )
    return PartedGeneralizedLinearMixedModel(design, counts, call, asked.family, found, asked.observed)


def _given(start: Start, design: Design, p: int) -> Given:
    """Return what the caller gave to start from."""
    if start is None:
        return Given(None, None)
    k = sum(term.structure.n_theta for term in design.random)
    names = ("theta", "fixef")
    return Given(starting_values(start, "theta", k, names), starting_values(start, "fixef", p, names))


def _design(
    stream: StreamDesign, tables: tuple[LevelTable, ...], rows: LevelRows, n_input: int, kept: Any
) -> tuple[Design, list[int]]:
    """Return the design as others see it, without rows, and the terms of the formula that its terms are."""
    n = rows.n_rows
    levels = [reordered(table.names(), table.order()) for table in tables]
    codes: Any = AbsentRows(n)
    built: list[tuple[RandomTerm, int]] = []
    for t, (term, g) in enumerate(zip(stream.terms, rows.groups, strict=True)):
        Z: Any = AbsentColumns(n, rows.random[t])
        built.append((replace(term, levels=levels[g], Z=Z, codes=codes), t))
    built = in_order_of_levels(built)
    labels, order = unique_labels([term.group for term, _ in built]), [t for _, t in built]
    random = tuple(replace(term, label=label) for (term, _), label in zip(built, labels, strict=True))
    recipes = tuple(stream.recipes[t] for t in order)
    design = rowless_design(stream, n, n_input, rows.fixed, kept, random, recipes, levels)
    absent: Any = AbsentRows(n)
    assert rows.response is not None
    design = replace(design, response=replace(rows.response, values=absent, failures=None))
    return design, order


def _in_order(found: PartsFit, places: list[IntArray]) -> PartsFit:
    """Return a fit with the effects of the levels where the design has them."""

    def moved(values: FloatArray, place: IntArray) -> FloatArray:
        ordered = np.empty_like(values)
        ordered[place] = values
        return ordered

    u = tuple(map(moved, found.estimates.u, places))
    estimates = replace(found.estimates, u=u)
    return replace(found, estimates=estimates, conditional=tuple(map(moved, found.conditional, places)))
