"""The columns of a design in SQL."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from mixedmodels.arrays import FloatArray
from mixedmodels.formula.design.coding import CodedTerm, MatrixRecipe, VariableCoding
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import deparse, names_in
from mixedmodels.sql.dialects import Dialect
from mixedmodels.sql.expressions import Expressions
from mixedmodels.sql.layout import CodedFactor, Layout, grouping_texts, kind_of_variable

#: The expression of a constant column.
ONE = "1"


@dataclass(frozen=True, slots=True)
class SqlColumns:
    """What is computed of every row.

    Attributes
    ----------
    expressions : Expressions
        Columns that were read and faults that were met.
    variables : dict
        Name in the query -> expression of a variable of the formula; a row has all of them or is dropped.
    U : tuple of str
        Fixed effects in the order of the design's, and the response less the offset.
    Z : tuple of (tuple of str) or None
        Columns of each grouping factor, None where they stand first in U.
    groups : tuple of tuple of str
        Columns of the table that each grouping factor is made of.
    weights : str or None
        Prior weights.
    subset : str or None
        Condition of the rows.
    faults : dict
        Message -> condition of a row that is refused.
    """

    expressions: Expressions
    variables: dict[str, str]
    U: tuple[str, ...]
    Z: tuple[tuple[str, ...] | None, ...]
    groups: tuple[tuple[str, ...], ...]
    weights: str | None
    subset: str | None
    faults: dict[str, str]


def sql_columns(layout: Layout, dialect: Dialect) -> SqlColumns:
    """Return the columns of a design."""
    design, request = layout.design, layout.design.blueprint.request
    expressions = Expressions(dialect, request.formula.text)
    made, names = _variables(layout, expressions)
    blocks = _Blocks(layout, dialect, names)
    fixed = blocks.columns(design.fixed)
    random = [blocks.columns(recipe.matrix) for recipe in design.recipes]
    Z = tuple(
        None
        if group.in_fixed is not None
        else tuple(random[t][design.recipes[t].selected[place]] for t, place in group.columns)
        for group in design.groups
    )
    assert request.formula.response is not None
    parts = [names[deparse(request.formula.response)]]
    parts += [names[deparse(node)] for node in request.plan.fixed.offsets] + ["o"] * ("o" in made)
    groups = tuple(tuple(dict.fromkeys(n.name for n in names_in(g.node))) for g in design.groups)
    for name in dict.fromkeys(name for own in groups for name in own):
        expressions.raw(name)
    faults = {**expressions.faults, **blocks.faults()}
    if "w" in made:
        faults[f"weights {request.weights} is negative"] = "w < 0"
    subset = None if request.subset is None else expressions.condition(parse_expression(request.subset))
    U = (*(fixed[k] for k in design.order), " - ".join(parts))
    return SqlColumns(expressions, made, U, Z, groups, "w" if "w" in made else None, subset, faults)


def _variables(layout: Layout, expressions: Expressions) -> tuple[dict[str, str], dict[str, str]]:
    """Return the expressions of variables, and their names in the query by their printed names."""
    request = layout.design.blueprint.request
    made: dict[str, str] = {}
    names: dict[str, str] = {}
    skipped = grouping_texts(request)
    for text, node in request.plan.variables.items():
        if text in skipped:
            continue
        kind = kind_of_variable(request, layout.design, node)
        names[text] = f"v{len(made) + 1}"
        if kind == "factor":
            made[names[text]] = expressions.raw(layout.factors[text].column)
        elif kind == "condition":
            made[names[text]] = expressions.condition(node)
        else:
            made[names[text]] = expressions.dialect.as_double(expressions.number(node))
    for argument, alias in ((request.offset, "o"), (request.weights, "w")):
        if argument is not None:
            node = parse_expression(argument)
            made[alias] = expressions.dialect.as_double(expressions.number(node))
    return made, names


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Columns of terms, from variables that have names in the query."""

    layout: Layout
    dialect: Dialect
    names: dict[str, str]

    def columns(self, recipe: MatrixRecipe) -> list[str]:
        """Return the columns of a matrix, the first variable of a term varying fastest."""
        found = [ONE] * recipe.intercept
        for term in recipe.terms:
            found += self._term(term, recipe.variables)
        return found

    def _term(self, term: CodedTerm, variables: tuple[VariableCoding, ...]) -> list[str]:
        block = [ONE]
        for i, full in term.factors:
            own = self._variable(variables[i], full)
            block = [product(before, after) for after in own for before in block]
        return block

    def _variable(self, variable: VariableCoding, full: bool) -> list[str]:
        alias = self.names[variable.name]
        if variable.levels is None:
            return [alias]
        matrix = variable.coded(full)[0]
        factor = self.layout.factors.get(variable.name)
        if factor is None:
            # A condition: its levels are FALSE and TRUE.
            factor = CodedFactor(variable.name, (False, True), (0, 1))
        return [self._coded(alias, factor, matrix[:, k]) for k in range(matrix.shape[1])]

    def _coded(self, alias: str, factor: CodedFactor, column: FloatArray) -> str:
        """Return a column of a coded factor; what is 0 comes last."""
        by_number = sorted(zip(column[list(factor.codes)].tolist(), factor.values, strict=True), key=_first)
        cases = []
        for number, pairs in groupby(by_number, key=_first):
            literals = ", ".join(self.dialect.literal(value) for _, value in pairs)
            if number != 0.0:
                cases.append(f"WHEN {alias} IN ({literals}) THEN {self.dialect.number(number)}")
        return f"CASE {' '.join(cases)} ELSE 0e0 END" if cases else "0e0"

    def faults(self) -> dict[str, str]:
        """Return for each factor the condition that a row has none of its levels."""
        return {
            f"factor {factor.column} has levels that levels= does not name":
            f"{self.names[text]} NOT IN ({', '.join(map(self.dialect.literal, factor.values))})"
            for text, factor in self.layout.factors.items()
            if text in self.names
        }  # fmt: skip


def _first(pair: tuple[float, object]) -> float:
    return pair[0]


def product(*factors: str) -> str:
    """Return a product of expressions, those that are one left out."""
    kept = [factor for factor in factors if factor != ONE]
    return " * ".join(kept) if kept else ONE
