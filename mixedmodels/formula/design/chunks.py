"""Designs of a stream of tables: the recipe that all of them share, and the arrays of one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import DataError, FormulaError, FormulaWarning, warn
from mixedmodels.formula.design.build import ModelPlan, model_plan
from mixedmodels.formula.design.coding import MatrixRecipe, matrix_recipe, model_matrix
from mixedmodels.formula.design.design import NaAction, RandomTerm, Response
from mixedmodels.formula.design.level_tables import ColumnLevels, CombinedLevels, LevelTable
from mixedmodels.formula.design.model_frame import ModelFrame, build_model_frame, sum_of
from mixedmodels.formula.design.random_effects import BarPlan, random_matrix, random_terms
from mixedmodels.formula.design.readings import warn_about_columns, warn_about_formula
from mixedmodels.formula.design.recipe import RandomRecipe
from mixedmodels.formula.design.response import response
from mixedmodels.formula.evaluation.columns import Column, Factor
from mixedmodels.formula.evaluation.evaluate import Evaluator, States, as_numbers
from mixedmodels.formula.evaluation.evaluator import formula_evaluator
from mixedmodels.formula.evaluation.input_frames import InputFrame, input_frame
from mixedmodels.formula.evaluation.magnitude import refuse_extreme
from mixedmodels.formula.language.bars import SPATIAL
from mixedmodels.formula.language.parse import ParsedFormula, parse_expression, parse_formula
from mixedmodels.formula.language.syntax_tree import Binary, Node, deparse, names_in, strip_parens


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StreamRequest:
    """What a model of a stream of tables is asked for.

    Attributes
    ----------
    formula : ParsedFormula
        The formula.
    plan : ModelPlan
        Its terms and variables.
    weights, offset, subset : str or None
        Expressions of columns.
    na_action : {"omit", "exclude", "fail", "pass"}
        What to do about missing values.
    contrasts : mapping
        Coding of factors in the fixed effects.
    env : mapping
        Further names the formula may use.
    given_columns : tuple of str
        What a dot in the formula stands for; empty where there is none.
    """

    formula: ParsedFormula
    plan: ModelPlan
    weights: str | None
    offset: str | None
    subset: str | None
    na_action: NaAction
    contrasts: Mapping[str, Any]
    env: Mapping[str, Any]
    given_columns: tuple[str, ...] = ()

    def columns(self) -> list[str]:
        """Return the names of the columns that are read, for any that `env` has not."""
        nodes = list(self.plan.variables.values())
        nodes += [parse_expression(a) for a in (self.weights, self.offset, self.subset) if a is not None]
        names = dict.fromkeys(name.name for node in nodes for name in names_in(node))
        return [name for name in names if name not in self.env]


def stream_request(
    formula: str | ParsedFormula,
    columns: Iterable[str],
    *,
    weights: Any,
    offset: Any,
    subset: Any,
    na_action: NaAction,
    contrasts: Mapping[str, Any] | None,
    env: Mapping[str, Any] | None,
) -> StreamRequest:
    """Read a formula, and refuse arguments that are arrays: a stream has no rows to match them to.

    Raises
    ------
    FormulaError
        If the formula cannot be read or has no response.
    DataError
        If an argument is an array.
    """
    parsed = formula if isinstance(formula, ParsedFormula) else parse_formula(formula)
    if parsed.response is None:
        raise FormulaError("the formula has no response: write y ~ ...", parsed.text, 0)
    for name, argument in (("weights", weights), ("offset", offset), ("subset", subset)):
        if argument is not None and not isinstance(argument, str):
            raise DataError(
                f"{name} must be the name of a column or an expression of columns: an array cannot be "
                "matched to rows that come in batches."
            )
    for name, value in (env or {}).items():
        if not callable(value) and np.ndim(value) > 0:
            raise DataError(
                f"env[{name!r}] holds an array, which cannot be matched to rows that come in batches: put it "
                "into the source as a column."
            )
    dots = any(name.name == "." for name in names_in(parsed.fixed))
    given = tuple(columns) if dots else ()
    plan = model_plan(parsed, given if dots else None)
    warn_about_formula(parsed, plan.fixed, plan.bars)
    return StreamRequest(parsed, plan, weights, offset, subset, na_action, contrasts or {}, env or {}, given)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Blueprint:
    """What all tables of a stream are read by.

    Attributes
    ----------
    request : StreamRequest
        What was asked for.
    states : States
        State of the transformations, levels and kinds of columns, that all rows left behind.
    schema : DataFrame
        One made-up row with the types of the columns, from which columns of models are named.
    used : dict
        Printed variable -> the levels that rows in use have, for factors outside of grouping factors.
    places : dict
        Printed bar -> distinct values of its variables, for processes over places.
    text : frozenset of str
        Columns of text, which may come as categories in the order in which they occur.
    """

    request: StreamRequest
    states: States
    schema: pd.DataFrame
    used: dict[str, tuple[str, ...]]
    places: dict[str, pd.DataFrame]
    text: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GroupPlan:
    """A grouping factor and the columns whose effects vary over its levels, each once.

    Attributes
    ----------
    name : str
        Name of the factor.
    node : Node
        What it is.
    columns : tuple of (int, int)
        For each column: a term and its place in that term's matrix.
    has_ones : bool
        Whether the first of them is constant one.
    in_fixed : tuple of int or None
        The same columns among those of the fixed effects; None if some are not there.
    """

    name: str
    node: Node
    columns: tuple[tuple[int, int], ...]
    has_ones: bool
    in_fixed: tuple[int, ...] | None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StreamDesign:
    """How tables become arrays.

    Attributes
    ----------
    blueprint : Blueprint
        What they are read by.
    fixed : MatrixRecipe
        Of the fixed effects, dependent columns included.
    terms : tuple of RandomTerm
        Random-effects terms in the order of the formula, without rows and levels.
    recipes : tuple of RandomRecipe
        Of their columns.
    groups : tuple of GroupPlan
        Grouping factors.
    of_term : tuple of (int, tuple of int)
        For each term its grouping factor and the places of its columns among that factor's.
    order : tuple of int
        Fixed-effects column at each place of U: those that share sums with random slopes first.
    """

    blueprint: Blueprint
    fixed: MatrixRecipe
    terms: tuple[RandomTerm, ...]
    recipes: tuple[RandomRecipe, ...]
    groups: tuple[GroupPlan, ...]
    of_term: tuple[tuple[int, tuple[int, ...]], ...]
    order: tuple[int, ...]


def stream_design(blueprint: Blueprint) -> StreamDesign:
    """Return how tables become arrays under a blueprint."""
    plan = blueprint.request.plan
    columns = _schema_columns(blueprint)
    warn_about_columns(plan.fixed, plan.bars, columns)
    fixed = matrix_recipe(plan.fixed, columns, blueprint.request.contrasts)
    pairs = [pair for bar in plan.bars for pair in _bar_terms(blueprint, bar, columns)]
    pairs = _once(pairs, blueprint.request.formula)
    terms, recipes = tuple(term for term, _ in pairs), tuple(recipe for _, recipe in pairs)
    groups, of_term = _gathered(terms, recipes, fixed)
    order = _shared_first(groups, fixed)
    groups = tuple(replace(g, in_fixed=_prefix(g.in_fixed, order)) for g in groups)
    return StreamDesign(blueprint, fixed, terms, recipes, groups, of_term, order)


def _schema_columns(blueprint: Blueprint) -> dict[str, Column]:
    """Return the variables of the model on the made-up row, factors with the levels in use."""
    request = blueprint.request
    # As training data, for which calls such as C() say how their factors are coded; what was learnt is there.
    learnt = States(dict(blueprint.states.transforms))
    evaluator = stream_evaluator(request, blueprint.schema, learnt, training=True)
    columns = {text: evaluator.column(node) for text, node in request.plan.variables.items()}
    for text, levels in blueprint.used.items():
        column = columns[text]
        assert isinstance(column, Factor)
        columns[text] = replace(column, codes=np.zeros(1, dtype=np.int32), levels=levels)
    return columns


def _bar_terms(
    blueprint: Blueprint, bar: BarPlan, columns: Mapping[str, Column]
) -> list[tuple[RandomTerm, RandomRecipe]]:
    """Return the terms of a bar, without rows and levels."""
    n, known = 1, dict(columns)
    if bar.bar.structure in SPATIAL:
        table = blueprint.places[str(bar.bar)]
        evaluator = stream_evaluator(blueprint.request, table, blueprint.states, training=False)
        names = [deparse(v) for v in bar.terms.variables]
        known, n = (
            {name: evaluator.column(blueprint.request.plan.variables[name]) for name in names},
            len(table),
        )
    known[bar.group_text] = Factor(np.zeros(n, dtype=np.int32), ("1",))
    found, recipes = random_terms([bar], known, n)
    return [(_bare(term), recipe) for term, recipe in zip(found, recipes, strict=True)]


def _bare(term: RandomTerm) -> RandomTerm:
    return replace(term, Z=term.Z[:0], codes=term.codes[:0])


def _once(
    pairs: list[tuple[RandomTerm, RandomRecipe]], formula: ParsedFormula
) -> list[tuple[RandomTerm, RandomRecipe]]:
    """Return every term once, and warn about those left out."""
    kept: dict[Any, tuple[RandomTerm, RandomRecipe]] = {}
    for term, recipe in pairs:
        key = term.group, term.columns, term.structure.name, repr(recipe.selected), repr(recipe.matrix.terms)
        if key in kept:
            warn(
                f"{formula} holds the random-effects term ({term.expression}) twice; it is taken once, "
                "because nothing could divide its variance between the two.",
                FormulaWarning,
            )
        kept.setdefault(key, (term, recipe))
    return list(kept.values())


def _column_key(recipe: RandomRecipe | MatrixRecipe, k: int) -> Any:
    """Return what tells columns apart: the name, for those made of numbers alone; all of the coding else."""
    matrix = recipe.matrix if isinstance(recipe, RandomRecipe) else recipe
    if isinstance(recipe, RandomRecipe) and recipe.places is not None:
        return object()
    used = [
        (i, full) for term in matrix.terms if term.pattern == matrix.assign[k] for i, full in term.factors
    ]
    coding = tuple(
        (full, v.levels, None if v.reduced is None or full else v.reduced[0].tobytes())
        for v, full in ((matrix.variables[i], full) for i, full in used)
        if v.levels is not None
    )
    return matrix.names[k], coding


def _gathered(
    terms: tuple[RandomTerm, ...], recipes: tuple[RandomRecipe, ...], fixed: MatrixRecipe
) -> tuple[tuple[GroupPlan, ...], tuple[tuple[int, tuple[int, ...]], ...]]:
    """Return the grouping factors with their columns, each once, and where those of every term are."""
    in_fixed = {_column_key(fixed, k): k for k in range(len(fixed.names))}
    found: dict[str, dict[Any, tuple[int, int]]] = {}
    for t, (term, recipe) in enumerate(zip(terms, recipes, strict=True)):
        own = found.setdefault(term.group, {})
        for place in range(term.size):
            key = _key_of(recipe, place)
            own.setdefault(key, (t, place))
    keys = {name: sorted(own, key=lambda key: key != _ONES) for name, own in found.items()}
    groups = tuple(
        GroupPlan(
            name=name,
            node=recipes[next(iter(own.values()))[0]].group,
            columns=tuple(own[key] for key in keys[name]),
            has_ones=_ONES in own,
            in_fixed=tuple(in_fixed[k] for k in keys[name]) if all(k in in_fixed for k in own) else None,
        )
        for name, own in found.items()
    )
    names = list(found)
    of_term = tuple(
        (
            names.index(term.group),
            tuple(keys[term.group].index(_key_of(recipe, place)) for place in range(term.size)),
        )
        for term, recipe in zip(terms, recipes, strict=True)
    )
    return groups, of_term


_ONES = ("(Intercept)", ())


def _key_of(recipe: RandomRecipe, place: int) -> Any:
    if recipe.places is not None:
        return id(recipe), place
    return _column_key(recipe, recipe.selected[place])


def _shared_first(groups: tuple[GroupPlan, ...], fixed: MatrixRecipe) -> tuple[int, ...]:
    """Return the fixed effects, those of the factor with most columns among them first."""
    p = len(fixed.names)
    shared = max((g.in_fixed for g in groups if g.in_fixed is not None), key=len, default=())
    if fixed.intercept and 0 not in shared:
        shared = (0,)
    return (*shared, *(k for k in range(p) if k not in shared))


def _prefix(in_fixed: tuple[int, ...] | None, order: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return columns that stand first in U; None for others."""
    return in_fixed if in_fixed is not None and in_fixed == order[: len(in_fixed)] else None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ChunkRows:
    """The arrays of one table.

    Attributes
    ----------
    U : ndarray, shape (m, n)
        Fixed effects in the order of the design's, and the response less the offset, a column in each row.
    Z : tuple of ndarray, each (S, n), or None
        Columns of each grouping factor; None where they stand first in U.
    codes : tuple of ndarray of int, each (n,)
        Levels.
    weights : ndarray, shape (n,), or None
        Prior weights.
    n_input : int
        Rows of the table that the subset has.
    kept : ndarray of int, shape (n,)
        Positions of the rows in the table.
    offset : float
        Sum of the offset.
    """

    U: FloatArray
    Z: tuple[FloatArray | None, ...]
    codes: tuple[IntArray, ...]
    weights: FloatArray | None
    n_input: int
    kept: IntArray
    offset: float


def level_tables(design: StreamDesign) -> tuple[LevelTable, ...]:
    """Return empty tables of levels, one for each grouping factor."""
    return tuple(_level_table(group.node, design.blueprint.text) for group in design.groups)


def _level_table(node: Node, text: frozenset[str]) -> LevelTable:
    inner = strip_parens(node)
    if isinstance(inner, Binary) and inner.operator == ":":
        return CombinedLevels(_level_table(inner.left, text), _level_table(inner.right, text))
    name = deparse(inner)
    alike = {name, *(name.removeprefix(f"{call}(").removesuffix(")") for call in ("factor", "as.factor"))}
    return ColumnLevels(name, is_text=not text.isdisjoint(alike))


def chunk_rows(design: StreamDesign, data: Any, tables: tuple[LevelTable, ...]) -> ChunkRows | None:
    """Return the arrays of one table, its levels added to the tables; None where no row is used.

    Raises
    ------
    DataError
        If a column is missing, of another type, or has a level that no row had before.
    """
    read = _read_chunk(design, data)
    if read is None:
        return None
    model_frame, n = read, read.n_rows
    request, columns = design.blueprint.request, model_frame.columns
    if n == 0:
        none = np.empty(0, dtype=np.intp)
        return ChunkRows(np.empty((0, 0)), (), (), None, model_frame.missing.n_input, none, 0.0)
    X = _fixed_columns(design, columns, n)
    U = np.empty((X.shape[1] + 1, n))
    for place, k in enumerate(design.order):
        U[place] = X[:, k]
    U[-1] = _response(request, columns)
    offset = _offset(request, columns, model_frame)
    if offset is not None:
        U[-1] -= offset
    codes = tuple(
        node_codes(table, group.node, columns) for table, group in zip(tables, design.groups, strict=True)
    )
    return ChunkRows(
        U, _random_columns(design, columns, n), codes, model_frame.weights, model_frame.missing.n_input,
        np.asarray(model_frame.index, dtype=np.intp), 0.0 if offset is None else float(offset.sum()),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FamilyChunk:
    """The arrays of one table of a generalized model.

    Attributes
    ----------
    X : ndarray, shape (n, p)
        Fixed effects, dependent columns included.
    response : Response
        The left side.
    offset, weights : ndarray, shape (n,), or None
        Offset and prior weights.
    Z : tuple of ndarray, each (n, S)
        Columns of each random-effects term.
    codes : tuple of ndarray of int, each (n,)
        Levels of each grouping factor.
    index, input_index : Index
        Labels of the rows in use, and of those that the subset has.
    """

    X: FloatArray
    response: Response
    offset: FloatArray | None
    weights: FloatArray | None
    Z: tuple[FloatArray, ...]
    codes: tuple[IntArray, ...]
    index: pd.Index
    input_index: pd.Index


def family_chunk(design: StreamDesign, data: Any, tables: tuple[LevelTable, ...]) -> FamilyChunk | None:
    """Return the arrays of one table as a family reads them; None where no row is used.

    Raises
    ------
    DataError
        As of :func:`chunk_rows`.
    """
    frame = _read_chunk(design, data)
    if frame is None or not frame.n_rows:
        return None
    n, columns, request = frame.n_rows, frame.columns, design.blueprint.request
    node = request.formula.response
    assert node is not None
    left = response(node, columns[deparse(node)])
    refuse_extreme(left.values, [left.text])
    codes = tuple(
        node_codes(table, group.node, columns) for table, group in zip(tables, design.groups, strict=True)
    )
    Z = []
    for term, recipe in zip(design.terms, design.recipes, strict=True):
        Z.append(random_matrix(recipe, columns, n, term.structure))
        refuse_extreme(Z[-1], term.columns, f" in ({term.expression})")
    X, offset = _fixed_columns(design, columns, n), _offset(request, columns, frame)
    labels = frame.missing.input_index
    labels = pd.RangeIndex(frame.missing.n_input) if labels is None else labels
    return FamilyChunk(X, left, offset, frame.weights, tuple(Z), codes, frame.index, labels)


def _read_chunk(design: StreamDesign, data: Any) -> ModelFrame | None:
    """Return the variables of one table at the rows in use; None where it has no rows."""
    request = design.blueprint.request
    frame = _checked_frame(design, data)
    if frame.n_rows == 0:
        return None
    evaluator = stream_evaluator(request, frame, design.blueprint.states, training=False)
    return _model_frame(request, evaluator, _row_variables(design))


def _fixed_columns(design: StreamDesign, columns: Mapping[str, Column], n: int) -> FloatArray:
    X = model_matrix(design.fixed, columns, n)
    refuse_extreme(X, design.fixed.names)
    return X


def _row_variables(design: StreamDesign) -> dict[str, Node]:
    """Return the variables that rows are read for, interactions of grouping factors by their sides."""
    plan = design.blueprint.request.plan
    groups = {bar.group_text for bar in plan.bars}
    needed = {text: node for text, node in plan.variables.items() if text not in groups}
    for group in design.groups:
        for node in sides(group.node):
            needed[deparse(node)] = node
    return needed


def sides(node: Node) -> Iterator[Node]:
    """Yield the variables that an interaction of grouping factors is made of; others as they are."""
    inner = strip_parens(node)
    if isinstance(inner, Binary) and inner.operator == ":":
        yield from sides(inner.left)
        yield from sides(inner.right)
    else:
        yield inner


def node_codes(table: LevelTable, node: Node, columns: Mapping[str, Column]) -> IntArray:
    """Return the levels of the rows of a grouping factor, new ones added to its table."""
    inner = strip_parens(node)
    if isinstance(table, CombinedLevels):
        assert isinstance(inner, Binary)
        left, right = (
            node_codes(table.left, inner.left, columns),
            node_codes(table.right, inner.right, columns),
        )
        return table.codes_of(left, right)
    return table.codes(columns[deparse(inner)])


def _random_columns(
    design: StreamDesign, columns: Mapping[str, Column], n: int
) -> tuple[FloatArray | None, ...]:
    """Return the columns of each grouping factor that has its own, (S, n)."""
    found: list[FloatArray | None] = []
    matrices: dict[int, FloatArray] = {}
    for group in design.groups:
        if group.in_fixed is not None:
            found.append(None)
            continue
        Z = np.empty((len(group.columns), n))
        for row, (t, place) in enumerate(group.columns):
            if t not in matrices:
                matrices[t] = random_matrix(design.recipes[t], columns, n, design.terms[t].structure)
                refuse_extreme(matrices[t], design.terms[t].columns, f" in ({design.terms[t].expression})")
            Z[row] = matrices[t][:, place]
        found.append(Z)
    return tuple(found)


def _response(request: StreamRequest, columns: Mapping[str, Column]) -> FloatArray:
    """Return the response.

    Raises
    ------
    DataError
        If it is no number.
    """
    node = request.formula.response
    assert node is not None
    left = response(node, columns[deparse(node)])
    if left.kind not in ("numeric", "logical"):
        what = "two columns" if left.kind == "cbind" else "a factor"
        raise DataError(f"response must be numeric: {left.text} is {what}.")
    refuse_extreme(left.values, [left.text])
    return left.values


def _offset(request: StreamRequest, columns: Mapping[str, Column], frame: ModelFrame) -> FloatArray | None:
    parts = [
        as_numbers(columns[deparse(node)], f"offset({deparse(node)})") for node in request.plan.fixed.offsets
    ]
    if frame.offset is not None:
        parts.append(frame.offset)
    total = sum_of(parts)
    if total is not None:
        refuse_extreme(total, ["the offset"])
    return total


def _checked_frame(design: StreamDesign, data: Any) -> InputFrame:
    """Return a table, which must have all columns that are read."""
    frame = input_frame(data)
    frame.require(design.blueprint.request.columns(), design.blueprint.request.env)
    return frame


def stream_evaluator(request: StreamRequest, data: Any, states: States, *, training: bool) -> Evaluator:
    """Return what evaluates expressions over one table of a stream."""
    return formula_evaluator(input_frame(data), request.formula.text, dict(request.env), states, training)


def _model_frame(request: StreamRequest, evaluator: Evaluator, variables: Mapping[str, Node]) -> ModelFrame:
    return build_model_frame(
        evaluator, variables, weights=request.weights, offset=request.offset, subset=request.subset,
        na_action=request.na_action, may_be_empty=True,
    )  # fmt: skip
