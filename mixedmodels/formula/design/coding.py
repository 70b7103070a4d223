"""From terms to columns: R's rule of coding, and the recipe that repeats it on new data.

Where the margin of a factor in a term is part of the model, the factor is coded by its contrasts,
elsewhere by one indicator a level. R's rule, not that of patsy and formulaic: no term is ever added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray, IntArray, ones_view
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import DataError, listed
from mixedmodels.formula.design.column_matrix import CodedColumns, ColumnMatrix, Piece
from mixedmodels.formula.evaluation.columns import Column, Factor, Logical, Matrix, Numeric
from mixedmodels.formula.evaluation.conversions import with_levels
from mixedmodels.formula.evaluation.read_column import DATE_ADVICE
from mixedmodels.formula.language.terms import Terms

with on_first_use():
    from mixedmodels.formula.evaluation import contrasts as contrast_coding

if TYPE_CHECKING:
    from mixedmodels.formula.evaluation.contrasts import CodedLevels

#: Levels and order of a factor; empty for numbers.
Kind: TypeAlias = tuple[()] | tuple[tuple[str, ...], bool]
_LOGICAL_LEVELS = ("FALSE", "TRUE")
# A matrix with more columns than rows loses columns anyway; beyond this many it is a slip, and slow.
MAX_SURPLUS_COLUMNS = 2000
#: Columns of a factor that are multiplied as fast as its codes are counted, and how many numbers the others
#: must have for counting to win.
MOST_PLAIN, LEAST_CODED = 3, 200_000
#: Rows of many columns that are copied together.
ROWS_TOGETHER = 1024


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class VariableCoding:
    """How one variable becomes columns.

    Attributes
    ----------
    name : str
        The printed variable.
    suffixes : tuple of str
        What follows the name in each column of a numeric variable or matrix.
    levels : tuple of str or None
        Levels of a factor; None for numbers.
    reduced : tuple or None
        Contrast matrix (levels x columns) and suffixes; None where no term needs it.
    """

    name: str
    suffixes: tuple[str, ...]
    levels: tuple[str, ...] | None = None
    reduced: CodedLevels | None = None

    def coded(self, full: bool) -> CodedLevels:
        """Return the coding matrix and suffixes: indicators, or contrasts."""
        assert self.levels is not None
        if full or self.reduced is None:
            return contrast_coding.indicators(self.levels)
        return self.reduced

    def suffixes_of(self, full: bool) -> tuple[str, ...]:
        """Return the suffixes of the columns."""
        return self.suffixes if self.levels is None else self.coded(full)[1]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CodedTerm:
    """A term: its bit pattern, and for each of its variables the index and whether it is coded in full."""

    pattern: int
    factors: tuple[tuple[int, bool], ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MatrixRecipe:
    """How to build a model matrix.

    Attributes
    ----------
    intercept : bool
        Whether the first column is the intercept.
    variables : tuple of VariableCoding
        The variables of the terms.
    terms : tuple of CodedTerm
        The terms in order.
    names : tuple of str
        R's column names.
    assign : tuple of int
        The bit pattern of the term each column belongs to; 0 for the intercept.
    """

    intercept: bool
    variables: tuple[VariableCoding, ...]
    terms: tuple[CodedTerm, ...]
    names: tuple[str, ...]
    assign: tuple[int, ...]


def matrix_recipe(terms: Terms, columns: Mapping[str, Column], contrasts: Mapping[str, Any]) -> MatrixRecipe:
    """Decide how the variables of `terms` are coded.

    Parameters
    ----------
    terms : Terms
        The model terms.
    columns : mapping
        Values of the variables on the training data, by their printed names.
    contrasts : mapping
        Contrasts the caller asked for, by variable.
    """
    kinds = tuple(_plain_kind(columns.get(name)) for name in terms.names)
    if contrasts or None in kinds:
        return _recipe(terms, columns, contrasts)
    if len(terms.patterns) * prod(len(kind[0]) for kind in kinds if kind) > MAX_SURPLUS_COLUMNS:
        return _recipe(terms, columns, contrasts)
    return _recipe_of_kinds(terms, cast("tuple[Kind, ...]", kinds))


def _plain_kind(column: Column | None) -> Kind | None:
    """Return what the coding of a variable depends on: nothing of numbers; None of what is no plain kind."""
    if isinstance(column, Numeric):
        return ()
    is_plain = isinstance(column, Factor) and column.contrast is None and not column.is_date
    return (column.levels, column.ordered) if is_plain and isinstance(column, Factor) else None


@lru_cache(maxsize=128)
def _recipe_of_kinds(terms: Terms, kinds: tuple[Kind, ...]) -> MatrixRecipe:
    """Return the recipe of terms of plain variables, which is the same whatever the rows hold."""
    columns: dict[str, Column] = {}
    for name, kind in zip(terms.names, kinds, strict=True):
        columns[name] = Factor(np.empty(0, np.int32), kind[0], kind[1]) if kind else Numeric(np.empty(0))
    return _recipe(terms, columns, {})


def _recipe(terms: Terms, columns: Mapping[str, Column], contrasts: Mapping[str, Any]) -> MatrixRecipe:
    """Code the variables of terms by what they are."""
    categorical = [isinstance(columns.get(name), (Factor, Logical)) for name in terms.names]
    coded = coded_terms(terms, categorical)
    reduced = {i for term in coded for i, full in term.factors if categorical[i] and not full}
    used = {i for term in coded for i, _ in term.factors}
    variables = tuple(
        _variable_coding(name, columns[name], contrasts, i in reduced)
        if i in used
        else VariableCoding(name, ())
        for i, name in enumerate(terms.names)
    )
    _refuse_too_many(coded, variables, columns)
    names, assign = ["(Intercept)"] * terms.intercept, [0] * terms.intercept
    for term in coded:
        found = column_names(term, variables)
        names += found
        assign += [term.pattern] * len(found)
    return MatrixRecipe(terms.intercept, variables, coded, tuple(names), tuple(assign))


def _refuse_too_many(
    coded: tuple[CodedTerm, ...], variables: tuple[VariableCoding, ...], columns: Mapping[str, Column]
) -> None:
    """Raise when the matrix would be huge and have more columns than rows, before it is made."""
    counts = {
        term.pattern: prod(len(variables[i].suffixes_of(full)) for i, full in term.factors) for term in coded
    }
    total = sum(counts.values())
    if total <= MAX_SURPLUS_COLUMNS or total <= min(map(len, columns.values())):
        return
    largest = max(coded, key=lambda term: counts[term.pattern])
    label = ":".join(variables[i].name for i, _ in largest.factors)
    raise DataError(
        f"the model matrix would have {total} columns, more than rows; {label} alone has "
        f"{counts[largest.pattern]}. Is a variable with many values a factor by mistake?"
    )


def coded_terms(terms: Terms, categorical: list[bool]) -> tuple[CodedTerm, ...]:
    """Apply R's rule: a variable is coded by contrasts where an earlier term holds the rest of its term.

    Without an intercept the first factor met is coded in full.
    """
    coded: list[CodedTerm] = []
    first_is_full = not terms.intercept
    for position, pattern in enumerate(terms.patterns):
        factors = []
        for i in terms.members(pattern):
            full = is_full(pattern & ~(1 << i), terms.patterns[:position])
            if first_is_full and categorical[i]:
                full, first_is_full = True, False
            factors.append((i, full))
        coded.append(CodedTerm(pattern, tuple(factors)))
    return tuple(coded)


def is_full(rest: int, earlier: Sequence[int]) -> bool:
    """Tell whether a variable is coded in full: no earlier term holds the rest of its term."""
    return rest != 0 and not any(rest & ~pattern == 0 for pattern in earlier)


def _variable_coding(
    name: str, column: Column, contrasts: Mapping[str, Any], is_reduced: bool
) -> VariableCoding:
    """Return the coding of one variable."""
    if isinstance(column, Numeric):
        return VariableCoding(name, ("",))
    if isinstance(column, Matrix):
        # R does not number the column of a matrix that has only one.
        return VariableCoding(name, column.names if len(column.names) > 1 else ("",))
    if isinstance(column, Factor) and column.is_date:
        raise DataError(DATE_ADVICE.format(name=name))
    levels = column.levels if isinstance(column, Factor) else _LOGICAL_LEVELS
    if not is_reduced:
        return VariableCoding(name, (), levels)
    if name in contrasts:
        contrast = contrast_coding.as_contrast(contrasts[name], name)
    elif isinstance(column, Factor):
        contrast = column.contrast or contrast_coding.default_contrast(column.ordered)
    else:
        contrast = contrast_coding.default_contrast(ordered=False)
    return VariableCoding(name, (), levels, contrast_coding.code_levels(contrast, levels, name))


def column_names(term: CodedTerm, variables: tuple[VariableCoding, ...]) -> list[str]:
    """Return R's names of the columns of a term, the first variable varying fastest."""
    names = [""]
    for order, (i, full) in enumerate(term.factors):
        variable = variables[i]
        own = [variable.name + suffix for suffix in variable.suffixes_of(full)]
        names = own if order == 0 else [f"{before}:{after}" for after in own for before in names]
    return names


def model_matrix(recipe: MatrixRecipe, columns: Mapping[str, Column], n_rows: int) -> FloatArray:
    """Return the model matrix, shape (n, p), columns contiguous; NaN where a variable is missing."""
    X = np.empty((n_rows, len(recipe.names)), order="F")
    position = 0
    if recipe.intercept:
        X[:, 0] = 1.0
        position = 1
    for term in recipe.terms:
        position += _fill_term(X, position, term, recipe.variables, columns)
    return X


def column_matrix(recipe: MatrixRecipe, columns: Mapping[str, Column], n_rows: int) -> ColumnMatrix:
    """Return the model matrix in pieces, the columns of terms of factors by their codes.

    Parameters
    ----------
    recipe : MatrixRecipe
        How the columns are coded.
    columns : mapping
        Values of the variables, none of them missing.
    n_rows : int
        Number of rows.
    """
    pieces: list[Piece] = []
    plain: list[FloatArray] = [ones_view(n_rows)] * recipe.intercept
    codings: dict[tuple[int, ...], CodeArray | IntArray] = {}
    # Of few numbers no term is worth its codes.
    widths = Counter(recipe.assign) if n_rows * len(recipe.assign) >= LEAST_CODED else {}
    for term in recipe.terms:
        width = widths.get(term.pattern, 0)
        if n_rows * (width - MOST_PLAIN) < LEAST_CODED or not _is_coded(term, recipe.variables, columns):
            plain += _term_block(term, recipe.variables, columns)
            continue
        if plain:
            pieces.append(_stacked(plain))
        plain = []
        pieces.append(_coded_term(term, recipe.variables, columns, codings))
    if plain or not pieces:
        pieces.append(_stacked(plain) if plain else np.empty((n_rows, 0)))
    return ColumnMatrix(tuple(pieces), n_rows)


def _stacked(columns: list[FloatArray]) -> FloatArray:
    """Return columns as an array, each contiguous."""
    n = len(columns[0])
    X = np.empty((n, len(columns)), order="F")
    # Columns of a table kept by rows are far apart in memory: some rows of all of them come together.
    are_apart = len(columns) > MOST_PLAIN and columns[-1].strides[0] > columns[-1].itemsize
    if not are_apart:
        for k, column in enumerate(columns):
            X[:, k] = column
        return X
    for first in range(0, n, ROWS_TOGETHER):
        rows = slice(first, first + ROWS_TOGETHER)
        for k, column in enumerate(columns):
            X[rows, k] = column[rows]
    return X


def _is_coded(term: CodedTerm, variables: tuple[VariableCoding, ...], columns: Mapping[str, Column]) -> bool:
    """Tell whether a term has factors, and of numbers only single columns."""
    kinds = [variables[i].levels is not None for i, _ in term.factors]
    singles = all(not isinstance(columns[variables[i].name], Matrix) for i, _ in term.factors)
    return any(kinds) and singles


def _coded_term(
    term: CodedTerm,
    variables: tuple[VariableCoding, ...],
    columns: Mapping[str, Column],
    codings: dict[tuple[int, ...], CodeArray | IntArray],
) -> CodedColumns:
    """Return the columns of a term of factors and numbers; `codings` has the codes of combinations."""
    table, values = np.ones((1, 1)), None
    factors: tuple[int, ...] = ()
    for i, full in term.factors:
        variable, column = variables[i], columns[variables[i].name]
        if variable.levels is None:
            own = _numeric_block(variable, column)[0]
            values = own if values is None else values * own
            continue
        matrix, _ = variable.coded(full)
        earlier, factors = factors, (*factors, i)
        if factors not in codings:
            codes = level_codes(variable, column)
            codings[factors] = codes if not earlier else codings[earlier] + np.intp(len(table)) * codes
        # The first variable varies fastest, among the levels and among the columns.
        table = np.einsum("ac,bd->badc", table, matrix).reshape(len(matrix) * len(table), -1)
    return CodedColumns(codings[factors], table, values)


def _fill_term(
    X: FloatArray,
    position: int,
    term: CodedTerm,
    variables: tuple[VariableCoding, ...],
    columns: Mapping[str, Column],
) -> int:
    """Write the columns of a term from `position` on and return how many they are."""
    block = _term_block(term, variables, columns)
    for k, column in enumerate(block):
        X[:, position + k] = column
    return len(block)


def _term_block(
    term: CodedTerm, variables: tuple[VariableCoding, ...], columns: Mapping[str, Column]
) -> list[FloatArray]:
    """Return the columns of a term."""
    (i, full), *others = term.factors
    block = _variable_block(variables[i], columns[variables[i].name], full)
    for j, other_full in others:
        other = _variable_block(variables[j], columns[variables[j].name], other_full)
        block = [a * b for b in other for a in block]
    return block


def _variable_block(variable: VariableCoding, column: Column, full: bool) -> list[FloatArray]:
    """Return the columns of one variable."""
    if variable.levels is None:
        return _numeric_block(variable, column)
    matrix, _ = variable.coded(full)
    codes = level_codes(variable, column)
    if len(codes) and codes.min() < 0:
        # Codes of missing values, -1, pick the row of NaN at the end.
        matrix = np.vstack([matrix, np.full(matrix.shape[1], np.nan)])
    return [column[codes] for column in matrix.T]


def _numeric_block(variable: VariableCoding, column: Column) -> list[FloatArray]:
    """Return the columns of a numeric variable or matrix."""
    if isinstance(column, Matrix):
        if column.values.shape[1] != len(variable.suffixes):
            raise DataError(
                f"{variable.name} has {column.values.shape[1]} columns; it had {len(variable.suffixes)}"
            )
        return [column.values[:, k] for k in range(column.values.shape[1])]
    if isinstance(column, Factor):
        raise DataError(
            f"{variable.name} was numeric when the model was fitted and is a factor in the new data"
        )
    return [column.as_float()]


def level_codes(variable: VariableCoding, column: Column) -> IntArray:
    """Return the positions of a column's values among the levels of the fit; -1 where missing.

    Raises
    ------
    DataError
        When a level occurs that the fit has not seen.
    """
    assert variable.levels is not None
    if isinstance(column, Logical):
        codes = column.values.astype(np.intp)
        if column.absent is not None:
            codes[column.absent] = -1
        return codes
    if not isinstance(column, Factor):
        raise DataError(
            f"{variable.name} was a factor when the model was fitted and is numeric in the new data"
        )
    recoded = with_levels(column, variable.levels)
    if len(recoded.levels) > len(variable.levels):
        unseen = np.unique(recoded.codes[recoded.codes >= len(variable.levels)])
        if len(unseen):
            new = listed(repr(recoded.levels[k]) for k in unseen.tolist())
            raise DataError(
                f"factor {variable.name} has new level(s) {new}; the fit knows {listed(variable.levels)}"
            )
    return recoded.codes  # type: ignore[return-value]
