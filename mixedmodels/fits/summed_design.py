"""The design of a model that is fitted to sums over rows: names, levels, recipes, and no rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.absent_rows import AbsentColumns, AbsentRows
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.linear.independent_groups import RandomProducts
from mixedmodels.engines.linear.problem import LinearProblem
from mixedmodels.engines.moments.problem import (
    FixedPart,
    HeldColumn,
    TermColumns,
    fixed_part,
    group_rows,
    problem_of_sums,
    products_with,
    pseudo_rows,
    with_column_held,
)
from mixedmodels.engines.moments.random_products import products_of_sums
from mixedmodels.engines.moments.sums import Columns, GroupColumns, Rows, Sums
from mixedmodels.errors import NotAvailableError
from mixedmodels.factorization.constant.cross_products import RightHandSide
from mixedmodels.fits.row_summary import Predictors, RowSummary, predictors_of
from mixedmodels.formula.design.chunks import Blueprint, ChunkRows, StreamDesign
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import Design, MissingRows, RandomTerm, Response
from mixedmodels.formula.design.fixed_effects import dependence, independent_columns
from mixedmodels.formula.design.level_tables import LevelTable
from mixedmodels.formula.design.random_effects import in_order_of_levels, unique_labels
from mixedmodels.formula.design.recipe import RandomRecipe, Recipe
from mixedmodels.formula.design.relationship import with_relationships
from mixedmodels.formula.evaluation.conversions import kind_of
from mixedmodels.formula.evaluation.environment import Environment
from mixedmodels.formula.evaluation.evaluate import States
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.language.syntax_tree import Name, deparse

NOT_SUMMED = (
    "the smaller model has a column that was not summed, such as an intercept that the model lacks: fit it "
    "with lmer() to the source, and compare the two with anova()"
)


@dataclass(frozen=True, slots=True)
class SummedDesign:
    """A design without rows, and where its columns are among the sums.

    Attributes
    ----------
    design : Design
        Names, levels and recipes; the rows are absent.
    fixed : FixedPart
        Fixed effects and response.
    columns : tuple of TermColumns
        Columns of each term.
    orders : tuple of ndarray of int
        By grouping factor, level of the design that each level of the sums is.
    sums : Sums
        The sums.
    in_sums : ndarray of int, shape (p,)
        Column of U that each fixed effect is.
    summary : RowSummary or None
        What else is known of the rows; None of sums that a database made.
    """

    design: Design
    fixed: FixedPart
    columns: tuple[TermColumns, ...]
    orders: tuple[IntArray, ...]
    sums: Sums
    in_sums: IntArray
    summary: RowSummary | None = None

    def problem(self) -> LinearProblem:
        """Return the engine's form of the design."""
        return self.problem_with(self.fixed)

    def problem_with(self, fixed: FixedPart) -> LinearProblem:
        """Return the engine's form of the design with other fixed effects."""
        return problem_of_sums(self.sums, fixed, self.design.random, self.columns, self.orders)

    def random_products(self) -> RandomProducts:
        """Return the products of the columns of the random effects."""
        return products_of_sums(self.sums, self.fixed, self.design.random, self.columns, self.orders)

    def smaller(self, design: Design) -> SummedDesign:
        """Return the same with some of the fixed effects and of the random ones, told by their names.

        Raises
        ------
        NotAvailableError
            If the sums have no such column.
        """
        own = {name: k for k, name in enumerate(self.design.x_names)}
        if not own.keys() >= set(design.x_names):
            raise NotAvailableError(NOT_SUMMED)
        in_sums = self.in_sums[[own[name] for name in design.x_names]]
        columns = tuple(self._columns_of(term) for term in design.random)
        return replace(
            self, design=design, fixed=fixed_part(self.sums, in_sums), columns=columns, in_sums=in_sums
        )

    def _columns_of(self, term: RandomTerm) -> TermColumns:
        for whole, own in zip(self.design.random, self.columns, strict=True):
            if whole.group == term.group and set(term.columns) <= set(whole.columns):
                return replace(own, places=tuple(own.places[whole.columns.index(n)] for n in term.columns))
        raise NotAvailableError(NOT_SUMMED)

    def held(self, k: int, value: float) -> tuple[LinearProblem, RightHandSide, HeldColumn]:
        """Return the problem with one fixed effect held at a value, and the products of its column."""
        found = with_column_held(self.fixed, k, value)
        Z = products_with(self.sums, found.direction, self.design.random, self.columns, self.orders)
        return self.problem_with(found.fixed), RightHandSide(Z, np.zeros(len(found.projection))), found


def summed_columns(design: StreamDesign) -> Columns:
    """Return what of a stream is summed."""
    groups = tuple(GroupColumns(len(g.columns), g.has_ones, g.in_fixed is not None) for g in design.groups)
    return Columns(len(design.order) + 1, design.fixed.intercept, groups)


def predictors_of_stream(design: StreamDesign) -> Predictors:
    """Return the variables of a stream whose rows are summarised."""
    request = design.blueprint.request
    return predictors_of(design.fixed, request.plan.variables, request.plan.fixed.offsets, request.offset)


def joined_rows(chunks: list[ChunkRows], tables: tuple[LevelTable, ...]) -> Rows:
    """Return chunks as one batch of rows."""
    counts = tuple(len(table) for table in tables)
    if len(chunks) == 1:
        only = chunks[0]
        return Rows(only.U, only.Z, only.codes, counts, only.weights)
    first = chunks[0]
    Z = tuple(
        None if first.Z[g] is None else np.concatenate([c.Z[g] for c in chunks], axis=1)
        for g in range(len(counts))
    )
    codes = tuple(np.concatenate([c.codes[g] for c in chunks]) for g in range(len(counts)))
    weights = None if first.weights is None else np.concatenate([c.weights for c in chunks])
    return Rows(np.concatenate([c.U for c in chunks], axis=1), Z, codes, counts, weights)


def summed_design(
    stream: StreamDesign,
    tables: tuple[LevelTable, ...],
    sums: Sums,
    n_input: int,
    relmat: Mapping[str, Any],
    summary: RowSummary | None,
) -> SummedDesign:
    """Return the design of a model that is fitted to sums."""
    n = sums.n_rows
    sorted_levels = [table.order() for table in tables]
    orders = tuple(inverse_order(order) for order in sorted_levels)
    levels = [reordered(table.names(), order) for table, order in zip(tables, sorted_levels, strict=True)]
    # 1. Fixed effects: which columns are independent, by R's rule, on a triangle with all products.
    place = np.argsort(stream.order)
    P = pseudo_rows(sums)[:, place]
    kept = independent_columns(P)
    in_sums = np.asarray(place[kept], dtype=np.intp)
    fixed = fixed_part(sums, in_sums)
    # 2. Terms with their levels, in lme4's order.
    built: list[tuple[RandomTerm, tuple[RandomRecipe, TermColumns]]] = []
    for term, recipe, (g, places) in zip(stream.terms, stream.recipes, stream.of_term, strict=True):
        absent: Any = AbsentColumns(n, group_rows(sums, g)[:, list(places)])
        codes: Any = AbsentRows(n)
        built.append(
            (replace(term, levels=levels[g], Z=absent, codes=codes), (recipe, TermColumns(g, places)))
        )
    built = in_order_of_levels(built)
    labels = unique_labels([term.group for term, _ in built])
    random = tuple(replace(term, label=label) for (term, _), label in zip(built, labels, strict=True))
    recipes = tuple(recipe for _, (recipe, _) in built)
    design = rowless_design(stream, n, n_input, P, kept, with_relationships(random, relmat), recipes, levels)
    if stream.blueprint.request.weights is not None:
        plain = np.full((1, len(place)), np.nan) if summary is None else summary.plain
        X: Any = AbsentColumns(n, P[:, kept], None if plain is None else plain[:, kept])
        design = replace(design, fixed=ColumnMatrix.of(X))
    columns = tuple(columns for _, (_, columns) in built)
    if summary is not None:
        summary = summary.with_order_of(level_orders(stream.blueprint, design.recipe.states.levels))
    return SummedDesign(design, fixed, columns, orders, sums, in_sums, summary)


def level_orders(blueprint: Blueprint, known: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Return the order of the levels of columns that are factors, where it is not that of the alphabet."""
    schema = blueprint.schema
    categories = {
        str(name): tuple(map(str, schema[name].cat.categories))
        for name in schema.columns
        if isinstance(schema[name].dtype, pd.CategoricalDtype) and name not in blueprint.text
    }
    return {**categories, **blueprint.states.levels, **known}


def rowless_design(
    stream: StreamDesign,
    n: int,
    n_input: int,
    P: FloatArray,
    kept: IntArray,
    random: tuple[RandomTerm, ...],
    recipes: tuple[RandomRecipe, ...],
    levels: list[tuple[str, ...]],
) -> Design:
    """Return a design without rows: names, levels and recipes.

    Parameters
    ----------
    stream : StreamDesign
        How tables become arrays.
    n, n_input : int
        Rows used, and read.
    P : ndarray, shape (m, p)
        A triangle with the products of all fixed effects.
    kept : ndarray of int
        Columns that are independent.
    random, recipes : tuple
        Random-effects terms.
    levels : list of tuple of str
        Levels of each grouping factor.
    """
    request, plan, fixed = stream.blueprint.request, stream.blueprint.request.plan, stream.fixed
    known = stream.blueprint.states
    own = {
        deparse(g.node): found
        for g, found in zip(stream.groups, levels, strict=True)
        if isinstance(g.node, Name)
    }
    schema = input_frame(stream.blueprint.schema)
    kinds = {name: kind_of(schema.column(name)) for name in own if name in schema}
    states = States(
        dict(known.transforms),
        {**{name: own[name] for name, kind in kinds.items() if kind == "Factor"}, **known.levels},
        {**kinds, **known.kinds},
    )
    recipe = Recipe(
        text=request.formula.text,
        env=Environment(request.env),
        states=states,
        fixed=fixed,
        kept=kept,
        dependence=dependence(P, kept),
        variables=plan.variables,
        offsets=plan.fixed.offsets,
        offset_argument=request.offset,
        offset_is_array=False,
        random=recipes,
    )
    absent: Any = AbsentRows(n)
    X: Any = AbsentColumns(n, P[:, kept])
    has_offset = request.offset is not None or bool(plan.fixed.offsets)
    present = set(kept.tolist())
    assert request.formula.response is not None
    return Design(
        formula=request.formula,
        response=Response(deparse(request.formula.response), "numeric", absent),
        fixed=ColumnMatrix.of(X),
        x_names=tuple(fixed.names[k] for k in kept),
        dropped=tuple(name for k, name in enumerate(fixed.names) if k not in present),
        random=random,
        weights=None if request.weights is None else absent,
        offset=absent if has_offset else None,
        index=pd.RangeIndex(n),
        missing=MissingRows(request.na_action, n_input, absent, None),
        recipe=recipe,
    )


def inverse_order(order: IntArray) -> IntArray:
    """Return where each number stands in an order."""
    inverse = np.empty(len(order), dtype=np.intp)
    inverse[order] = np.arange(len(order))
    return inverse


def reordered(names: tuple[str, ...], order: IntArray) -> tuple[str, ...]:
    """Return names in an order."""
    return tuple(names[k] for k in order.tolist())
