"""Random-effects terms: model matrix, levels and covariance structure of each bar of a formula."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from mixedmodels.arrays import FloatArray, ones_view
from mixedmodels.covariance import covariance_structure
from mixedmodels.covariance.structure import CovarianceStructure
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import DataError
from mixedmodels.formula.design.coding import MatrixRecipe, matrix_recipe, model_matrix
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.recipe import RandomRecipe
from mixedmodels.formula.evaluation.columns import Column, Factor, Matrix, as_factor
from mixedmodels.formula.language.bars import SPATIAL, Bar
from mixedmodels.formula.language.syntax_tree import Name, Node, deparse
from mixedmodels.formula.language.terms import Terms

with on_first_use():
    from mixedmodels.covariance import by_correlation
    from mixedmodels.formula.design import spatial_effects

#: What goes with a term.
Beside = TypeVar("Beside")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BarPlan:
    """A bar with the terms of its left side and the printed name of its grouping factor."""

    bar: Bar
    terms: Terms
    lhs: str
    group: str
    group_text: str


def group_name(group: Node) -> str:
    """Return the name of a grouping factor as lme4 shows it, a lone variable without backticks."""
    return group.name if isinstance(group, Name) else deparse(group)


def random_terms(
    plans: Iterable[BarPlan],
    columns: Mapping[str, Column],
    n_rows: int,
    fixed: tuple[MatrixRecipe, FloatArray] | None = None,
) -> tuple[tuple[RandomTerm, ...], tuple[RandomRecipe, ...]]:
    """Build the random-effects terms in lme4's order of decreasing number of levels.

    Where numbers alone make the same matrix as the `fixed` effects, theirs is taken.
    """
    matrices: dict[str, tuple[MatrixRecipe, FloatArray]] = {}
    factors: dict[str, Factor] = {}
    built: list[tuple[RandomTerm, RandomRecipe]] = []
    for plan in plans:
        if plan.group not in factors:
            factors[plan.group] = grouping_factor(plan.group, columns[plan.group_text])
        if plan.lhs not in matrices:
            recipe = matrix_recipe(plan.terms, columns, {})
            is_shared = fixed is not None and _are_same_numbers(recipe, fixed[0])
            Z = fixed[1] if is_shared and fixed else _random_matrix(recipe, columns, n_rows)
            matrices[plan.lhs] = (recipe, Z)
        built += _terms_of_bar(plan, *matrices[plan.lhs], factors[plan.group])
    built = in_order_of_levels(built)
    labels = unique_labels([term.group for term, _ in built])
    terms = tuple(
        term if term.label == label else replace(term, label=label)
        for (term, _), label in zip(built, labels, strict=True)
    )
    return terms, tuple(recipe for _, recipe in built)


def in_order_of_levels(built: list[tuple[RandomTerm, Beside]]) -> list[tuple[RandomTerm, Beside]]:
    """Return the terms by decreasing number of levels.

    As in lme4, terms that stand in this order already stay as they are written, and otherwise those with
    equally many levels come in reversed order.
    """
    if len(built) == 1:
        return built
    counts = [term.n_levels for term, _ in built]
    if all(before >= after for before, after in pairwise(counts)):
        return built
    return sorted(built, key=lambda pair: pair[0].n_levels)[::-1]


def grouping_factor(name: str, column: Column) -> Factor:
    """Return the grouping factor with the levels that occur."""
    if isinstance(column, Matrix):
        raise DataError(f"the grouping factor {name} is a matrix; it must be a single variable")
    return as_factor(column)


def _are_same_numbers(recipe: MatrixRecipe, other: MatrixRecipe) -> bool:
    """Tell whether two recipes make the same columns of numbers: texts of expressions tell all of them."""
    if len(recipe.names) == 1 or recipe.names != other.names:
        return False
    return all(variable.levels is None for variable in (*recipe.variables, *other.variables))


def _random_matrix(recipe: MatrixRecipe, columns: Mapping[str, Column], n_rows: int) -> FloatArray:
    """Return the matrix of a left side; a lone intercept costs no memory."""
    if recipe.names == ("(Intercept)",):
        return ones_view(n_rows, 1)
    return model_matrix(recipe, columns, n_rows)


def _terms_of_bar(
    plan: BarPlan, recipe: MatrixRecipe, matrix: FloatArray, factor: Factor
) -> list[tuple[RandomTerm, RandomRecipe]]:
    """Return the term of a bar; a part of ``||`` gives one scalar term for each of its columns."""
    bar = plan.bar
    if bar.structure in SPATIAL:
        return [spatial_effects.spatial_term(bar, plan.group, recipe, matrix, factor)]
    if bar.split_from is None:
        selections = [tuple(range(len(recipe.names)))]
    else:
        selections = [(k,) for k, pattern in enumerate(recipe.assign) if pattern == bar.part]
    if not recipe.names:
        raise DataError(f"the random-effects term ({bar}) has no columns")
    found = []
    for selected in selections:
        Z = matrix if len(selected) == len(recipe.names) else matrix[:, list(selected)]
        if recipe.assign[selected[0]] == 0 and len(selected) == 1:
            Z = ones_view(len(matrix), 1)
        term = RandomTerm(
            label=plan.group,
            group=plan.group,
            expression=str(bar),
            columns=recipe.names if Z is matrix else tuple(recipe.names[k] for k in selected),
            Z=Z,
            codes=factor.codes,
            levels=factor.levels,
            structure=covariance_structure(bar.structure, len(selected), bar.homogeneous),
        )
        found.append((term, RandomRecipe(recipe, selected, bar.group)))
    return found


def unique_labels(names: list[str]) -> list[str]:
    """Return names made unique as R does: ``g``, ``g.1``, ``g.2``."""
    taken = set(names)
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        label = name
        if name in seen:
            count = seen[name]
            while label in taken:
                label = f"{name}.{count}"
                count += 1
            seen[name] = count
        else:
            seen[name] = 1
        taken.add(label)
        labels.append(label)
    return labels


def random_matrix(
    recipe: RandomRecipe,
    columns: Mapping[str, Column],
    n_rows: int,
    structure: CovarianceStructure,
    theta: FloatArray | None = None,
) -> FloatArray:
    """Return the model matrix of a term on new data, shape (n, S).

    With the covariance parameters of the term given, a process over places goes on to places of no row.
    """
    if recipe.places is not None:
        coordinates = model_matrix(recipe.matrix, columns, n_rows)[:, list(recipe.selected)]
        if theta is not None and isinstance(structure, by_correlation.ByCorrelation):
            return spatial_effects.interpolated_places(coordinates, recipe.places, structure, theta)
        return spatial_effects.indicators_of_places(coordinates, recipe.places)
    if all(recipe.matrix.assign[k] == 0 for k in recipe.selected):
        return ones_view(n_rows, 1)
    return model_matrix(recipe.matrix, columns, n_rows)[:, list(recipe.selected)]
