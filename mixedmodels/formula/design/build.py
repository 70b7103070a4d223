"""Build the design of a model: from a formula and data to the arrays the engines read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import DataError, FormulaError, FormulaWarning, warn
from mixedmodels.formula.design.coding import MatrixRecipe, column_matrix, matrix_recipe
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import Design, NaAction, RandomTerm, Response
from mixedmodels.formula.design.fixed_effects import dependence, independent_columns
from mixedmodels.formula.design.model_frame import ModelFrame, build_model_frame, sum_of
from mixedmodels.formula.design.random_effects import BarPlan, group_name, random_terms
from mixedmodels.formula.design.readings import warn_about_columns, warn_about_formula
from mixedmodels.formula.design.recipe import Recipe
from mixedmodels.formula.design.response import response
from mixedmodels.formula.design.structured import StructuredResiduals
from mixedmodels.formula.evaluation.columns import Column, Factor, Matrix, Numeric
from mixedmodels.formula.evaluation.environment import Environment
from mixedmodels.formula.evaluation.evaluate import Evaluator, States, as_numbers
from mixedmodels.formula.evaluation.evaluator import formula_evaluator
from mixedmodels.formula.evaluation.input_frames import InputFrame, input_frame
from mixedmodels.formula.evaluation.magnitude import (
    FEW_COLUMNS,
    any_extreme,
    is_moderate_length,
    refuse_extreme,
)
from mixedmodels.formula.language.bars import Bar
from mixedmodels.formula.language.parse import ParsedFormula, parse_formula
from mixedmodels.formula.language.syntax_tree import Node, deparse, names_in
from mixedmodels.formula.language.terms import Terms, expand_terms

with on_first_use():
    from mixedmodels.formula.design import relationship
    from mixedmodels.formula.evaluation import contrasts as contrast_coding

if TYPE_CHECKING:
    from mixedmodels.formula.language.dispersion import VarianceCall
    from mixedmodels.formula.language.residual import ResidualCall


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelPlan:
    """What a formula asks for, before any data: terms and the variables they are made of."""

    fixed: Terms
    bars: tuple[BarPlan, ...]
    variables: dict[str, Node]


def build_design(
    formula: str | ParsedFormula,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    subset: Any = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str | ResidualCall | None = None,
    dispersion: str | tuple[VarianceCall, ...] | None = None,
    states: States | None = None,
) -> Design:
    """Build the design of a mixed model from a formula and data.

    Parameters
    ----------
    formula : str
        lme4 formula, ``"Reaction ~ Days + (Days | Subject)"``.
    data : pandas.DataFrame, dict of arrays, polars.DataFrame or pyarrow.Table
        Only the columns that the model names are read.
    weights, offset : str or array_like, optional
        Column name, expression or one number a row of `data`. A pandas Series is matched to the rows of a
        DataFrame by label; its ``to_numpy()`` goes by position.
    subset : str or array_like, optional
        Condition, or one truth value a row (a Series by label, as `weights`), or row positions.
    na_action : {"omit", "exclude", "fail", "pass"}, optional
        What to do with rows in which a variable is missing.
    contrasts : dict, optional
        Factor -> contrast name (``"contr.sum"``) or matrix, for the fixed effects.
    env : dict, optional
        Further names the formula may use: numbers, arrays or functions of arrays.
    relmat : dict, optional
        Grouping factor -> known covariance between its levels.
    residual : str or ResidualCall, optional
        Correlation of residuals within groups, ``"ar1(visit | subject)"``.
    dispersion : str or tuple of VarianceCall, optional
        What residual variances, or the dispersions of a family, depend on: ``"~ sex"``, ``"power(age)"``.
    states : States, optional
        What transformations have learnt from other rows than these.

    Raises
    ------
    FormulaError
        When the formula cannot be read, with a caret under the place.
    DataError
        When the data do not fit the formula.

    Examples
    --------
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 0.0, 1.0], "g": ["a", "a", "b", "b"]}
    >>> build_design("y ~ x + (1 | g)", data).x_names
    ('(Intercept)', 'x')
    """
    # 1. Text to tree, and which variables it needs.
    parsed, frame, plan = _read(formula, data)
    warn_about_formula(parsed, plan.fixed, plan.bars)
    env, contrasts, relmat = (
        named_values(name, given)
        for name, given in (("env", env), ("contrasts", contrasts), ("relmat", relmat))
    )
    # 2. Every variable evaluated once, and the rows that are used.
    structured = StructuredResiduals.read(residual, dispersion)
    evaluator = formula_evaluator(frame, parsed.text, dict(env), states or States())
    model_frame = build_model_frame(
        evaluator,
        {**plan.variables, **structured.variables()},
        weights=weights,
        offset=offset,
        subset=subset,
        na_action=na_action,
    )
    columns = {text: used_levels(column) for text, column in model_frame.columns.items()}
    warn_about_columns(plan.fixed, plan.bars, columns)
    # 3. Columns to arrays.
    design = _assemble(parsed, plan, evaluator, model_frame, columns, offset, contrasts, relmat)
    return structured.added(design, columns)


def _read(formula: str | ParsedFormula, data: Any) -> tuple[ParsedFormula, InputFrame, ModelPlan]:
    """Return a formula, the table it is about and what it asks for.

    Raises
    ------
    FormulaError
        When the formula cannot be read; columns whose names need backticks are pointed out.
    """
    try:
        parsed = formula if isinstance(formula, ParsedFormula) else parse_formula(formula)
        frame = input_frame(data)
        return parsed, frame, model_plan(parsed, tuple(frame.names) if _has_dot(parsed) else None)
    except FormulaError as error:
        advice = _quoting_advice(formula, data)
        if not advice:
            raise
        raise FormulaError(f"{error.message}; {advice}", error.text, error.position) from None


def _quoting_advice(formula: str | ParsedFormula, data: Any) -> str:
    """Return which columns a formula that cannot be read should put in backticks."""
    try:
        return input_frame(data).wants_backticks(formula) if isinstance(formula, str) else ""
    except DataError:
        return ""


_EXAMPLES = {"env": "{'k': 2.5}", "contrasts": "{'f': 'contr.sum'}", "relmat": "{'id': K}"}


def named_values(name: str, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return an argument that maps names to values, empty where it was not given."""
    if given is None or isinstance(given, Mapping):
        return given or {}
    raise DataError(f"{name} must be a dict such as {_EXAMPLES[name]}, not {type(given).__name__}")


def _assemble(
    parsed: ParsedFormula,
    plan: ModelPlan,
    evaluator: Evaluator,
    model_frame: ModelFrame,
    columns: dict[str, Column],
    offset: Any,
    contrasts: Mapping[str, Any],
    relmat: Mapping[str, Any],
) -> Design:
    """Put the pieces of a design together."""
    if parsed.response is None:
        raise FormulaError("the formula has no response: write y ~ ...", parsed.text, 0)
    check_contrasts(contrasts, plan.fixed.names, columns)
    n_rows = model_frame.n_rows
    # 1. X: R's coding, columns that depend on earlier ones dropped.
    fixed = matrix_recipe(plan.fixed, columns, contrasts)
    X = column_matrix(fixed, columns, n_rows)
    _refuse_extreme_columns(X, fixed.names)
    left = response(parsed.response, columns[deparse(parsed.response)])
    kept = independent_columns(X)
    combinations = dependence(X, kept)
    if len(kept) < X.shape[1]:
        X = X.take(kept)
    # 2. Z and codes of every term.
    dense = X.pieces[0] if len(X.pieces) == 1 else None
    fixed_matrix = (fixed, dense) if isinstance(dense, np.ndarray) and combinations is None else None
    random, random_recipes = random_terms(plan.bars, columns, n_rows, fixed_matrix)
    total_offset = _total_offset(plan, columns, model_frame)
    _refuse_extremes(left, [term for term in random if term.Z is not dense], total_offset)
    # 3. How to do it again on new data.
    recipe = Recipe(
        text=parsed.text,
        env=Environment(evaluator.env),
        states=evaluator.states,
        fixed=fixed,
        kept=kept,
        dependence=combinations,
        variables=plan.variables,
        offsets=plan.fixed.offsets,
        offset_argument=offset if isinstance(offset, str) else None,
        offset_is_array=offset is not None and not isinstance(offset, str),
        random=random_recipes,
    )
    return Design(
        formula=parsed,
        response=left,
        fixed=X,
        x_names=fixed.names if combinations is None else tuple(fixed.names[k] for k in kept),
        dropped=() if combinations is None else _dropped(fixed, kept.tolist()),
        random=relationship.with_relationships(random, relmat) if relmat else random,
        weights=model_frame.weights,
        offset=total_offset,
        index=model_frame.index,
        missing=model_frame.missing,
        recipe=recipe,
    )


@lru_cache(maxsize=128)
def model_plan(parsed: ParsedFormula, dot_columns: tuple[str, ...] | None) -> ModelPlan:
    """Return the terms and variables of a formula; `dot_columns` is what ``.`` stands for."""
    fixed = expand_terms(parsed.fixed, parsed.text, dot_columns, parsed.response)
    bars = tuple(_bar_plan(bar, parsed.text) for bar in parsed.bars)
    nodes: list[Node] = [] if parsed.response is None else [parsed.response]
    nodes += _term_variables(fixed) + list(fixed.offsets)
    for bar in bars:
        nodes += [*_term_variables(bar.terms), bar.bar.group]
    return ModelPlan(fixed, bars, {deparse(node): node for node in nodes})


def _term_variables(terms: Terms) -> list[Node]:
    """Return the variables that some term is made of."""
    used = 0
    for pattern in terms.patterns:
        used |= pattern
    return [variable for i, variable in enumerate(terms.variables) if used >> i & 1]


def _bar_plan(bar: Bar, text: str) -> BarPlan:
    """Return a bar with the terms of its left side."""
    lhs = bar.lhs if bar.split_from is None else bar.split_from
    terms = expand_terms(lhs, text)
    if terms.offsets:
        raise FormulaError("offset() cannot stand in a random-effects term", text, bar.position)
    return BarPlan(bar, terms, deparse(lhs), group_name(bar.group), deparse(bar.group))


def _has_dot(parsed: ParsedFormula) -> bool:
    """Tell whether the fixed part uses ``.``."""
    return "." in parsed.text and any(name.name == "." for name in names_in(parsed.fixed))


def used_levels(column: Column) -> Column:
    """Return a column without the levels of a factor that no row used has."""
    return column.drop_unused() if isinstance(column, Factor) else column


def _refuse_extreme_columns(X: ColumnMatrix, names: tuple[str, ...]) -> None:
    """Raise where a column of the fixed effects is too large or small to compute with."""
    if len(X.pieces) == 1 and isinstance(X.pieces[0], np.ndarray) and X.shape[1] <= FEW_COLUMNS:
        lengths, _ = X.unit_cholesky
        if all(is_moderate_length(length, X.n_rows) for length in lengths.tolist()):
            return
    first = 0
    for piece in X.pieces:
        own = names[first : first + piece.shape[1]]
        first += len(own)
        if isinstance(piece, np.ndarray):
            refuse_extreme(piece, own)
        elif any_extreme(piece.largest()):
            refuse_extreme(piece.dense(), own)


def _refuse_extremes(left: Response, random: Sequence[RandomTerm], offset: FloatArray | None) -> None:
    """Raise where the response, a random-effects term or the offset is too large or small to compute with."""
    refuse_extreme(left.values, [left.text])
    for term in random:
        refuse_extreme(term.Z, term.columns, f" in ({term.expression})")
    if offset is not None:
        refuse_extreme(offset, ["the offset"])


def check_contrasts(
    contrasts: Mapping[str, Any], fixed: Collection[str], columns: Mapping[str, Column]
) -> None:
    """Refuse contrasts of numbers, and warn about those of variables that are not in the fixed part."""
    for name in contrasts:
        if isinstance(columns.get(name), (Numeric, Matrix)):
            raise DataError(
                f"contrasts apply only to factors, and {name} is numeric; write C({name}, contr.sum) in the "
                "formula, or make the column categorical"
            )
        contrast_coding.as_contrast(contrasts[name], name)
        if name not in fixed:
            warn(f"variable '{name}' is absent, its contrast will be ignored", FormulaWarning)


def _dropped(fixed: MatrixRecipe, kept: list[int]) -> tuple[str, ...]:
    """Return the names of the dependent columns."""
    present = set(kept)
    return tuple(name for k, name in enumerate(fixed.names) if k not in present)


def _total_offset(
    plan: ModelPlan, columns: Mapping[str, Column], model_frame: ModelFrame
) -> FloatArray | None:
    """Return the sum of the ``offset()`` terms and the offset argument."""
    parts = []
    for node in plan.fixed.offsets:
        text = deparse(node)
        parts.append(as_numbers(columns[text], f"offset({text})"))
    if model_frame.offset is not None:
        parts.append(model_frame.offset)
    return sum_of(parts)
