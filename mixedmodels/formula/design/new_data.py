"""The columns of a fitted model built again, from new data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.errors import DataError, DataWarning, warn
from mixedmodels.formula.design.coding import MatrixRecipe, model_matrix
from mixedmodels.formula.design.design import Design, RandomTerm
from mixedmodels.formula.design.fixed_effects import not_estimable
from mixedmodels.formula.design.model_frame import row_argument, sum_of
from mixedmodels.formula.design.random_effects import random_matrix
from mixedmodels.formula.design.recipe import Recipe
from mixedmodels.formula.design.theta import theta_parts
from mixedmodels.formula.evaluation.columns import Column, Factor, as_factor, interaction
from mixedmodels.formula.evaluation.evaluate import Evaluator, as_numbers
from mixedmodels.formula.evaluation.evaluator import formula_evaluator
from mixedmodels.formula.evaluation.input_frames import InputFrame, input_frame
from mixedmodels.formula.language.syntax_tree import Binary, Name, Node, deparse, names_in, strip_parens


def fixed_matrix(
    design: Design, new_data: Any, warn: bool = True, offset: Any = None
) -> tuple[FloatArray, FloatArray | None]:
    """Return the fixed-effects matrix and the offset of new data.

    Parameters
    ----------
    design : Design
        The design of the fit.
    new_data : table
        Any number of rows, one included.
    warn : bool
        Whether to warn about rows whose mean a rank-deficient fit leaves undetermined.
    offset : optional
        In place of the offset argument of the fit; see :func:`row_values`.

    Returns
    -------
    X : ndarray, shape (m, p)
        NaN in rows with a missing variable.
    offset : ndarray, shape (m,), or None
        Sum of the ``offset()`` terms and the offset argument: the one given here, or that of the fit if it
        was a name or an expression.

    Raises
    ------
    DataError
        When a variable is absent, or a factor has a level that the fit has not seen (named).
    """
    recipe = design.recipe
    X, total = all_fixed_columns(design, new_data, offset)
    if recipe.dependence is not None:
        if warn:
            _warn_not_estimable(design, X)
        X = X[:, recipe.kept]
    return X, total


def all_fixed_columns(
    design: Design, new_data: Any, offset: Any = None
) -> tuple[FloatArray, FloatArray | None]:
    """Return the fixed-effects matrix of new data before dependent columns are dropped, and the offset.

    Parameters and exceptions as for :func:`fixed_matrix`.
    """
    recipe = design.recipe
    evaluator = _evaluator(recipe, new_data)
    names = _used_variables(recipe.fixed)
    evaluator.require([recipe.variables[name] for name in names] + list(recipe.offsets))
    columns = _columns(recipe, evaluator)
    return model_matrix(recipe.fixed, columns, evaluator.frame.n_rows), _new_offset(recipe, evaluator, offset)


def fixed_columns(design: Design, new_data: Any) -> dict[str, Column]:
    """Return the variables of the fixed effects on new data, by their printed names."""
    return _columns(design.recipe, _evaluator(design.recipe, new_data))


def _columns(recipe: Recipe, evaluator: Evaluator) -> dict[str, Column]:
    return {name: evaluator.column(recipe.variables[name]) for name in _used_variables(recipe.fixed)}


def _warn_not_estimable(design: Design, X: FloatArray) -> None:
    """Warn where a prediction depends on which columns of a rank-deficient fit were dropped."""
    recipe = design.recipe
    assert recipe.dependence is not None
    rows = np.flatnonzero(not_estimable(X, recipe.kept, recipe.dependence))
    if len(rows):
        shown = ", ".join(map(str, rows[:5].tolist())) + (", ..." if len(rows) > 5 else "")
        warn(
            f"prediction from a rank-deficient fit: the data do not determine the mean at {len(rows)} of the "
            f"{len(X)} new rows (row {shown}, counting from 0), where it depends on which columns were "
            f"dropped ({', '.join(design.dropped[:5])}{', ...' if len(design.dropped) > 5 else ''})",
            DataWarning,
        )


def random_matrices(
    design: Design, new_data: Any, theta: FloatArray | None = None
) -> tuple[tuple[FloatArray, CodeArray], ...]:
    """Return model matrix (m, S) and codes (m,) of each random-effects term on new data.

    A code of -1 marks a level that the fit has not seen, or a missing one. With `theta` given, the covariance
    parameters, processes over places are interpolated at new ones, which are refused without.
    """
    recipe = design.recipe
    evaluator = _evaluator(recipe, new_data)
    names = {name for random in recipe.random for name in _used_variables(random.matrix)}
    groups = [random.group for random in recipe.random]
    try:
        evaluator.require([recipe.variables[n] for n in names] + groups)
    except DataError as error:
        if all(name.name in evaluator.frame for group in groups for name in names_in(group)):
            raise
        advice = "without the grouping factors re_form=mm.NA predicts for the population"
        raise DataError(f"{error}; {advice}") from None
    columns = {name: evaluator.column(recipe.variables[name]) for name in names}
    codes: dict[str, CodeArray] = {}
    found = []
    parts = theta_parts(design.random, theta)
    for term, random, own in zip(design.random, recipe.random, parts, strict=True):
        if term.group not in codes:
            codes[term.group] = _known_codes(term, _group_column(random.group, evaluator))
        Z = random_matrix(random, columns, evaluator.frame.n_rows, term.structure, own)
        found.append((Z, codes[term.group]))
    return tuple(found)


def random_columns(design: Design, new_data: Any, theta: FloatArray | None = None) -> tuple[FloatArray, ...]:
    """Return the model matrix (m, S) of each random-effects term on new data, which need not name groups.

    `theta` as for :func:`random_matrices`.

    Raises
    ------
    DataError
        If a variable of a random slope is missing.
    """
    recipe = design.recipe
    evaluator = _evaluator(recipe, new_data)
    names = {name for random in recipe.random for name in _used_variables(random.matrix)}
    evaluator.require([recipe.variables[n] for n in names])
    columns = {name: evaluator.column(recipe.variables[name]) for name in names}
    parts = theta_parts(design.random, theta)
    return tuple(
        random_matrix(random, columns, evaluator.frame.n_rows, term.structure, own)
        for term, random, own in zip(design.random, recipe.random, parts, strict=True)
    )


def variables_on(
    design: Design, new_data: Any, variables: Mapping[str, Node], groups: Collection[str]
) -> dict[str, Column]:
    """Return expressions evaluated on new data, by their printed texts.

    Parameters
    ----------
    design : Design
        The design of the fit.
    new_data : table
        New rows.
    variables : mapping
        Printed expression -> expression.
    groups : collection of str
        Which of them are grouping factors, whose levels need not be those of the fit.

    Raises
    ------
    DataError
        When a variable is absent.
    """
    evaluator = _evaluator(design.recipe, new_data)
    evaluator.require(variables.values())
    return {
        text: _group_column(node, evaluator) if text in groups else evaluator.column(node)
        for text, node in variables.items()
    }


def group_labels(recipe: Recipe, group: Node, new_data: Any) -> list[str | None]:
    """Return the level of a grouping factor at each row of new data, None where it is missing."""
    factor = as_factor(_group_column(group, _evaluator(recipe, new_data)))
    names = [*factor.levels, None]
    return [names[code] for code in factor.codes.tolist()]


def _evaluator(recipe: Recipe, new_data: Any) -> Evaluator:
    """Return an evaluator of new data that recalls the training state."""
    frame: InputFrame = input_frame(new_data)
    return formula_evaluator(frame, recipe.text, recipe.env, recipe.states, training=False)


def _used_variables(matrix: MatrixRecipe) -> list[str]:
    """Return the printed variables that a matrix is made of."""
    used = {i for term in matrix.terms for i, _ in term.factors}
    return [variable.name for i, variable in enumerate(matrix.variables) if i in used]


def row_values(design: Design, new_data: Any, given: Any, role: str) -> FloatArray:
    """Return an offset or weights of new rows, shape (m,).

    Parameters
    ----------
    design : Design
        The design of the fit.
    new_data : table
        New rows.
    given : number, array_like, or str
        One number for all rows, one for each, the name of a column or an expression of columns.
    role : {"offset", "weights"}
        What it is, for messages.

    Raises
    ------
    DataError
        If these are not numbers, one for each row.
    """
    return _given_values(given, role, _evaluator(design.recipe, new_data))


def _given_values(given: Any, role: str, evaluator: Evaluator) -> FloatArray:
    if isinstance(given, (int, float, np.number)) and not isinstance(given, bool):
        return np.full(evaluator.frame.n_rows, float(given))
    values = row_argument(given, role, evaluator)
    assert values is not None
    return values


def _new_offset(recipe: Recipe, evaluator: Evaluator, given: Any) -> FloatArray | None:
    """Return the offset of new data; None when the model has none."""
    parts = [as_numbers(evaluator.column(node), f"offset({deparse(node)})") for node in recipe.offsets]
    argument = recipe.offset_argument if given is None else given
    if argument is not None:
        parts.append(_given_values(argument, "offset", evaluator))
    return sum_of(parts)


def _group_column(group: Node, evaluator: Evaluator) -> Column:
    """Return a grouping variable, of whatever type: its levels are matched by name."""
    group = strip_parens(group)
    if isinstance(group, Name) and group.name in evaluator.frame:
        return evaluator.alike(group.name, evaluator.frame.column(group.name))
    if isinstance(group, Binary) and group.operator == ":":
        left, right = (as_factor(_group_column(side, evaluator)) for side in (group.left, group.right))
        return interaction(left, right)
    return evaluator.column(group)


def _known_codes(term: RandomTerm, column: Column) -> CodeArray:
    """Return the codes of a grouping factor among the levels of the fit; -1 elsewhere."""
    return codes_among(term.levels, as_factor(column))


def codes_among(levels: tuple[str, ...], factor: Factor) -> CodeArray:
    """Return the codes of a factor among other levels; -1 where it has none of them, or is missing."""
    if factor.levels == levels:
        return factor.codes
    position = {level: i for i, level in enumerate(levels)}
    table = [position.get(level, -1) for level in factor.levels]
    return np.array([*table, -1], dtype=np.int32)[factor.codes]
