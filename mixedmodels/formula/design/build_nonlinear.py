"""Build the design of a nonlinear mixed model: from a formula and data to the arrays the engine reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance import covariance_structure
from mixedmodels.errors import FormulaError
from mixedmodels.formula.design.build import check_contrasts, named_values, used_levels
from mixedmodels.formula.design.coding import MatrixRecipe, model_matrix
from mixedmodels.formula.design.column_matrix import ColumnMatrix
from mixedmodels.formula.design.design import Design, NaAction, RandomTerm
from mixedmodels.formula.design.fixed_effects import dependence, independent_columns
from mixedmodels.formula.design.model_frame import ModelFrame, build_model_frame
from mixedmodels.formula.design.nonlinear import NonlinearDesign, SelfStartData
from mixedmodels.formula.design.parameter_starts import names_with_starts, starting_effects
from mixedmodels.formula.design.parameter_terms import (
    ONES,
    ParameterTerms,
    fixed_terms,
    joined_recipe,
    parameters_of,
    random_terms_of,
)
from mixedmodels.formula.design.random_effects import (
    group_name,
    grouping_factor,
    in_order_of_levels,
    unique_labels,
)
from mixedmodels.formula.design.readings import warn_about_terms
from mixedmodels.formula.design.recipe import RandomRecipe, Recipe
from mixedmodels.formula.design.relationship import with_relationships
from mixedmodels.formula.design.response import response
from mixedmodels.formula.design.structured import StructuredResiduals
from mixedmodels.formula.evaluation.columns import Column, Numeric
from mixedmodels.formula.evaluation.environment import Environment
from mixedmodels.formula.evaluation.evaluate import Evaluator, States, as_numbers
from mixedmodels.formula.evaluation.evaluator import formula_evaluator
from mixedmodels.formula.evaluation.input_frames import input_frame
from mixedmodels.formula.evaluation.magnitude import refuse_extreme
from mixedmodels.formula.evaluation.mean import MeanExpression, read_mean
from mixedmodels.formula.evaluation.self_starting import SelfStart, as_self_start
from mixedmodels.formula.language.bars import SPATIAL, Bar
from mixedmodels.formula.language.nonlinear import NonlinearFormula, parse_nonlinear
from mixedmodels.formula.language.parse import ParsedFormula
from mixedmodels.formula.language.syntax_tree import Node, Number, deparse, strip_parens


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _RandomPlan:
    """A random-effects term before any data."""

    bar: Bar
    parts: list[ParameterTerms]
    split: bool


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Plan:
    """What a nonlinear formula asks for, before any data."""

    read: NonlinearFormula
    mean: MeanExpression
    self_start: SelfStart | None
    fixed: list[ParameterTerms]
    random: list[_RandomPlan]

    def variables(self) -> dict[str, Node]:
        """Return printed expression -> expression of everything that has to be evaluated."""
        found = {deparse(self.read.response): self.read.response, **self.mean.variables}
        for part in self.fixed:
            found.update(part.variables())
        for term in self.random:
            found[deparse(term.bar.group)] = term.bar.group
            for part in term.parts:
                found.update(part.variables())
        return found


def build_nonlinear_design(
    formula: str,
    data: Any,
    *,
    fixed: Any = None,
    random: Any = None,
    groups: Any = None,
    start: Any = None,
    weights: Any = None,
    subset: Any = None,
    na_action: NaAction = "omit",
    contrasts: Mapping[str, Any] | None = None,
    env: Mapping[str, Any] | None = None,
    relmat: Mapping[str, Any] | None = None,
    residual: str | None = None,
    dispersion: str | None = None,
) -> NonlinearDesign:
    """Build the design of a nonlinear mixed model from a formula and data.

    Parameters
    ----------
    formula : str
        lme4's ``"y ~ f(x, A, B) ~ A | g"``, or ``"y ~ f(x, A, B)"`` with `random`. Parameters are the names
        of the mean that `start`, `fixed` or `random` declare, and those that are no columns of the data.
    data : pandas.DataFrame, dict of arrays, polars.DataFrame or pyarrow.Table
        The variables.
    fixed, random, groups
        As for :func:`mixedmodels.formula.language.nonlinear.parse_nonlinear`.
    start : mapping, Series or sequence, optional
        Starting values, by parameter or by fixed effect.
    weights, subset, na_action, contrasts, env, relmat, residual, dispersion
        As for :func:`mixedmodels.lmer`. In `env` a function of the mean may stand with its gradient,
        ``{"f": (f, gradient)}``.

    Raises
    ------
    FormulaError
        When the formula cannot be read, with a caret under the place.
    DataError
        When the data do not fit the formula.
    ControlError
        When starting values are at fault.

    Examples
    --------
    >>> data = {"y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 0.0, 1.0], "g": ["a", "a", "b", "b"]}
    >>> found = build_nonlinear_design("y ~ A * exp(-k * x) ~ A | g", data)
    >>> found.design.x_names, found.mean.parameters
    (('A', 'k'), ('A', 'k'))
    """
    read = parse_nonlinear(formula, fixed, random, groups)
    env, contrasts, relmat = (
        named_values(name, given)
        for name, given in (("env", env), ("contrasts", contrasts), ("relmat", relmat))
    )
    frame = input_frame(data)
    evaluator = formula_evaluator(frame, formula, dict(env), States())
    plan = _plan(read, evaluator, names_with_starts(start))
    structured = StructuredResiduals.read(residual, dispersion)
    variables = {**plan.variables(), **structured.variables()}
    model_frame = build_model_frame(evaluator, variables, weights=weights, subset=subset, na_action=na_action)
    columns = {text: used_levels(column) for text, column in model_frame.columns.items()}
    warn_about_terms([part.terms for part in plan.fixed], columns)
    built = _assemble(plan, evaluator, model_frame, columns, contrasts, relmat)
    return replace(
        built,
        design=structured.added(built.design, columns),
        start=starting_effects(start, built),
    )


def _plan(read: NonlinearFormula, evaluator: Evaluator, started: Sequence[str]) -> _Plan:
    """Return the parts of a model, each with what it needs."""
    parameters = parameters_of(read, evaluator.frame, evaluator.env, started)
    random = [
        _RandomPlan(term.bar, random_terms_of(term.bar.lhs, term.parts, parameters, term.text), term.split)
        for term in read.random
    ]
    for term in random:
        if term.bar.structure in SPATIAL:
            raise FormulaError(
                f"{term.bar.structure}() is a process over places, which parameters have none of",
                read.text,
                term.bar.position,
            )
    mean = read_mean(read.mean, parameters, evaluator)
    overridden = any(step.operation == "function" for step in mean.steps)
    self_start = None if overridden else as_self_start(read.mean, parameters)
    return _Plan(read, mean, self_start, fixed_terms(read, parameters), random)


def _assemble(
    plan: _Plan,
    evaluator: Evaluator,
    model_frame: ModelFrame,
    columns: dict[str, Column],
    contrasts: Mapping[str, Any],
    relmat: Mapping[str, Any],
) -> NonlinearDesign:
    """Put the pieces of a design together."""
    read, parameters, n = plan.read, plan.mean.parameters, model_frame.n_rows
    names = {name for part in plan.fixed for name in part.variables()}
    check_contrasts(contrasts, names, columns)
    variables = {**plan.variables(), ONES: Number(1.0)}
    columns = {**columns, ONES: Numeric(np.ones(n))}
    fixed, owner = joined_recipe(plan.fixed, parameters, columns, contrasts)
    X = model_matrix(fixed, columns, n)
    refuse_extreme(X, fixed.names)
    kept, combinations = _independent(X, owner, len(parameters))
    random, random_recipes, random_owner = _random_terms(plan.random, parameters, columns, n)
    left = response(read.response, columns[deparse(read.response)])
    refuse_extreme(left.values, [left.text])
    for term in random:
        refuse_extreme(term.Z, term.columns, f" in ({term.expression})")
    recipe = Recipe(
        text=read.text,
        env=Environment(evaluator.env),
        states=evaluator.states,
        fixed=fixed,
        kept=kept,
        dependence=combinations,
        variables=variables,
        offsets=(),
        offset_argument=None,
        offset_is_array=False,
        random=random_recipes,
    )
    design = Design(
        formula=_parsed(plan),
        response=left,
        fixed=ColumnMatrix.of(X if len(kept) == X.shape[1] else np.asfortranarray(X[:, kept])),
        x_names=tuple(fixed.names[k] for k in kept),
        dropped=tuple(name for k, name in enumerate(fixed.names) if k not in set(kept.tolist())),
        random=with_relationships(random, relmat),
        weights=model_frame.weights,
        offset=None,
        index=model_frame.index,
        missing=model_frame.missing,
        recipe=recipe,
    )
    return NonlinearDesign(
        design=design,
        mean=plan.mean.bound(columns, n, evaluator.env),
        fixed_parameter=owner[kept],
        random_parameter=random_owner,
        start=None,
        expression=plan.mean,
        self_start=_self_start_data(plan, columns, n),
    )


def _independent(X: FloatArray, owner: IntArray, K: int) -> tuple[IntArray, FloatArray | None]:
    """Return the columns that do not depend on earlier ones of their parameter, and how the others do."""
    kept: list[IntArray] = []
    blocks: list[FloatArray] = []
    for k in range(K):
        own = np.flatnonzero(owner == k)
        independent = independent_columns(X[:, own])
        C = dependence(X[:, own], independent)
        kept.append(own[independent])
        blocks.append(np.empty((len(independent), 0)) if C is None else C)
    C = scipy.linalg.block_diag(*blocks)
    return np.concatenate(kept), C if C.shape[1] else None


def _random_terms(
    plans: list[_RandomPlan], parameters: tuple[str, ...], columns: Mapping[str, Column], n: int
) -> tuple[tuple[RandomTerm, ...], tuple[RandomRecipe, ...], tuple[IntArray, ...]]:
    """Build the random-effects terms in lme4's order of decreasing number of levels."""
    built: list[tuple[RandomTerm, RandomRecipe]] = []
    owners: dict[int, IntArray] = {}
    for plan in plans:
        recipe, owner = joined_recipe(plan.parts, parameters, columns, {})
        Z = model_matrix(recipe, columns, n)
        everything = list(range(len(recipe.names)))
        for selected in [[k] for k in everything] if plan.split else [everything]:
            pair = _term(plan, recipe, selected, Z, columns)
            owners[id(pair[1])] = owner[selected]
            built.append(pair)
    built = in_order_of_levels(built)
    labels = unique_labels([term.group for term, _ in built])
    terms = tuple(replace(term, label=label) for (term, _), label in zip(built, labels, strict=True))
    recipes = tuple(recipe for _, recipe in built)
    return terms, recipes, tuple(owners[id(recipe)] for recipe in recipes)


def _term(
    plan: _RandomPlan,
    recipe: MatrixRecipe,
    selected: list[int],
    Z: FloatArray,
    columns: Mapping[str, Column],
) -> tuple[RandomTerm, RandomRecipe]:
    """Return a term of some columns of a left side."""
    bar = plan.bar
    name = group_name(bar.group)
    factor = grouping_factor(name, columns[deparse(bar.group)])
    own = Z[:, selected]
    term = RandomTerm(
        label=name,
        group=name,
        expression=f"{recipe.names[selected[0]]} | {name}" if plan.split else str(bar),
        columns=tuple(recipe.names[k] for k in selected),
        Z=np.broadcast_to(np.float64(1.0), own.shape) if own.shape[1] == 1 and np.all(own == 1.0) else own,
        codes=factor.codes,
        levels=factor.levels,
        structure=covariance_structure(bar.structure, len(selected), bar.homogeneous),
    )
    return term, RandomRecipe(recipe, tuple(selected), bar.group)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _FormulaOfParts(ParsedFormula):
    """The formula of a nonlinear model, whose parts are not in its text alone."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the parts."""
        parts = (self.text, self.tree, self.response, self.fixed, self.bars, self.warnings)
        return _FormulaOfParts, parts


def _parsed(plan: _Plan) -> ParsedFormula:
    """Return the formula as every design has one."""
    read = plan.read
    added = Number(1.0) if read.added is None else read.added
    return _FormulaOfParts(read.text, read.tree, read.response, added, tuple(t.bar for t in plan.random))


def _self_start_data(plan: _Plan, columns: Mapping[str, Column], n: int) -> SelfStartData | None:
    """Return what the starting values of a self-starting model are found from."""
    if plan.self_start is None:
        return None
    found = plan.self_start
    inputs = []
    for node in map(strip_parens, found.inputs):
        value = node.value if isinstance(node, Number) else None
        text = deparse(node)
        if value is None and text not in columns:
            return None  # an expression of numbers alone: there is no curve to find a start from
        inputs.append(np.full(n, float(value)) if value is not None else as_numbers(columns[text], text))
    order = [plan.mean.parameters.index(name) for name in found.parameters]
    return SelfStartData(found.name, tuple(inputs), np.array(order, dtype=np.intp))
