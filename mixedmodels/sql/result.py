"""From what the queries return to sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.engines.moments.basis import Basis
from mixedmodels.engines.moments.pair_sums import PairSums, joined_keys, sorted_run
from mixedmodels.engines.moments.sums import Columns, GroupSums, Sums
from mixedmodels.errors import DataError, listed
from mixedmodels.fits.moments_file import Stored
from mixedmodels.fits.summed_design import summed_columns
from mixedmodels.formula.design.chunks import (
    StreamDesign,
    level_tables,
    node_codes,
    sides,
    stream_evaluator,
)
from mixedmodels.formula.design.level_tables import LevelTable
from mixedmodels.formula.evaluation.columns import Column
from mixedmodels.formula.language.syntax_tree import deparse, names_in
from mixedmodels.sql.columns import sql_columns
from mixedmodels.sql.dialects import DIALECTS
from mixedmodels.sql.layout import design_column_names, layout
from mixedmodels.sql.queries import MomentQueries
from mixedmodels.sql.texts import TOTAL, Symbols, symbols, upper_pairs

#: Standard deviations by which a mean may lie from what its column is measured from: sums of squares lose
#: twice its digits.
FARTHEST_MEAN = 1e3
#: The sums of one query and of another are of the same rows if they differ by no more than this.
SAME_ROWS = 1e-9
#: Numbers before the faults in the result of the query of all rows.
COUNTS = 5


def sums_from_sql(queries: MomentQueries, results: Mapping[str, Any] | Callable[[str], Any]) -> Stored:
    """Return the sums that the queries have made.

    Parameters
    ----------
    queries : MomentQueries
        The queries.
    results : mapping or callable
        What each returned, or what runs one.

    Raises
    ------
    DataError
        If a result is absent, has another number of columns or a row of the table is refused.
    """
    frames = {name: _frame(name, text, results) for name, text in queries.items()}
    examples = _examples(queries, frames)
    found = layout(queries.request, queries.levels, examples)
    design = found.design
    columns = sql_columns(found, DIALECTS["duckdb"])
    named = symbols(columns, design)
    total = _Total.read(queries, frames[TOTAL], named, named.moved(design))
    tables = level_tables(design)
    sums = _sums(design, named, total, frames, tables)
    _refuse_other_rows(design, sums, total)
    sums.improve()
    return Stored(design, tables, sums, total.n_input, {})


def _frame(name: str, text: str, results: Mapping[str, Any] | Callable[[str], Any]) -> pd.DataFrame:
    """Return the result of a query as a table."""
    if callable(results):
        found = results(text)
    elif isinstance(results, Mapping) and name in results:
        found = results[name]
    else:
        raise DataError(
            f"results have none of the query {name!r}: give a mapping with the names of the queries"
        )
    for method in ("toPandas", "to_pandas", "df"):
        if not isinstance(found, pd.DataFrame) and hasattr(found, method):
            found = getattr(found, method)()
    if not isinstance(found, pd.DataFrame):
        raise DataError(f"the result of the query {name!r} must be a table, not {type(found).__name__}")
    return found


def _examples(queries: MomentQueries, frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """Return a value of each column of a grouping factor, by which its type is known."""
    found: dict[str, Any] = {}
    for bar in queries.request.plan.bars:
        for name, frame in frames.items():
            for column in (n.name for n in names_in(bar.bar.group)):
                key = next((c for c in frame.columns if str(c).lower() == f"{column}_raw".lower()), None)
                if name != TOTAL and key is not None and len(frame):
                    value = frame[key].iloc[0]
                    found[column] = value.item() if isinstance(value, np.generic) else value
    return found


@dataclass(frozen=True, slots=True)
class _Total:
    """The result of the query of all rows.

    Attributes
    ----------
    n_input, n_rows, n : int
        Rows chosen, used, and of positive weight.
    sum_weights, sum_log_weights : float
        Sums of weights.
    centres : dict
        Column -> number that it is measured from.
    gram : ndarray, shape (m, m)
        Products of all columns.
    """

    n_input: int
    n_rows: int
    n: int
    sum_weights: float
    sum_log_weights: float
    centres: dict[str, float]
    gram: FloatArray

    @classmethod
    def read(cls, queries: MomentQueries, frame: pd.DataFrame, named: Symbols, moved: list[str]) -> _Total:
        """Read the one row of the result.

        Raises
        ------
        DataError
            If no row is used, or one of them is refused.
        """
        m, faults = len(named.U), queries.faults
        _check_width(TOTAL, frame, COUNTS + len(faults) + len(moved) + m * (m + 1) // 2)
        if len(frame) != 1:
            raise DataError(f"the result of the query {TOTAL!r} must have one row, not {len(frame)}")
        if not frame.iloc[0, 1]:
            raise DataError("0 (non-NA) cases: no row of the table is in use")
        values = _numbers(frame, 0, TOTAL)[0]
        after = COUNTS + len(faults)
        for message, count in zip(faults, values[COUNTS:after], strict=True):
            if count:
                raise DataError(f"{message} in {int(count):,} rows of the table")
        centres = dict(zip(moved, values[after : after + len(moved)].tolist(), strict=True))
        gram = np.zeros((m, m))
        upper = np.triu_indices(m)
        gram[upper] = values[after + len(moved) :]
        gram = np.triu(gram) + np.triu(gram, 1).T
        n_input, n_rows, n = values[:3].astype(int).tolist()
        return cls(n_input, n_rows, n, float(values[3]), float(values[4]), centres, gram)


def _check_width(name: str, frame: pd.DataFrame, width: int) -> None:
    if frame.shape[1] != width:
        raise DataError(
            f"the result of the query {name!r} has {frame.shape[1]} columns and must have {width}: pass it "
            "as the database returned it, in the order of the query."
        )


def _numbers(frame: pd.DataFrame, first: int, name: str) -> FloatArray:
    """Return the sums of a result, (rows, columns)."""
    values = np.asarray(frame.iloc[:, first:].astype(np.float64))
    if not np.isfinite(values).all():
        raise DataError(
            f"the query {name!r} returned sums that are not finite: a column of the model has infinite or "
            "far too large values."
        )
    return values


def _sums(
    design: StreamDesign,
    named: Symbols,
    total: _Total,
    frames: Mapping[str, pd.DataFrame],
    tables: tuple[LevelTable, ...],
) -> Sums:
    columns = summed_columns(design)
    basis = _basis(named.U, total)
    groups = [
        _group_sums(design, named, total, g, frames[f"by {group.name}"], tables[g], basis)
        for g, group in enumerate(design.groups)
    ]
    pairs = {(a, b): _pair_sums(design, columns, a, b, frames, tables) for a, b in columns.pairs}
    zero = np.zeros_like(total.gram)
    return Sums(
        columns, basis, total.gram, zero, groups, pairs, total.n, total.n_rows,
        total.sum_log_weights, total.sum_weights, looked_at=total.n_rows,
    )  # fmt: skip


def _basis(names: tuple[str, ...], total: _Total) -> Basis:
    centre = np.array([total.centres.get(name, 0.0) for name in names])
    return Basis(centre, np.eye(len(names)))


def _group_sums(
    design: StreamDesign,
    named: Symbols,
    total: _Total,
    g: int,
    frame: pd.DataFrame,
    table: LevelTable,
    basis: Basis,
) -> GroupSums:
    group, own, shared = design.groups[g], named.own[g], named.is_shared[g]
    keys, m, S = _key_names(design, (g,)), len(named.U), len(own)
    name = f"by {group.name}"
    _check_width(name, frame, len(keys) + len(upper_pairs(own, named.U, shared)))
    codes = _codes(design, (g,), frame, (table,))[0]
    values, q = _numbers(frame, len(keys), name), len(table)
    against, ours = np.zeros((S, m, q)), None if shared else np.zeros((S, S, q))
    column = 0
    for i in range(S):
        for j in range(i if shared else 0, m):
            against[i, j] = np.bincount(codes, values[:, column], q)
            column += 1
    for i in range(0 if shared else S):
        for j in range(i, S):
            assert ours is not None
            ours[i, j] = np.bincount(codes, values[:, column], q)
            column += 1
    return GroupSums(basis.leading(S) if shared else _basis(own, total), q, against, ours)


def _pair_sums(
    design: StreamDesign,
    columns: Columns,
    a: int,
    b: int,
    frames: Mapping[str, pd.DataFrame],
    tables: tuple[LevelTable, ...],
) -> PairSums:
    name = f"by {design.groups[a].name} and {design.groups[b].name}"
    frame, keys = frames[name], _key_names(design, (a, b))
    _check_width(name, frame, len(keys) + columns.groups[a].size * columns.groups[b].size)
    first, second = _codes(design, (a, b), frame, (tables[a], tables[b]))
    values = _numbers(frame, len(keys), name)
    pair_keys, place = np.unique(joined_keys(first, second), return_inverse=True)
    sums = np.zeros((len(pair_keys), values.shape[1]))
    np.add.at(sums, place, values)
    return PairSums([sorted_run(pair_keys, sums)])


def _key_names(design: StreamDesign, groups: tuple[int, ...]) -> list[str]:
    """Return the columns of the table by which a query groups, in their order."""
    return list(dict.fromkeys(n.name for g in groups for n in names_in(design.groups[g].node)))


def _codes(
    design: StreamDesign, groups: tuple[int, ...], frame: pd.DataFrame, tables: tuple[LevelTable, ...]
) -> list[IntArray]:
    """Return the levels of the rows of a result."""
    names = _key_names(design, groups)
    own = frame.iloc[:, : len(names)].set_axis(names, axis=1).reset_index(drop=True)
    for name in names:
        if own[name].isna().any():
            raise DataError(f"the grouping factor {name} holds NaN in the table: make it NULL")
    evaluator = stream_evaluator(design.blueprint.request, own, design.blueprint.states, training=False)
    found = []
    for g, table in zip(groups, tables, strict=True):
        node = design.groups[g].node
        columns: dict[str, Column] = {deparse(s): evaluator.column(s) for s in sides(node)}
        found.append(node_codes(table, node, columns))
    return found


def _refuse_other_rows(design: StreamDesign, sums: Sums, total: _Total) -> None:
    """Raise where levels do not add up to all rows, or a column is measured from too far away."""
    m = len(total.gram)
    scale = np.sqrt(np.outer(np.diagonal(total.gram), np.diagonal(total.gram)))
    for plan, columns, group in zip(design.groups, sums.columns.groups, sums.groups, strict=True):
        if columns.has_ones and design.fixed.intercept:
            of_levels = group.products()[0].sum(axis=1)
            if (np.abs(of_levels - total.gram[0]) > SAME_ROWS * scale[0]).any():
                raise DataError(
                    f"the sums by {plan.name} are not of the same rows as those of all rows: was the table "
                    "changed between the queries?"
                )
    if not design.fixed.intercept or not total.sum_weights:
        return
    names = design_column_names(design)
    mean = total.gram[0] / total.sum_weights
    spread = np.sqrt(np.maximum(np.diagonal(total.gram) / total.sum_weights - mean**2, 0.0))
    far = [k for k in range(1, m) if np.abs(mean[k]) > FARTHEST_MEAN * spread[k] > 0.0]
    if far:
        hint = {names[k]: float(f"{sums.basis.centre[k] + mean[k]:.6g}") for k in far}
        raise DataError(
            f"the sums have lost digits: the mean of {listed(hint)} is more than {FARTHEST_MEAN:,.0f} "
            f"standard deviations from what it was measured from. Write the queries with centre={hint}."
        )
