"""Fit a generalized linear mixed model to a source that is read in batches, its equal rows counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from mixedmodels import glmer_of_parts, lmer_of_sums
from mixedmodels.arrays import IntArray
from mixedmodels.checks import (
    check_design,
    check_hessian,
    check_response_varies,
    check_two_levels,
    refuse_constant_levels,
    refuse_offset,
    warn_if_family_forgotten,
)
from mixedmodels.control import GlmerControl, Start
from mixedmodels.engines.generalized.equal_rows import FEWEST_ROWS, LARGEST_SHARE, LINEAR_FAMILIES
from mixedmodels.errors import ControlError, DataError, FamilyError
from mixedmodels.factorization.threads import at_most
from mixedmodels.families import initialize, log_constant, refuse_quasi
from mixedmodels.families.family import Family
from mixedmodels.fits.counted_design import CountedDesign, counted_design, with_like_rows_added
from mixedmodels.fits.row_summary import RowSummary, predictors_of, summary_of_rows
from mixedmodels.formula.design import counted_rows
from mixedmodels.formula.design.chunks import (
    StreamRequest,
    family_chunk,
    level_tables,
    stream_evaluator,
    stream_request,
)
from mixedmodels.formula.design.counted_rows import CountedRows, TooManyRows
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.first_pass import first_pass
from mixedmodels.formula.evaluation.evaluate import CONSTANTS, States
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.language.syntax_tree import names_in
from mixedmodels.generalized_request import maximized, refuse_for_linear, start_vector
from mixedmodels.models.counted import CountedGeneralizedLinearMixedModel
from mixedmodels.models.parted import PartedGeneralizedLinearMixedModel
from mixedmodels.models.summed import SummedLinearMixedModel
from mixedmodels.moments import design_of_source
from mixedmodels.optimization.watch import Verbosity, say_what_was_done, watched
from mixedmodels.progress import Progress
from mixedmodels.request import Request, read_request
from mixedmodels.streams.map_parts import map_parts
from mixedmodels.streams.open_source import open_source
from mixedmodels.streams.source import Batch, EngineSource, Source, naming

#: Families whose prior weights are no multiples of the log-likelihood of a row, for want of a dispersion.
TRIALS_WITH_A_PARAMETER = "betabinomial"
#: Rows that show which transformations of a formula learn from all.
ROWS_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is fitted, as :func:`mixedmodels.glmer` was asked.

    Attributes
    ----------
    family : Family
        Distribution of the response.
    is_forgotten : bool
        Whether no family was given.
    nodes : int or "auto"
        Nodes of the quadrature.
    method : {"ml", "pql"}
        Of estimation.
    hessian : {"observed", "expected"} or None
        Information in the approximation.
    dispersion : str or None
        Predictors of the dispersion.
    """

    family: Family
    is_forgotten: bool
    nodes: int | Literal["auto"]
    method: Literal["ml", "pql"]
    hessian: Literal["observed", "expected"] | None
    dispersion: str | None


def fit(
    formula: str,
    data: Any,
    wanted: Wanted,
    start: Start,
    options: GlmerControl,
    relmat: Mapping[str, Any] | None,
    verbose: Verbosity,
    asked: Mapping[str, Any],
) -> CountedGeneralizedLinearMixedModel | PartedGeneralizedLinearMixedModel | SummedLinearMixedModel:
    """Fit the model; arguments as for :func:`mixedmodels.glmer`.

    Parameters
    ----------
    wanted : Wanted
        What is fitted.
    asked : mapping
        Arguments that decide which rows there are.

    Raises
    ------
    FormulaError, DataError, FamilyError, ControlError
        If the formula, a batch, the family or an option is at fault.
    """
    family = wanted.family
    if wanted.dispersion is not None or wanted.method == "pql":
        raise ControlError("dispersion= and method='pql' need the rows in memory: give data as one table.")
    if family.name == "gaussian" and family.link.name == "identity":
        refuse_for_linear(wanted.nodes != 1 or wanted.hessian is not None)
        given = {name: None if value == "omit" else value for name, value in asked.items()}
        return lmer_of_sums.fit(formula, data, True, start, options, relmat, verbose, (None, None), given)
    refuse_quasi(family)
    check_hessian(wanted.hessian, family)
    opened = open_source(data)
    rows_asked = {name: asked[name] for name in _ROW_ARGUMENTS}
    parts = glmer_of_parts.PartsAsked(
        stream_request(formula, opened.columns(), **rows_asked),
        family, wanted.nodes, wanted.hessian != "expected", start, options, bool(relmat),
    )  # fmt: skip
    try:
        table, counts, states = counted_rows_of(opened, parts.request)
        if not are_multiples(family) or counts.sum() < FEWEST_ROWS:
            table, counts = _repeated(table, counts, family)
    except TooManyRows as error:
        return glmer_of_parts.fit(opened, parts, verbose, error)
    if states is None and glmer_of_parts.is_asked(parts, len(table)):
        divided = glmer_of_parts.fit_counted(table, counts, parts, verbose)
        if divided is not None:
            return divided

    def read(rows: pd.DataFrame) -> Request:
        return read_request(formula, rows, relmat=relmat, states=states, **asked)

    with naming_batch_at_fault(opened, parts.request):
        request = read(table)
    if wanted.is_forgotten:
        warn_if_family_forgotten("glmer", request.design)
    _require_random(request.design)
    counted = _read(request, table, family, counts, options)
    if counted.n_rows > len(counted.y) > LARGEST_SHARE * counted.n_rows:
        # Little would be gained: rows stay as they are, as in memory.
        table, counts = _repeated(table, counts, family)
        request = read(table)
        counted = _read(request, table, family, counts, options)
    with watched("glmer", verbose), at_most(options.n_threads):
        model = _fitted(counted, request, wanted, start)
    say_what_was_done("glmer", verbose, model.optimization, model.convergence())
    return model


@contextmanager
def naming_batch_at_fault(opened: Source, request: StreamRequest) -> Iterator[None]:
    """Name in an error the first batch that has it, where the rows can be read again."""
    try:
        yield
    except DataError:
        if not opened.once:
            design, columns = design_of_source(opened, request)
            tables = level_tables(design)
            for batch in opened.batches(columns):
                with naming(batch):
                    family_chunk(design, batch.frame, tables)
        raise


def _require_random(design: Design) -> None:
    if not design.random:
        raise ControlError(
            "the formula has no random effects, and models without them need the rows in memory: add a term "
            "such as (1 | g), or give glm() one table."
        )


def _fitted(
    counted: CountedDesign, request: Request, wanted: Wanted, start: Start
) -> CountedGeneralizedLinearMixedModel:
    """Fit the model to the different rows."""
    design, family = counted.design, wanted.family
    begin = start_vector(start, design, counted.y, counted.weights, family)
    problem, estimates = maximized(
        design, request.data, counted.y, counted.weights, counted.constant, family, wanted.nodes, begin,
        wanted.hessian,
    )  # fmt: skip
    call = replace(request.call, data=None)
    return CountedGeneralizedLinearMixedModel(counted, call, family, estimates, problem.observed, problem)


def _read(
    request: Request, table: pd.DataFrame, family: Family, counts: IntArray, options: GlmerControl
) -> CountedDesign:
    """Return response and weights as the family reads them, and refuse what it cannot have."""
    design = request.design
    check_two_levels(design.response)
    refuse_offset(design, family)
    try:
        y, weights = initialize(design.response, design.weights, family)
    except FamilyError as error:
        raise FamilyError(f"{error} (Rows are counted among the different rows of the source.)") from None
    check_response_varies(y, design.response.text)
    counted = counted_design(design, y, weights, log_constant(design, y, weights, family), counts)
    counted = replace(counted, summary=summary_of_table(design, table, counts))
    check_design(counted.without_rows(), options, linear=False)
    refuse_constant_levels(design, y, family)
    is_linear = family.name in LINEAR_FAMILIES and not family.phi_names
    if not is_linear or counted.n_rows < FEWEST_ROWS:
        return counted
    fewer = with_like_rows_added(counted, family)
    return fewer if len(fewer.y) <= LARGEST_SHARE * fewer.n_rows else counted


def summary_of_table(design: Design, table: pd.DataFrame, counts: IntArray) -> RowSummary:
    """Return what is known of all rows of a table of different ones, beside the design."""
    recipe, kept = design.recipe, np.asarray(design.index, dtype=np.intp)
    own = counts[kept]
    predictors = predictors_of(recipe.fixed, recipe.variables, recipe.offsets, recipe.offset_argument)
    offset = 0.0 if design.offset is None else float(own @ design.offset)
    summary = summary_of_rows(predictors, input_frame(table), kept, design.weights, offset=offset, times=own)
    return summary.with_order_of(recipe.states.levels)


def are_multiples(family: Family) -> bool:
    """Tell whether a prior weight of 2 is the same as a row that occurs twice."""
    return not family.has_dispersion and TRIALS_WITH_A_PARAMETER not in family.name


def _repeated(table: pd.DataFrame, counts: IntArray, family: Family) -> tuple[pd.DataFrame, IntArray]:
    """Return every row as often as it occurs.

    Raises
    ------
    TooManyRows
        If that takes too much memory.
    """
    if (counts == 1).all():
        return table, counts
    n = int(counts.sum())
    if n * table.memory_usage(index=False).sum() / len(table) > counted_rows.MOST_BYTES:
        raise TooManyRows(
            f"the {family.name} family needs every row by itself, and {n:,} rows take more than "
            f"{counted_rows.MOST_BYTES / 2**30:.0f} GB: fit a sample of the levels."
        )
    rows = np.repeat(np.arange(len(table)), counts)
    return table.take(rows).reset_index(drop=True), np.ones(n, dtype=np.intp)


def counted_rows_of(source: Source, request: StreamRequest) -> tuple[pd.DataFrame, IntArray, States | None]:
    """Return the different rows of a source, how often each occurs and what transformations learn of all."""
    known = source.columns()
    names = [name for name in request.columns() if name in known or name not in CONSTANTS]
    # The response last: rows that differ in it alone then stand together.
    assert request.formula.response is not None
    last = {name.name for name in names_in(request.formula.response)}
    names.sort(key=last.__contains__)
    count = _Count({name: known.get(name, "unknown") for name in names})
    if isinstance(source, EngineSource):
        rows = map_parts(source, names, count, _combined).complete()
    else:
        rows = _in_turn(source, names, count)
    table, counts = rows.table()
    return table, counts, _learnt(request, table, counts)


_ROW_ARGUMENTS = ("weights", "offset", "subset", "na_action", "contrasts", "env")


@dataclass(frozen=True, slots=True)
class _Count:
    """The counted rows of a part, or of several."""

    kinds: Mapping[str, str]

    def __call__(self, batches: Iterator[Batch]) -> CountedRows:
        found = CountedRows(self.kinds)
        for batch in batches:
            with naming(batch):
                found.add(batch.frame)
        return found


def _in_turn(source: Source, names: list[str], count: _Count) -> CountedRows:
    """Count the rows of a source in this process, with a bar where it has parts."""
    parts = source.parts()
    if parts is None:
        return count(source.batches(names))
    with Progress(len(parts), None, "parts") as bar:

        def batches() -> Iterator[Batch]:
            for part in parts:
                yield from part.batches(names)
                bar.add(1)

        return count(batches())


def _combined(one: CountedRows, other: CountedRows) -> CountedRows:
    one.absorb(other)
    return one


def _learnt(request: StreamRequest, table: pd.DataFrame, counts: IntArray) -> States | None:
    """Return what transformations such as ``scale(x)`` learn from all rows; None where there are none."""
    stateful = first_pass(request, table.head(ROWS_LOOKED_AT)).stateful
    if not stateful or (counts == 1).all():
        return None
    states = States()
    rows = np.repeat(np.arange(len(table)), counts)
    for node in stateful.values():
        names = list(dict.fromkeys(name.name for name in names_in(node) if name.name in table))
        stream_evaluator(request, table[names].take(rows), states, training=True).column(node)
    return States(states.transforms)
