"""Fit a generalized linear mixed model to a source whose different rows are more than memory should hold.

The rows are put aside on disk, those of a level together, and each evaluation of the likelihood goes through
them once. One grouping factor, in one term, lets the rows be divided like that.
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
from mixedmodels.errors import DataError
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
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.fixed_effects import independent_columns
from mixedmodels.formula.design.level_tables import LevelTable
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
    if len(design.terms) != 1:
        raise DataError(
            f"{error} Rows divided by levels on disk would do for one random-effects term, but the formula "
            f"has {len(design.terms)}."
        ) from None
    return _divided(_batches(opened, columns), design, asked, verbose)


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
    return _divided((Batch(one, "rows") for one in slices), design, asked, verbose, counts)


def _divided(
    batches: Iterable[Batch],
    design: StreamDesign,
    asked: PartsAsked,
    verbose: Verbosity,
    counts: IntArray | None = None,
) -> PartedGeneralizedLinearMixedModel:
    """Put rows aside, fit the model, and say what was done."""
    tables = level_tables(design)
    with LevelRows(design, asked.family) as rows:
        n_input, summary = _read(batches, design, tables, rows, counts)
        with watched("glmer", verbose):
            model = _fitted(asked, design, tables[0], rows, n_input, summary)
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
    table: LevelTable,
    rows: LevelRows,
    n_input: int,
    summary: RowSummary,
) -> PartedGeneralizedLinearMixedModel:
    """Fit the model to rows that were put aside."""
    assert rows.response is not None or not rows.n_rows
    kept = independent_columns(rows.fixed)
    parts = rows.parts(kept, len(table))
    design = _design(stream, table, rows, n_input, kept)
    check_response_varies(rows.range, design.response.text)
    refuse_offset(replace(design, offset=np.array([rows.largest_offset])), asked.family)
    check_design(design, asked.options, linear=False)
    triangle = rows.random * np.sqrt(len(rows.random) / rows.n_rows)
    _, basis = orthogonal_if_needed(replace(design.random[0], Z=triangle))
    model = PartModel(
        orthonormalize(rows.fixed[:, kept], None).R_inverse, (basis,), asked.family, asked.observed
    )
    assert isinstance(asked.nodes, int)
    found = fit_parts(parts, model, asked.nodes, _given(asked.start, design, len(kept)))
    found = replace(found, deviance=found.deviance + parts.files.deviance_within)
    found = _in_order(found, inverse_order(table.order())[parts.levels()])
    warn_unless_converged(found.estimates.convergence)
    request = asked.request
    call = record_call(None, request.weights, request.offset, request.subset, na_action=request.na_action)
    counts = RowCounts(rows.n_rows, rows.n_positive, rows.square, len(parts), summary)
    return PartedGeneralizedLinearMixedModel(design, counts, call, asked.family, found, asked.observed)


def _given(start: Start, design: Design, p: int) -> Given:
    """Return what the caller gave to start from."""
    if start is None:
        return Given(None, None)
    k = design.random[0].structure.n_theta
    names = ("theta", "fixef")
    return Given(starting_values(start, "theta", k, names), starting_values(start, "fixef", p, names))


def _design(stream: StreamDesign, table: LevelTable, rows: LevelRows, n_input: int, kept: Any) -> Design:
    """Return the design as others see it: without rows."""
    n, levels = rows.n_rows, reordered(table.names(), table.order())
    Z: Any = AbsentColumns(n, rows.random)
    codes: Any = AbsentRows(n)
    term = replace(stream.terms[0], levels=levels, Z=Z, codes=codes)
    design = rowless_design(stream, n, n_input, rows.fixed, kept, (term,), stream.recipes, [levels])
    absent: Any = AbsentRows(n)
    assert rows.response is not None
    return replace(design, response=replace(rows.response, values=absent, failures=None))


def _in_order(found: PartsFit, place: Any) -> PartsFit:
    """Return a fit with the effects of the levels where the design has them."""

    def moved(values: FloatArray) -> FloatArray:
        ordered = np.empty_like(values)
        ordered[place] = values
        return ordered

    estimates = replace(found.estimates, u=tuple(map(moved, found.estimates.u)))
    return replace(found, estimates=estimates, conditional=tuple(map(moved, found.conditional)))
