"""The first pass over a stream of tables: levels of factors, and what transformations learn from all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.arrays import IntArray
from mixedmodels.errors import DataError, MixedModelsError, listed
from mixedmodels.formula.design.chunks import Blueprint, StreamRequest, sides, stream_evaluator
from mixedmodels.formula.design.model_frame import build_model_frame
from mixedmodels.formula.design.readings import warn_spelled
from mixedmodels.formula.evaluation.columns import Factor, Logical, Numeric
from mixedmodels.formula.evaluation.evaluate import Evaluator, States
from mixedmodels.formula.evaluation.input_frames import InputFrame, input_frame
from mixedmodels.formula.evaluation.spelled_numbers import spells_numbers
from mixedmodels.formula.language.bars import SPATIAL
from mixedmodels.formula.language.syntax_tree import Name, Node, deparse, names_in

#: The column of a table of distinct values that tells whether a row in use has them.
USED = "(used)"


@dataclass(slots=True, eq=False, repr=False)
class FirstPass:
    """What a first pass over all rows gathers.

    Attributes
    ----------
    request : StreamRequest
        What was asked for.
    schema : DataFrame
        Types of the columns, from the first rows.
    factors : dict
        Printed variable -> its node, for factors of which the levels are open.
    stateful : dict
        The same for transformations that remember numbers.
    known : dict
        Factors whose levels were given.
    distinct : dict
        For each factor, the distinct values of its columns so far, and whether a row in use has them.
    whole : dict
        For each transformation the columns that it is made of.
    strings : frozenset of str
        Columns of text, which come as categories in the order in which they occur: their levels have that of
        the alphabet.
    """

    request: StreamRequest
    schema: pd.DataFrame
    factors: dict[str, Node]
    stateful: dict[str, Node]
    known: dict[str, Node] = field(default_factory=dict)
    distinct: dict[str, pd.DataFrame] = field(default_factory=dict)
    whole: dict[str, list[pd.DataFrame]] = field(default_factory=dict)
    strings: frozenset[str] = frozenset()

    @property
    def is_needed(self) -> bool:
        """Whether the rows must be gone through before they are summed."""
        return bool(self.factors or self.stateful)

    def know(self, levels: Mapping[str, Any]) -> None:
        """Take the levels of factors of one column that are known before."""
        _check_levels(levels, self.request)
        for text, node in list(self.factors.items()):
            names = list(dict.fromkeys(name.name for name in names_in(node)))
            if len(names) != 1 or names[0] not in levels:
                continue
            given = list(levels[names[0]])
            is_ordered = self.schema[names[0]].dtype
            values: Any = np.array(given, dtype=object) if isinstance(given[0], str) else np.array(given)
            if isinstance(is_ordered, pd.CategoricalDtype):
                values = pd.Categorical(given, given, is_ordered.ordered)
            self.distinct[text] = pd.DataFrame({names[0]: values, USED: True})
            self.known[text] = self.factors.pop(text)

    def add(self, data: Any) -> None:
        """Look at one table."""
        request = self.request
        frame = input_frame(data)
        frame.require(request.columns(), request.env)
        if frame.n_rows == 0:
            return
        frame.index = pd.RangeIndex(frame.n_rows)
        evaluator = stream_evaluator(request, frame, States(), training=True)
        used = np.zeros(frame.n_rows, dtype=bool)
        used[_rows_in_use(request, evaluator, self.stateful)] = True
        for text, node in self.factors.items():
            rows = _table_of(data, _columns_of(node, frame))
            rows[USED] = used
            self.distinct[text] = _distinct(self.distinct.get(text), rows)
        for text, node in self.stateful.items():
            rows = _table_of(data, _columns_of(node, frame))
            rows[USED] = used
            self.whole.setdefault(text, []).append(rows)

    def joined(self, other: FirstPass) -> FirstPass:
        """Return what two passes over parts of the rows have gathered."""
        for text, rows in other.distinct.items():
            self.distinct[text] = _distinct(self.distinct.get(text), rows)
        for text, frames in other.whole.items():
            self.whole.setdefault(text, []).extend(frames)
        return self

    def blueprint(self) -> Blueprint:
        """Return what all rows are read by.

        Raises
        ------
        DataError
            If no row is in use.
        """
        states, used, places = States(), {}, {}
        request = self.request
        spatial = {
            text: bar for bar in request.plan.bars if bar.bar.structure in SPATIAL for text in [str(bar.bar)]
        }
        for text, frames in self.whole.items():
            table = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
            flags = np.flatnonzero(table.pop(USED).to_numpy())
            table = self._plain(table)
            column = stream_evaluator(request, table, states, training=True).column(self.stateful[text])
            if isinstance(column, Factor):
                used[text] = column.take(flags).drop_unused().levels
        for text, rows in self.distinct.items():
            flags = rows[USED].to_numpy()
            if not flags.any():
                raise DataError("0 (non-NA) cases: no row of the source is in use")
            if text in spatial:
                places[text] = rows.loc[flags].drop(columns=USED).reset_index(drop=True)
                continue
            node = self.factors.get(text) or self.known[text]
            values = rows.drop(columns=USED)
            values = self._plain(values) if text in self.factors else values
            column = stream_evaluator(request, values, states, training=True).column(node)
            assert isinstance(column, Factor)
            used[text] = column.take(np.flatnonzero(flags)).drop_unused().levels
            if column.is_text and isinstance(node, Name) and spells_numbers(used[text]):
                warn_spelled(text, used[text])
        schema = self.schema
        training = stream_evaluator(request, schema, states, training=True)
        groups = {name.name for bar in request.plan.bars for name in names_in(bar.bar.group)}
        for node in request.plan.variables.values():
            for name in names_in(node):
                if name.name in training.frame and name.name not in states.kinds and name.name not in groups:
                    training.variable(name)
        return Blueprint(request, states, schema, used, places, self.strings)

    def _plain(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return a table with its columns of text as strings, which are no categories in some order."""
        return table.astype({name: object for name in table.columns if name in self.strings})


def _columns_of(node: Node, frame: InputFrame) -> list[str]:
    return list(dict.fromkeys(name.name for name in names_in(node) if name.name in frame))


def _distinct(before: pd.DataFrame | None, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the distinct rows of two tables; a combination is in use if it is in one of them."""
    both = rows if before is None else pd.concat([before, rows], ignore_index=True)
    names = [name for name in both.columns if name != USED]
    both = both.sort_values(USED, ascending=False, kind="stable") if not both[USED].all() else both
    return both.drop_duplicates(names).reset_index(drop=True)


def _rows_in_use(request: StreamRequest, evaluator: Evaluator, stateful: Mapping[str, Node]) -> IntArray:
    """Return the positions of the rows with all variables, those of transformations by their columns."""
    variables: dict[str, Node] = {}
    for text, node in request.plan.variables.items():
        if text in stateful:
            variables |= {deparse(name): name for name in names_in(node) if name.name in evaluator.frame}
        else:
            variables |= {deparse(side): side for side in sides(node)}
    frame = build_model_frame(
        evaluator, variables, weights=request.weights, offset=request.offset, subset=request.subset,
        na_action=request.na_action, may_be_empty=True,
    )  # fmt: skip
    return np.asarray(frame.index, dtype=np.intp)


def _table_of(data: Any, names: list[str]) -> pd.DataFrame:
    """Return some columns of a table, its rows numbered."""
    if isinstance(data, pd.DataFrame):
        return data[names].reset_index(drop=True)
    return pd.DataFrame({name: np.asarray(data[name]) for name in names})


def first_pass(
    request: StreamRequest,
    data: Any,
    levels: Mapping[str, Any] | None = None,
    strings: frozenset[str] = frozenset(),
) -> FirstPass:
    """Return an empty first pass over tables like this one, the first with rows.

    Parameters
    ----------
    request : StreamRequest
        What is asked for.
    data : table
        The first rows.
    levels : mapping, optional
        Levels of factors that are known before: of those no pass is needed.
    strings : frozenset of str
        Columns that hold text.
    """
    frame = input_frame(data)
    frame.require(request.columns(), request.env)
    states = States()
    evaluator = stream_evaluator(request, frame, states, training=True)
    plan, columns = request.plan, {}
    stateful: dict[str, Node] = {}
    factors: dict[str, Node] = {}
    skipped = {bar.group_text for bar in plan.bars} - _outside_of_groups(request)
    for text, node in plan.variables.items():
        if text in skipped and all(isinstance(side, Name) for side in sides(node)):
            continue
        before = len(states.transforms)
        try:
            columns[text] = evaluator.column(node)
        except MixedModelsError:
            # A few rows may be too few for a transformation that all rows allow.
            stateful[text] = node
            continue
        if isinstance(columns[text], Factor) and len(states.transforms) == before:
            factors[text] = node
        elif len(states.transforms) > before:
            stateful[text] = node
    for bar in plan.bars:
        if bar.bar.structure in SPATIAL:
            factors[str(bar.bar)] = bar.bar.lhs
    found = FirstPass(request, _schema(request, frame), factors, stateful, strings=strings)
    found.know(levels or {})
    return found


def _check_levels(levels: Mapping[str, Any], request: StreamRequest) -> None:
    """Raise where `levels` is no mapping of columns of the model to their levels."""
    if not isinstance(levels, Mapping):
        raise DataError(f"levels must be a dict such as {{'f': ['a', 'b']}}, not {type(levels).__name__}")
    for name, given in levels.items():
        if name not in request.columns():
            known = listed(map(repr, request.columns()))
            raise DataError(f"levels= names {name!r}, which the model does not use; it uses {known}")
        if isinstance(given, str) or not isinstance(given, Iterable) or not len(list(given)):
            raise DataError(f"levels[{name!r}] must be a list of the levels, not {given!r}")
        twice = [level for level, count in Counter(given).items() if count > 1]
        if twice:
            raise DataError(f"levels[{name!r}] has {twice[0]!r} more than once")


def _outside_of_groups(request: StreamRequest) -> set[str]:
    """Return the printed variables that are more than grouping factors."""
    plan = request.plan
    names = {*plan.fixed.names, *(name for bar in plan.bars for name in bar.terms.names)}
    return names | {
        deparse(node) for node in (request.formula.response, *plan.fixed.offsets) if node is not None
    }


def _schema(request: StreamRequest, frame: InputFrame) -> pd.DataFrame:
    """Return one made-up row with the types of the columns of a table."""
    made: dict[str, Any] = {}
    for name in request.columns():
        if name not in frame:
            continue
        column = frame.column(name)
        if isinstance(column, Factor):
            first = column.levels[:1] or ("1",)
            levels = column.levels or ("1",)
            if column.is_date:
                made[name] = pd.DatetimeIndex(["2000-01-01"])
            elif column.is_text:
                made[name] = np.array(first, dtype=object)
            else:
                made[name] = pd.Categorical(first, levels, column.ordered)
        elif isinstance(column, Logical):
            made[name] = np.array([True])
        else:
            is_whole = isinstance(column, Numeric) and column.values.dtype.kind in "iu"
            made[name] = np.ones(1, dtype=np.int64 if is_whole else np.float64)
    return pd.DataFrame(made, index=pd.RangeIndex(1))
