"""The design of a model of a table in a database, of which only the names of columns are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.errors import FormulaError
from mixedmodels.formula.design.chunks import (
    StreamDesign,
    StreamRequest,
    stream_design,
    stream_evaluator,
    stream_request,
)
from mixedmodels.formula.design.first_pass import FirstPass, first_pass
from mixedmodels.formula.evaluation.columns import Factor, Logical, Matrix
from mixedmodels.formula.evaluation.evaluate import States
from mixedmodels.formula.language.bars import SPATIAL
from mixedmodels.formula.language.syntax_tree import Node, deparse, names_in

#: Rows of the made-up table, of which expressions show what kind of column they are.
FEWEST_ROWS = 12


@dataclass(frozen=True, slots=True)
class CodedFactor:
    """A factor outside of the grouping factors.

    Attributes
    ----------
    column : str
        The column of the table.
    values : tuple
        Its values.
    codes : tuple of int
        For each the level of the design.
    """

    column: str
    values: tuple[Any, ...]
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A design and the factors of its columns.

    Attributes
    ----------
    design : StreamDesign
        The design.
    factors : dict
        Printed variable -> factor.
    """

    design: StreamDesign
    factors: dict[str, CodedFactor]


def sql_request(
    formula: str, contrasts: Mapping[str, Any] | None, weights: Any, offset: Any, subset: Any
) -> StreamRequest:
    """Read what is asked for of a table in a database.

    Raises
    ------
    FormulaError
        If the formula has what needs the rows.
    """
    request = stream_request(
        formula, (), weights=weights, offset=offset, subset=subset, na_action="omit", contrasts=contrasts,
        env=None,
    )  # fmt: skip
    if any(name.name == "." for name in names_in(request.formula.fixed)):
        raise FormulaError(
            "a dot stands for columns that are not known here: name them", request.formula.text
        )
    for bar in request.plan.bars:
        if bar.bar.structure in SPATIAL:
            raise FormulaError(
                f"({bar.bar}) needs the places of all rows: use moments()", request.formula.text
            )
    return request


def layout(request: StreamRequest, levels: Mapping[str, Any], groups: Mapping[str, Any]) -> Layout:
    """Return the design.

    Parameters
    ----------
    request : StreamRequest
        What is asked for.
    levels : mapping
        Values of the columns that are factors.
    groups : mapping
        Column of a grouping factor -> a value of it, where that is known.

    Raises
    ------
    FormulaError
        If the levels of a factor are not given, or a transformation learns numbers from all rows.
    """
    found = first_pass(request, _made_up(request, levels, groups), levels)
    _refuse_what_must_be_learnt(request, found)
    return Layout(stream_design(found.blueprint()), _factors(request, found))


def _made_up(request: StreamRequest, levels: Mapping[str, Any], groups: Mapping[str, Any]) -> pd.DataFrame:
    """Return a few rows of the types that columns have as far as they are known."""
    plan, size = request.plan, max([FEWEST_ROWS, *(len(list(given)) for given in levels.values())])
    only_groups = grouping_texts(request)
    outside = {
        name.name
        for text, node in plan.variables.items()
        if text not in only_groups
        for name in names_in(node)
    }
    of_groups = {n.name for bar in plan.bars for n in names_in(bar.bar.group)}
    made: dict[str, Any] = {}
    for name in request.columns():
        if name in levels:
            given = list(levels[name])
            values = np.array(given, dtype=object if isinstance(given[0], str) else None)
            made[name] = np.resize(values, size)
        elif name in groups:
            made[name] = np.full(size, groups[name], dtype=object if isinstance(groups[name], str) else None)
        elif name in of_groups and name not in outside:
            made[name] = np.full(size, "1", dtype=object)
        else:
            made[name] = np.linspace(1.0, 2.0, size)
    return pd.DataFrame(made)


def grouping_texts(request: StreamRequest) -> set[str]:
    """Return the printed variables that are nothing but grouping factors."""
    plan = request.plan
    outside = {*plan.fixed.names, *(name for bar in plan.bars for name in bar.terms.names)}
    others = (request.formula.response, *plan.fixed.offsets)
    outside |= {deparse(node) for node in others if node is not None}
    return {bar.group_text for bar in plan.bars} - outside


def _refuse_what_must_be_learnt(request: StreamRequest, found: FirstPass) -> None:
    if found.factors:
        text, node = next(iter(found.factors.items()))
        column = next((n.name for n in names_in(node)), text)
        raise FormulaError(
            f"{text} is a factor, whose levels the queries must name: give "
            f"levels={{{column!r}: [...]}}, all of them.",
            request.formula.text,
        )
    for text in found.stateful:
        raise FormulaError(
            f"{text} learns numbers from all rows, which one query of sums cannot: write the numbers into "
            "the formula, as in I((x - 10) / 2), and powers as x + I(x^2).",
            request.formula.text,
        )


def _factors(request: StreamRequest, found: FirstPass) -> dict[str, CodedFactor]:
    factors = {}
    used = found.blueprint().used
    for text, node in found.known.items():
        table = found.distinct[text]
        (name,) = (column for column in table.columns[:1])
        column = stream_evaluator(request, table[[name]], States(), training=True).column(node)
        assert isinstance(column, Factor)
        codes = [used[text].index(column.levels[code]) for code in column.codes.tolist()]
        values = [v.item() if isinstance(v, np.generic) else v for v in table[name].tolist()]
        factors[text] = CodedFactor(name, tuple(values), tuple(codes))
    return factors


def kind_of_variable(request: StreamRequest, design: StreamDesign, node: Node) -> str:
    """Return whether a variable is a number, a condition or a factor.

    Raises
    ------
    FormulaError
        If it has several columns.
    """
    blueprint = design.blueprint
    evaluator = stream_evaluator(request, blueprint.schema, States(), training=True)
    column = evaluator.column(node)
    if isinstance(column, Matrix):
        raise FormulaError(
            f"{deparse(node)} has several columns, which has no counterpart in SQL here: write them out, as "
            "in x + I(x^2).",
            request.formula.text,
        )
    if isinstance(column, Logical):
        return "condition"
    return "factor" if isinstance(column, Factor) else "number"


def design_column_names(design: StreamDesign) -> list[str]:
    """Return the names of the columns of U: fixed effects in its order, and the response."""
    response = design.blueprint.request.formula.response
    assert response is not None
    return [*(design.fixed.names[k] for k in design.order), deparse(response)]
