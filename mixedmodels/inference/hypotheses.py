"""Hypotheses of type I, II and III about the terms of the fixed effects, as matrices L of ``L beta = 0``.

Two definitions are in use. That of SAS and lmerTest asks about the means of the cells, whatever contrasts
code the factors; that of R's car asks about the coefficients (type III) and takes from the covariance what
the higher terms explain (type II).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
import scipy.linalg

from mixedmodels.absent_rows import AbsentColumns
from mixedmodels.advice import advises, shown
from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.control import one_of
from mixedmodels.errors import NotAvailableError, listed
from mixedmodels.fits.columns import column_terms
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.nonlinear import refuse_nonlinear
from mixedmodels.formula.design.coding import CodedTerm, MatrixRecipe, column_names, model_matrix
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.fixed_effects import independent_columns
from mixedmodels.formula.design.kept_data import used_variables
from mixedmodels.formula.design.new_data import fixed_columns
from mixedmodels.formula.evaluation.columns import Column, Factor, Matrix, Numeric
from mixedmodels.formula.evaluation.contrasts import code_levels, default_contrast
from mixedmodels.inference.hypothesis_tables import Hypotheses

#: Which definition: lmerTest's is that of SAS.
Convention = Literal["lmerTest", "car"]
TYPES: Mapping[object, int] = {1: 1, 2: 2, 3: 3, "1": 1, "2": 2, "3": 3, "I": 1, "II": 2, "III": 3}
ROMAN = {1: "I", 2: "II", 3: "III"}
INTERCEPT = "(Intercept)"
# On unit columns the entries of L are ratios of small whole numbers for balanced factors, and sums of n
# products in general: what is smaller than this beside the largest is rounding.
NOTHING = 1e-9
# The share of a unit column outside the smaller space below which a direction lies in it (R's 1e-7).
RANK = 1e-7


@advises
def hypotheses(model: Fit, type: object = 3, convention: Convention = "lmerTest") -> Hypotheses:
    """Return the matrix L of the hypothesis ``L beta = 0`` that each term of the fixed effects is tested by.

    Parameters
    ----------
    model : fitted model
        The model.
    type : {3, 2, 1}
        Type III compares unweighted means of cells; type II adjusts a term for all that do not contain it;
        type I for those before it.
    convention : {"lmerTest", "car"}
        That of SAS and lmerTest, the same whatever contrasts code the factors; or that of R's car, whose
        type III are the coefficients of the term, which say something about means only where the contrasts of
        the factors sum to zero.

    Returns
    -------
    Hypotheses
        A dict, term -> DataFrame, one row a hypothesis, one column a coefficient, that prints as tables. A
        term that the data say nothing about, its cells being empty, has no rows.

    Raises
    ------
    ControlError
        If `type` or `convention` is none of these.

    References
    ----------
    Kuznetsova, Brockhoff & Christensen (2017), J. Stat. Softw. 82(13). Fox & Weisberg (2019), An R Companion
    to Applied Regression, 3rd ed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("effort ~ Type + (1 | Subject)", mm.load_dataset("ergoStool"))
    >>> {term: L.shape for term, L in mm.hypotheses(m).items()}
    {'Type': (3, 4)}
    """
    if not isinstance(model, Fit):
        raise NotAvailableError(f"hypotheses() needs a fitted model; {shown(model)} is none.")
    number = type_number(type)
    one_of("convention", convention, ("lmerTest", "car"))
    if convention == "car":
        found = coefficient_hypotheses(model, number, model._fixed_covariance())
    else:
        found = term_hypotheses(model, number)
    names = list(model.design.x_names)
    tables = {term: pd.DataFrame(L, columns=names) for term, L in found.items()}
    return Hypotheses(tables, f"Hypotheses of type {ROMAN[number]} ({convention}), L beta = 0 with L")


def type_number(type: object) -> int:
    """Return 1, 2 or 3 for a type of hypotheses, given as a number or in Roman digits."""
    one_of("type", type, tuple(TYPES))
    return TYPES[type]


# The terms and their columns.


@dataclass(frozen=True, slots=True)
class TermColumns:
    """The terms of a model matrix.

    Attributes
    ----------
    labels : tuple of str
        The terms, the intercept left out, as written.
    patterns : tuple of int
        Their variables, as bits.
    numeric : tuple of int
        Their numeric variables, as bits.
    columns : tuple of ndarray of int
        The columns of each.
    """

    labels: tuple[str, ...]
    patterns: tuple[int, ...]
    numeric: tuple[int, ...]
    columns: tuple[IntArray, ...]

    def containing(self, k: int) -> list[int]:
        """Return the terms that contain term k: the same numeric variables and more factors (SAS)."""
        return [
            j
            for j, pattern in enumerate(self.patterns)
            if pattern != self.patterns[k]
            and pattern & self.patterns[k] == self.patterns[k]
            and self.numeric[j] == self.numeric[k]
        ]

    def above(self, k: int) -> list[int]:
        """Return the terms that have all variables of term k and more."""
        own = self.patterns[k]
        return [j for j, pattern in enumerate(self.patterns) if pattern != own and pattern & own == own]


def term_columns(recipe: MatrixRecipe, kept: IntArray) -> TermColumns:
    """Return the terms of a recipe with their places among its columns `kept`."""
    label = dict(zip(recipe.assign, column_terms(recipe), strict=True))
    assign = np.array(recipe.assign, dtype=object)[kept]
    numbers = sum(1 << i for i, variable in enumerate(recipe.variables) if variable.levels is None)
    patterns = tuple(term.pattern for term in recipe.terms if term.pattern in label)
    return TermColumns(
        labels=tuple(label[p] for p in patterns),
        patterns=patterns,
        numeric=tuple(p & numbers for p in patterns),
        columns=tuple(np.flatnonzero(assign == p) for p in patterns),
    )


#: Rows that are made up for each column of a model matrix: enough to span it.
MADE_UP_ROWS = 20

# The definition of SAS and lmerTest.


def term_hypotheses(model: Fit, type: int) -> dict[str, FloatArray]:
    """Return L of each term by the definition of SAS and lmerTest: term -> (rows, p)."""
    refuse_nonlinear(model, "a test of terms")
    design = model.design
    terms = term_columns(design.recipe.fixed, design.recipe.kept)
    if isinstance(design.X, AbsentColumns):
        return _hypotheses_without_rows(design, design.X.plain, terms, type)
    counted = model.prior_weights > 0.0
    X = design.X if counted.all() else design.X[counted]
    if type == 1 or len(terms.labels) < 2:
        return sequential_hypotheses(X, terms)
    if type == 2:
        return partial_hypotheses(X, terms)
    columns = _columns_at_rows(model)
    return unweighted_hypotheses(design.recipe.fixed, columns, counted, X)


def _hypotheses_without_rows(
    design: Design, triangle: FloatArray, terms: TermColumns, type: int
) -> dict[str, FloatArray]:
    """Return L of each term from the products of X, or for type III from made-up rows.

    Type III asks only which combinations of levels there are. Where X has full rank none of the model's is
    missing, and what holds between columns in every row holds in rows of any levels and numbers.
    """
    if (type != 3 or len(terms.labels) < 2) and np.isnan(triangle).any():
        raise NotAvailableError(
            "hypotheses of types I and II are about the products of the fixed effects without weights, which "
            "these sums do not have: those of moments_sql(), and of files of earlier versions. Make them by "
            "moments(formula, source), or take type=3."
        )
    if type == 1 or len(terms.labels) < 2:
        return sequential_hypotheses(triangle, terms)
    if type == 2:
        return partial_hypotheses(triangle, terms)
    if design.dropped:
        raise NotAvailableError(
            "hypotheses of type III ask which combinations of levels occur, which sums over rows do not say "
            f"where columns were dropped ({listed(design.dropped)}); use type=2, or lmer() of a table."
        )
    recipe = design.recipe.fixed
    n = MADE_UP_ROWS * len(recipe.names)
    columns = _made_up(recipe, n)
    return unweighted_hypotheses(recipe, columns, np.ones(n, dtype=bool), model_matrix(recipe, columns, n))


def _made_up(recipe: MatrixRecipe, n: int) -> dict[str, Column]:
    """Return rows of all levels and of numbers without meaning."""
    rng = np.random.default_rng(0)
    columns: dict[str, Column] = {}
    for variable in recipe.variables:
        if variable.levels is not None:
            codes = rng.permutation(np.arange(n, dtype=np.int32) % len(variable.levels))
            columns[variable.name] = Factor(codes, variable.levels)
        elif len(variable.suffixes) == 1:
            columns[variable.name] = Numeric(rng.standard_normal(n))
        else:
            columns[variable.name] = Matrix(
                rng.standard_normal((n, len(variable.suffixes))), variable.suffixes
            )
    return columns


def sequential_hypotheses(X: FloatArray, terms: TermColumns) -> dict[str, FloatArray]:
    """Return the hypotheses of type I: each term adjusted for those before it.

    The rows of the unit triangular factor of ``X'X`` (Doolittle): what the coefficients of the columns up to
    the term stand for when those after it are left out.
    """
    U = _unit_factor(X)
    return {label: U[c] for label, c in zip(terms.labels, terms.columns, strict=True)}


def partial_hypotheses(X: FloatArray, terms: TermColumns) -> dict[str, FloatArray]:
    """Return the hypotheses of type II: each term adjusted for all that do not contain it."""
    found = {}
    p = X.shape[1]
    for k, label in enumerate(terms.labels):
        own, above = terms.columns[k], [terms.columns[j] for j in terms.containing(k)]
        if not above:
            found[label] = np.eye(p)[own]
            continue
        last = np.concatenate([own, *above])
        order = np.concatenate([np.setdiff1d(np.arange(p), last), last])
        L = np.zeros((len(own), p))
        L[:, order] = _unit_factor(X[:, order])[p - len(last) :][: len(own)]
        found[label] = L
    return found


def unweighted_hypotheses(
    recipe: MatrixRecipe, columns: Mapping[str, Column], counted: BoolArray, X: FloatArray
) -> dict[str, FloatArray]:
    """Return the hypotheses of type III: unweighted means, each term orthogonal to those that contain it.

    The columns of one indicator a level, A, are combinations of those of the model, ``A = X C``; row i of
    ``C'`` is how parameter i of the full parametrization enters estimable functions. Functions that concern a
    term are made orthogonal to those of the terms that contain it (SAS/STAT, The Four Types of Estimable
    Functions).

    Parameters
    ----------
    recipe : MatrixRecipe
        Of the fixed effects.
    columns : mapping
        Values of the variables.
    counted : ndarray of bool, shape (n,)
        Rows of positive weight.
    X : ndarray, shape (rows counted, p)
        The model matrix.
    """
    full, coded = _in_full(recipe), _by_treatment(recipe)
    n = len(counted)
    A, T = (model_matrix(r, columns, n)[counted] for r in (full, coded))
    kept = independent_columns(T)
    terms = term_columns(coded, kept)
    basis = _Basis(T[:, kept])
    C = basis.coordinates(A).T
    for k in sorted(range(len(terms.labels)), key=lambda k: -terms.patterns[k].bit_count()):
        above = [c for j in terms.containing(k) for c in terms.columns[j]]
        if above:
            C[:, terms.columns[k]] -= _projected(C[:, above], C[:, terms.columns[k]])
    C = _cleared(C)[_places(full, coded)[kept]]
    to_X = basis.coordinates(X)
    found = {}
    for label, own in zip(terms.labels, terms.columns, strict=True):
        L = _cleared_rows(C[:, own].T @ to_X, X)
        found[label] = L[np.any(L != 0.0, axis=1)]
    return found


def empty_cells(model: Fit) -> list[str]:
    """Return the combinations of levels that no row has: ``["a1:b2", ...]``."""
    recipe = _in_full(model.design.recipe.fixed)
    if all(len(term.factors) < 2 for term in recipe.terms):
        return []
    if isinstance(model.design.X, AbsentColumns):
        return []  # columns would have been dropped, and type III refused
    counted = model.prior_weights > 0.0
    A = model_matrix(recipe, _columns_at_rows(model), len(counted))[counted]
    return [name for name, column in zip(recipe.names, A.T, strict=True) if not column.any()]


def _in_full(recipe: MatrixRecipe) -> MatrixRecipe:
    """Return a recipe of the same terms with one indicator a level in each."""
    return _recoded(recipe, tuple(_coded_in_full(term) for term in recipe.terms))


def _coded_in_full(term: CodedTerm) -> CodedTerm:
    return CodedTerm(term.pattern, tuple((i, True) for i, _ in term.factors))


def _by_treatment(recipe: MatrixRecipe) -> MatrixRecipe:
    """Return the recipe with treatment contrasts in place of those the factors have."""
    treatment = default_contrast(ordered=False)
    variables = tuple(
        v if v.reduced is None or v.levels is None
        else replace(v, reduced=code_levels(treatment, v.levels, v.name))
        for v in recipe.variables
    )  # fmt: skip
    return _recoded(replace(recipe, variables=variables), recipe.terms)


def _recoded(recipe: MatrixRecipe, terms: tuple[CodedTerm, ...]) -> MatrixRecipe:
    """Return the recipe of other codings of the terms, named by the levels of each column."""
    names, assign = [INTERCEPT] * recipe.intercept, [0] * recipe.intercept
    for term in terms:
        found = column_names(term, recipe.variables)
        names += found
        assign += [term.pattern] * len(found)
    return MatrixRecipe(recipe.intercept, recipe.variables, terms, tuple(names), tuple(assign))


def _places(full: MatrixRecipe, coded: MatrixRecipe) -> IntArray:
    """Return where each column of treatment contrasts stands among those of one indicator a level."""
    places, start = [0] * full.intercept, int(full.intercept)
    for term in coded.terms:
        position, size = np.zeros(1, dtype=np.intp), 1
        for i, is_full in term.factors:
            variable = full.variables[i]
            count = len(variable.suffixes_of(True))
            first = 0 if is_full or variable.levels is None else 1
            position = (position[None, :] + size * np.arange(first, count)[:, None]).ravel()
            size *= count
        places += (start + position).tolist()
        start += size
    return np.array(places, dtype=np.intp)


def _columns_at_rows(model: Fit) -> dict[str, Column]:
    """Return the variables of the fixed effects at the rows of a fit."""
    data = used_variables(model.data, model.design)
    if len(data) != model.design.n_rows:
        raise NotAvailableError(
            "the rows of the fit cannot be found again: labels of rows occur several times in the data. Give "
            "it an index without repetitions, as data.reset_index(drop=True) does, and fit again."
        )
    columns = fixed_columns(model.design, data)
    if any(len(column) != len(data) for column in columns.values()):
        raise NotAvailableError(
            "hypotheses of type III are not available where env= holds arrays; put them into the data."
        )
    return columns


# The definition of car.


def coefficient_hypotheses(model: Fit, type: int, covariance: FloatArray) -> dict[str, FloatArray]:
    """Return L of each term by the definition of R's car: term -> (rows, p)."""
    recipe = model.design.recipe
    terms = term_columns(recipe.fixed, recipe.kept)
    identity = np.eye(len(recipe.kept))
    if type == 1:
        return term_hypotheses(model, 1)
    if type == 2:
        return {
            label: _beside(identity, terms.columns[k], [terms.columns[j] for j in terms.above(k)], covariance)
            for k, label in enumerate(terms.labels)
        }
    first = {INTERCEPT: identity[:1]} if recipe.fixed.intercept else {}
    return first | {label: identity[c] for label, c in zip(terms.labels, terms.columns, strict=True)}


def _beside(identity: FloatArray, own: IntArray, above: list[IntArray], V: FloatArray) -> FloatArray:
    """Return the combinations of a term's coefficients and higher ones uncorrelated with the higher ones."""
    higher = np.concatenate([own[:0], *above])
    regression = np.linalg.solve(V[np.ix_(higher, higher)], V[np.ix_(higher, own)]).T
    L = identity[own].copy()
    L[:, higher] = -regression
    return L


# Leaving a term out.


def deletion_hypotheses(X: FloatArray, smaller: FloatArray) -> FloatArray:
    """Return L for which ``L beta = 0`` says that the mean ``X beta`` lies in the columns of `smaller`.

    Its rows are orthonormal: Fai and Cornelius's degrees of freedom depend on how hypotheses are written.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Model matrix, of full rank.
    smaller : ndarray, shape (n, p - q)
        Another, whose columns are combinations of those of X.
    """
    lengths = np.sqrt(np.einsum("ij,ij->j", X, X))
    unit = X / lengths
    rest = unit - _Basis(smaller).fitted(unit) if smaller.shape[1] else unit
    _, size, right = np.linalg.svd(np.linalg.qr(rest, mode="r"))
    return np.linalg.qr((right[size > RANK] * lengths).T)[0].T


class _Basis:
    """Coordinates with respect to columns of full rank, by an orthogonal factorization of unit columns."""

    def __init__(self, columns: FloatArray) -> None:
        self._lengths = np.sqrt(np.einsum("ij,ij->j", columns, columns))
        self._Q, self._R = np.linalg.qr(columns / self._lengths)

    def coordinates(self, A: FloatArray) -> FloatArray:
        """Return C that brings ``columns C`` nearest to A, what is rounding set to zero."""
        lengths = np.sqrt(np.einsum("ij,ij->j", A, A))
        lengths[lengths == 0.0] = 1.0
        C = scipy.linalg.solve_triangular(self._R, self._Q.T @ (A / lengths))
        return np.asarray(_cleared(C) * lengths / self._lengths[:, None])

    def fitted(self, A: FloatArray) -> FloatArray:
        """Return the projection of A on the columns."""
        return np.asarray(self._Q @ (self._Q.T @ A))


def _unit_factor(X: FloatArray) -> FloatArray:
    """Return the unit upper triangular factor U of ``X'X = U'DU``."""
    lengths = np.sqrt(np.einsum("ij,ij->j", X, X))
    R = np.linalg.qr(X / lengths, mode="r")
    U = _cleared(R / np.diag(R)[:, None])
    return np.asarray(U * lengths / lengths[:, None])


def _projected(onto: FloatArray, A: FloatArray) -> FloatArray:
    """Return the projection of the columns of A on those of `onto`, which may depend on each other."""
    lengths = np.sqrt(np.einsum("ij,ij->j", onto, onto))
    unit = onto[:, lengths > 0.0] / lengths[lengths > 0.0]
    return np.asarray(unit @ np.linalg.lstsq(unit, A, rcond=NOTHING)[0])


def _cleared(A: FloatArray) -> FloatArray:
    """Return A with zeros where entries are rounding beside the largest."""
    return np.where(np.abs(A) <= NOTHING * np.abs(A).max(initial=0.0), 0.0, A)


def _cleared_rows(L: FloatArray, X: FloatArray) -> FloatArray:
    """Return L with zeros where entries of a row are rounding, the columns of X brought to unit length."""
    lengths = np.sqrt(np.einsum("ij,ij->j", X, X))
    size = np.abs(L) / lengths
    return np.where(size <= NOTHING * size.max(axis=1, keepdims=True, initial=0.0), 0.0, L)
