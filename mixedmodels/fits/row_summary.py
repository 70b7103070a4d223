"""What is known of rows that are nowhere held, beside their cross-products: means, values and cells.

A reference grid needs the mean of a covariate, its values where they are few, and how many rows have each
combination of levels; hypotheses of types I and II need the products of the fixed effects without weights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mixedmodels.absent_rows import AbsentNumbers
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.formula.design.coding import MatrixRecipe
from mixedmodels.formula.evaluation.columns import Column, Factor, Logical, Numeric, as_factor
from mixedmodels.formula.evaluation.input_frames import InputFrame
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import Node, names_in

#: Different values up to which a covariate is kept at all of them (emmeans' cov.keep).
VALUES_KEPT = 2
#: Cells beyond which they are not counted, and no grid is made: a covariate was taken for a factor.
MOST_CELLS = 50_000
#: Rows by which a covariate shows, as a rule, that it has many values.
FIRST_ROWS = 1000

#: Values of the variables of a cell.
Cell: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Predictors:
    """The variables whose rows are summarised.

    Attributes
    ----------
    names : tuple of str
        Variables of the fixed effects and of offsets.
    coerced : frozenset of str
        Those that the formula makes factors.
    """

    names: tuple[str, ...]
    coerced: frozenset[str]


def predictors_of(
    fixed: MatrixRecipe, variables: Mapping[str, Node], offsets: Iterable[Node], argument: str | None
) -> Predictors:
    """Return the variables of the fixed effects and offsets.

    Parameters
    ----------
    fixed : MatrixRecipe
        Of the fixed effects.
    variables : mapping
        Printed variable -> expression.
    offsets : iterable of Node
        What stands inside of ``offset()`` terms.
    argument : str, optional
        The argument of that name.
    """
    used = {i for term in fixed.terms for i, _ in term.factors}
    nodes = [variables[v.name] for i, v in enumerate(fixed.variables) if i in used]
    coerced = [variables[v.name] for i, v in enumerate(fixed.variables) if i in used and v.levels is not None]
    nodes += [*offsets, *([] if argument is None else [parse_expression(argument)])]
    names = dict.fromkeys(name.name for node in nodes for name in names_in(node))
    return Predictors(tuple(names), frozenset(name.name for node in coerced for name in names_in(node)))


@dataclass(frozen=True, slots=True)
class NumberSummary:
    """A covariate.

    Attributes
    ----------
    total : float
        Sum of its values.
    least, greatest : float
        Its range.
    different : ndarray or None
        Its different values, ascending; None where they are many.
    """

    total: float
    least: float
    greatest: float
    different: npt.NDArray[Any] | None

    def joined(self, other: NumberSummary, most: float) -> NumberSummary:
        """Return the summary of the values of both; more different ones than `most` are many."""
        different = None
        if self.different is not None and other.different is not None:
            different = _few(np.union1d(self.different, other.different), most)
        return NumberSummary(
            self.total + other.total,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
            different,
        )


@dataclass(slots=True)
class RowSummary:
    """What of rows is known.

    Attributes
    ----------
    predictors : Predictors
        The variables.
    numbers : dict
        Covariate -> its summary.
    factors : dict
        Factor or truth value -> an empty column of its kind.
    cells : dict or None
        Values of the factors, of covariates with few values and of those made factors, in the order of
        `keys` -> sum of the prior weights; None where there are too many.
    offset : float
        Sum of the offset.
    n_rows : int
        Number of rows.
    plain : ndarray, shape (m, p), or None
        A triangle with the products of the fixed effects without weights, at rows of positive weight; None
        where there are no weights.
    """

    predictors: Predictors
    numbers: dict[str, NumberSummary] = field(default_factory=dict)
    factors: dict[str, Column] = field(default_factory=dict)
    cells: dict[Cell, float] | None = field(default_factory=dict)
    offset: float = 0.0
    n_rows: int = 0
    plain: FloatArray | None = None

    @property
    def keys(self) -> list[str]:
        """Names of the variables of a cell."""
        few = {name for name, number in self.numbers.items() if number.different is not None}
        return [name for name in self.predictors.names if name in self.factors or name in few]

    def most(self, name: str) -> float:
        """Return how many different values of a covariate are few."""
        return MOST_CELLS if name in self.predictors.coerced else VALUES_KEPT

    def absorb(self, other: RowSummary) -> None:
        """Add the summary of other rows."""
        if not other.n_rows:
            return
        if not self.n_rows:
            self.numbers, self.factors, self.cells = other.numbers, other.factors, other.cells
        else:
            before = self.keys
            self.numbers = {
                name: number.joined(other.numbers[name], self.most(name))
                for name, number in self.numbers.items()
            }
            self.factors = {
                name: _with_levels(own, other.factors[name]) for name, own in self.factors.items()
            }
            self.cells = _joined(
                _collapsed(self.cells, before, self.keys), _collapsed(other.cells, other.keys, self.keys)
            )
        self.offset += other.offset
        self.n_rows += other.n_rows
        if other.plain is not None:
            self.plain = other.plain if self.plain is None else _triangle([self.plain, other.plain])

    def without_extremes(self) -> RowSummary:
        """Return the summary without the least and the greatest values, which are those of single rows."""
        nan = float("nan")
        numbers = {name: replace(n, least=nan, greatest=nan) for name, n in self.numbers.items()}
        return replace(self, numbers=numbers)

    def columns(self, names: Iterable[str]) -> dict[str, Column]:
        """Return the variables, those of cells with an entry a cell.

        Parameters
        ----------
        names : iterable of str
            Those that are wanted.
        """
        keys, cells = self.keys, list(self.cells or ())
        found: dict[str, Column] = {}
        for name in names:
            values = [cell[keys.index(name)] for cell in cells] if name in keys else []
            if name in self.factors:
                found[name] = _column_of(self.factors[name], values)
            elif name in self.numbers:
                number = self.numbers[name]
                absent: Any = AbsentNumbers(
                    self.n_rows, number.total / self.n_rows, number.least, number.greatest, number.different
                )
                found[name] = Numeric(absent)
        return found

    def cell_factor(self, name: str) -> Factor:
        """Return a covariate of cells as a factor, an entry a cell."""
        place, different = self.keys.index(name), self.numbers[name].different
        assert different is not None
        return as_factor(Numeric(np.array([cell[place] for cell in self.cells or ()], dtype=different.dtype)))

    def with_order_of(self, known: Mapping[str, Sequence[str]]) -> RowSummary:
        """Return the summary with the levels of factors in a known order, others by the alphabet."""
        factors = dict(self.factors)
        for name, column in factors.items():
            if isinstance(column, Factor):
                order = [level for level in known.get(name, ()) if level in column.levels]
                rest = sorted(set(column.levels) - set(order))
                factors[name] = replace(column, levels=(*order, *rest))
        return replace(self, factors=factors)

    def cell_weights(self) -> FloatArray | None:
        """Return the sum of the prior weights of each cell; None where there are too many."""
        return None if self.cells is None else np.array(list(self.cells.values()), dtype=np.float64)


def summary_of_rows(
    predictors: Predictors,
    frame: InputFrame,
    kept: IntArray,
    weights: FloatArray | None,
    *,
    offset: float = 0.0,
    X: FloatArray | None = None,
    times: IntArray | None = None,
) -> RowSummary:
    """Return the summary of the rows of one table.

    Parameters
    ----------
    predictors : Predictors
        The variables.
    frame : InputFrame
        The table.
    kept : ndarray of int, shape (n,)
        Positions of the rows used.
    weights : ndarray, shape (n,), or None
        Prior weights.
    offset : float
        Sum of the offset.
    X : ndarray, shape (n, p), optional
        Fixed effects, wanted where there are weights.
    times : ndarray of int, shape (n,), optional
        How often each row occurs.
    """
    found = RowSummary(predictors)
    found.n_rows = len(kept) if times is None else int(times.sum())
    found.offset = offset
    if not found.n_rows:
        return found
    columns = {name: frame.column(name) for name in predictors.names if name in frame}
    if len(kept) < frame.n_rows:
        columns = {name: column.take(kept) for name, column in columns.items()}
    keys: list[tuple[npt.NDArray[Any], Sequence[Any]]] = []
    for name, column in columns.items():
        if isinstance(column, Factor):
            column = column.drop_unused()
            found.factors[name] = replace(column, codes=column.codes[:0])
            keys.append((column.codes, column.levels))
        elif isinstance(column, Logical):
            found.factors[name] = Logical(column.values[:0])
            keys.append((column.values, (False, True)))
        elif isinstance(column, Numeric):
            values, number = _number(column, times, found.most(name))
            found.numbers[name] = number
            if number.different is not None:
                keys.append((_codes(values, number.different), number.different.tolist()))
    counted = weights
    if times is not None:
        counted = times.astype(np.float64) * (1.0 if weights is None else weights)
    found.cells = _cells(keys, counted, len(kept))
    if weights is not None and X is not None:
        found.plain = _triangle([X[weights > 0.0]])
    return found


def _number(column: Numeric, times: IntArray | None, most: float) -> tuple[npt.NDArray[Any], NumberSummary]:
    """Return the values of a covariate, and their summary."""
    values = column.values if column.values.dtype.kind in "iuf" else column.as_float()
    total = float(values.sum(dtype=np.float64) if times is None else times @ column.as_float())
    different = None
    if len(np.unique(values[:FIRST_ROWS])) <= most:
        different = _different(values, most)
    return values, NumberSummary(total, float(values.min()), float(values.max()), different)


def _different(values: npt.NDArray[Any], most: float) -> npt.NDArray[Any] | None:
    """Return the different values if they are few; two are told without sorting."""
    ends = np.unique(np.array([values.min(), values.max()]))
    if ((values == ends[0]) | (values == ends[-1])).all():
        return ends
    return None if most <= VALUES_KEPT else _few(np.unique(values), most)


def _few(different: npt.NDArray[Any], most: float) -> npt.NDArray[Any] | None:
    return different if len(different) <= most else None


def _codes(values: npt.NDArray[Any], different: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if len(different) <= VALUES_KEPT:
        return values == different[-1] if len(different) > 1 else np.zeros(len(values), dtype=bool)
    return np.searchsorted(different, values)


def _cells(
    keys: Sequence[tuple[npt.NDArray[Any], Sequence[Any]]], weights: FloatArray | None, n: int
) -> dict[Cell, float] | None:
    """Return the sum of the weights of the rows of each cell; None of too many."""
    sizes = [len(values) for _, values in keys]
    cell = np.zeros(n, dtype=np.intp)
    for codes, values in keys:
        cell = cell * len(values) + codes
    if prod(sizes) > max(MOST_CELLS, n):
        place, cell = np.unique(cell, return_inverse=True)
        counts = np.bincount(cell, minlength=len(place))
    else:
        counts = np.bincount(cell, minlength=prod(sizes))
        place = np.arange(prod(sizes))
    totals = counts if weights is None else np.bincount(cell, weights, len(place))
    present = np.flatnonzero(counts)
    if len(present) > MOST_CELLS:
        return None
    coded = np.unravel_index(place[present], sizes) if sizes else ()
    named = [[values[k] for k in codes.tolist()] for codes, (_, values) in zip(coded, keys, strict=True)]
    cells = zip(*named, strict=True) if named else [()] * len(present)
    return dict(zip(cells, totals[present].astype(np.float64).tolist(), strict=True))


def _collapsed(
    cells: dict[Cell, float] | None, before: list[str], after: list[str]
) -> dict[Cell, float] | None:
    """Return cells of fewer variables."""
    if cells is None or before == after:
        return cells
    places = [before.index(name) for name in after]
    found: dict[Cell, float] = {}
    for cell, weight in cells.items():
        fewer = tuple(cell[k] for k in places)
        found[fewer] = found.get(fewer, 0.0) + weight
    return found


def _joined(one: dict[Cell, float] | None, other: dict[Cell, float] | None) -> dict[Cell, float] | None:
    if one is None or other is None:
        return None
    found = dict(one)
    for cell, weight in other.items():
        found[cell] = found.get(cell, 0.0) + weight
    return found if len(found) <= MOST_CELLS else None


def _with_levels(one: Column, other: Column) -> Column:
    """Return the empty factor with the levels of both."""
    if not isinstance(one, Factor) or not isinstance(other, Factor):
        return one
    return replace(one, levels=tuple(dict.fromkeys([*one.levels, *other.levels])))


def _column_of(empty: Column, values: list[Any]) -> Column:
    if isinstance(empty, Factor):
        place = {level: k for k, level in enumerate(empty.levels)}
        return replace(empty, codes=np.array([place[v] for v in values], dtype=np.int32))
    return Logical(np.array(values, dtype=bool))


def _triangle(parts: Sequence[FloatArray]) -> FloatArray:
    return np.asarray(np.linalg.qr(np.concatenate(parts), mode="r"))
