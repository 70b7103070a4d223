"""Sums over rows in a file: arrays, and one text in JSON; nothing in it is ever executed."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.engines.moments.basis import Basis
from mixedmodels.engines.moments.pair_sums import PairSums, Run
from mixedmodels.engines.moments.sums import Columns, GroupSums, Sums
from mixedmodels.errors import DataError
from mixedmodels.fits.row_summary import NumberSummary, RowSummary
from mixedmodels.fits.summed_design import predictors_of_stream, summed_columns
from mixedmodels.formula.design.chunks import Blueprint, StreamDesign, stream_design, stream_request
from mixedmodels.formula.design.level_tables import (
    ColumnLevels,
    CombinedLevels,
    LevelTable,
    NameLevels,
    NumberLevels,
)
from mixedmodels.formula.evaluation.columns import Column, Factor, Logical
from mixedmodels.formula.evaluation.evaluate import States
from mixedmodels.formula.evaluation.splines import SplineKnots

#: Version of the format; files of another one are refused.
FORMAT = 1
#: The array that holds the text.
TEXT = "text"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file of moments holds.

    Attributes
    ----------
    design : StreamDesign
        How tables become arrays.
    tables : tuple of LevelTable
        Levels of the grouping factors.
    sums : Sums
        The sums.
    n_input : int
        Rows that were read, those dropped included.
    done : dict
        Part of the source -> how many batches of it are counted.
    summary : RowSummary or None
        What is known of the rows beside their sums.
    is_hashed : bool
        Whether levels of grouping factors are hashes of their names.
    """

    design: StreamDesign
    tables: tuple[LevelTable, ...]
    sums: Sums
    n_input: int
    done: dict[str, int]
    summary: RowSummary | None = None
    is_hashed: bool = False


def write_moments(stored: Stored, path: str | os.PathLike[str]) -> None:
    """Write moments to a file, in one step: what was there before stays until all is written.

    Raises
    ------
    DataError
        If `env` or the contrasts hold what no text says, such as a function, or the file cannot be written.
    """
    text, arrays = _blueprint_text(stored.design.blueprint), _sums_arrays(stored.sums)
    text |= {"n_input": stored.n_input, "done": stored.done, "hashed": stored.is_hashed, "tables": []}
    for g, table in enumerate(stored.tables):
        text["tables"].append(_table_text(table, f"levels{g}", arrays))
    text["sums"] = {
        name: getattr(stored.sums, name) for name in ("n", "n_rows", "sum_log_weights", "sum_weights")
    }
    if stored.summary is not None:
        text["rows"] = _summary_text(stored.summary)
        if stored.summary.plain is not None:
            arrays["plain"] = stored.summary.plain
    arrays[TEXT] = np.frombuffer(json.dumps(text).encode(), dtype=np.uint8)
    partial = f"{os.fspath(path)}.partial"
    try:
        with open(partial, "wb") as file:
            np.savez(file, **arrays)
        os.replace(partial, path)
    except OSError as error:
        raise DataError(f"moments cannot be written to {os.fspath(path)}: {error.strerror}") from error


def read_moments(path: str | os.PathLike[str], env: Mapping[str, Any] | None = None) -> Stored:
    """Read moments from a file.

    Raises
    ------
    DataError
        If the file is no file of moments.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        text = json.loads(arrays[TEXT].tobytes().decode())
    except OSError as error:
        raise DataError(f"{os.fspath(path)} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{os.fspath(path)} cannot be read as moments: it is no file that "
            "Moments.save() wrote, or not all of it"
        ) from error
    if text.get("format") != FORMAT:
        raise DataError(
            f"{os.fspath(path)} holds moments of format {text.get('format')}, and this version reads "
            f"{FORMAT}: sum them up again."
        )
    design = stream_design(_read_blueprint(text, env or {}))
    tables = tuple(_read_table(table, arrays) for table in text["tables"])
    sums = _read_sums(design, text, arrays, [len(table) for table in tables])
    summary = None if text.get("rows") is None else _read_summary(design, text["rows"], arrays)
    return Stored(
        design, tables, sums, text["n_input"], dict(text["done"]), summary, text.get("hashed", False)
    )


def _blueprint_text(blueprint: Blueprint) -> dict[str, Any]:
    request, states = blueprint.request, blueprint.states
    given = {**{f"env[{k!r}]": v for k, v in request.env.items()}, **request.contrasts}
    for name, value in given.items():
        if not _can_be_text(value):
            raise DataError(
                f"moments cannot be saved because of {name}, {value!r}: give numbers or names in its place."
            )
    return {
        "format": FORMAT,
        "formula": request.formula.text,
        "columns": list(request.given_columns),
        "weights": request.weights,
        "offset": request.offset,
        "subset": request.subset,
        "na_action": request.na_action,
        "contrasts": to_text(dict(request.contrasts)),
        "env": to_text(dict(request.env)),
        "transforms": to_text(states.transforms),
        "levels": {name: list(levels) for name, levels in states.levels.items()},
        "kinds": states.kinds,
        "schema": [_column_text(name, blueprint.schema[name]) for name in blueprint.schema.columns],
        "used": {name: list(levels) for name, levels in blueprint.used.items()},
        "text": sorted(blueprint.text),
        "places": {name: to_text(table.to_dict("list")) for name, table in blueprint.places.items()},
    }


def _read_blueprint(text: dict[str, Any], env: Mapping[str, Any]) -> Blueprint:
    arguments = {name: text[name] for name in ("weights", "offset", "subset", "na_action")}
    known = {**from_text(text["env"]), **env}
    contrasts = from_text(text["contrasts"])
    request = stream_request(text["formula"], text["columns"], contrasts=contrasts, env=known, **arguments)
    states = States(
        from_text(text["transforms"]), {n: tuple(v) for n, v in text["levels"].items()}, dict(text["kinds"])
    )
    schema = pd.DataFrame({column["name"]: _read_column(column) for column in text["schema"]}, index=[0])
    used = {name: tuple(levels) for name, levels in text["used"].items()}
    places = {name: pd.DataFrame(from_text(table)) for name, table in text["places"].items()}
    return Blueprint(request, states, schema, used, places, frozenset(text.get("text", ())))


def _column_text(name: str, column: pd.Series[Any]) -> dict[str, Any]:
    """Return the type of a column of the made-up row."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        levels = [str(level) for level in dtype.categories]
        return {"name": name, "kind": "categorical", "levels": levels, "ordered": bool(dtype.ordered)}
    kind = {"b": "logical", "i": "integer", "f": "float", "M": "date"}.get(dtype.kind, "text")
    return {"name": name, "kind": kind, "levels": [str(column.iloc[0])] if kind == "text" else []}


def _read_column(column: dict[str, Any]) -> Any:
    if column["kind"] == "categorical":
        return pd.Categorical(column["levels"][:1], column["levels"], column["ordered"])
    if column["kind"] == "text":
        return np.array(column["levels"], dtype=object)
    made = {"logical": [True], "integer": [1], "float": [1.0], "date": pd.DatetimeIndex(["2000-01-01"])}
    return made[column["kind"]]


def _table_text(table: LevelTable, name: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a table of levels, its numbers among the arrays."""
    if isinstance(table, CombinedLevels):
        arrays[name] = table.table.keys
        sides = {
            side: _table_text(getattr(table, side), f"{name}_{side}", arrays) for side in ("left", "right")
        }
        return {"kind": "combined", "array": name, **sides}
    if isinstance(table.table, NumberLevels):
        arrays[name] = table.table.keys
        return {"kind": "numbers", "array": name, "name": table.name}
    if isinstance(table.table, NameLevels):
        categories = None if table.table.categories is None else list(table.table.categories)
        names = list(table.table.numbers)
        return {"kind": "names", "levels": names, "categories": categories, "name": table.name}
    return {"kind": "empty", "name": table.name}


def _read_table(text: dict[str, Any], arrays: Mapping[str, Any]) -> LevelTable:
    if text["kind"] == "combined":
        combined = CombinedLevels(_read_table(text["left"], arrays), _read_table(text["right"], arrays))
        combined.table.keys = arrays[text["array"]]
        combined.table.renew()
        return combined
    table = ColumnLevels(text["name"])
    if text["kind"] == "numbers":
        keys = arrays[text["array"]]
        table.table = NumberLevels(keys, 0, None if keys.dtype.kind == "f" else np.empty(0, dtype=np.int32))
        table.table.renew()
    elif text["kind"] == "names":
        categories = None if text["categories"] is None else tuple(text["categories"])
        table.table = NameLevels({name: k for k, name in enumerate(text["levels"])}, categories)
    return table


def _summary_text(summary: RowSummary) -> dict[str, Any]:
    """Return what is known of rows beside their sums."""
    numbers = {
        name: to_text((number.total, number.least, number.greatest, number.different))
        for name, number in summary.numbers.items()
    }
    factors = {
        name: [list(column.levels), column.ordered, column.is_text, column.is_date]
        if isinstance(column, Factor)
        else None
        for name, column in summary.factors.items()
    }
    cells = summary.cells
    counted = None if cells is None else [to_text([list(cell) for cell in cells]), [*cells.values()]]
    return {
        "numbers": numbers, "factors": factors, "cells": counted, "offset": summary.offset,
        "n_rows": summary.n_rows,
    }  # fmt: skip


def _read_summary(design: StreamDesign, text: dict[str, Any], arrays: Mapping[str, Any]) -> RowSummary:
    factors: dict[str, Column] = {}
    for name, kind in text["factors"].items():
        none = np.empty(0, dtype=np.int32)
        factors[name] = (
            Logical(none.astype(bool))
            if kind is None
            else Factor(none, tuple(kind[0]), kind[1], is_text=kind[2], is_date=kind[3])
        )
    cells = text["cells"]
    return RowSummary(
        predictors_of_stream(design),
        {name: NumberSummary(*from_text(number)) for name, number in text["numbers"].items()},
        factors,
        None if cells is None else dict(zip(map(tuple, from_text(cells[0])), cells[1], strict=True)),
        text["offset"],
        text["n_rows"],
        arrays.get("plain"),
    )


def _sums_arrays(sums: Sums) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        "centre": sums.basis.centre,
        "K": sums.basis.K,
        "gram": sums.gram,
        "carry": sums.carry,
    }
    for g, group in enumerate(sums.groups):
        arrays[f"against{g}"] = group.against[:, :, : group.n_levels]
        if group.own is not None:
            arrays[f"own{g}"] = group.own[:, :, : group.n_levels]
            arrays[f"centre{g}"], arrays[f"K{g}"] = group.basis.centre, group.basis.K
    for a, b in sums.pairs:
        run = sums.total_pairs(a, b)
        arrays[f"pairs{a}_{b}"], arrays[f"sums{a}_{b}"] = run.keys, run.sums
    return arrays


def _read_sums(
    design: StreamDesign, text: dict[str, Any], arrays: Mapping[str, Any], n_levels: list[int]
) -> Sums:
    columns = summed_columns(design)
    basis = Basis(arrays["centre"], arrays["K"])
    groups = [_read_group(columns, g, arrays, basis, q) for g, q in enumerate(n_levels)]
    pairs = {
        (a, b): PairSums([Run(arrays[f"pairs{a}_{b}"], arrays[f"sums{a}_{b}"])]) for a, b in columns.pairs
    }
    counts = text["sums"]
    return Sums(
        columns, basis, arrays["gram"], arrays["carry"], groups, pairs, looked_at=counts["n_rows"], **counts
    )


def _read_group(columns: Columns, g: int, arrays: Mapping[str, Any], basis: Basis, q: int) -> GroupSums:
    about = columns.groups[g]
    own = None if about.is_shared else arrays[f"own{g}"]
    own_basis = basis.leading(about.size) if own is None else Basis(arrays[f"centre{g}"], arrays[f"K{g}"])
    return GroupSums(own_basis, q, arrays[f"against{g}"], own)


# Values of Python in JSON: what JSON has no word for is an object with its type as "is".


def _can_be_text(value: Any) -> bool:
    try:
        json.dumps(to_text(value))
    except TypeError:
        return False
    return True


def to_text(value: Any) -> Any:
    """Return a value as JSON can hold it.

    Raises
    ------
    TypeError
        If it cannot.
    """
    if isinstance(value, np.ndarray):
        return {"is": "array", "of": value.tolist(), "type": value.dtype.str}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, SplineKnots):
        return {"is": "knots", "of": [list(value.inner), list(value.boundary)]}
    if isinstance(value, tuple):
        return {"is": "tuple", "of": [to_text(v) for v in value]}
    if isinstance(value, list):
        return [to_text(v) for v in value]
    if isinstance(value, Mapping):
        return {"is": "dict", "of": [[to_text(k), to_text(v)] for k, v in value.items()]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no text")


def from_text(value: Any) -> Any:
    """Return the value that :func:`to_text` was given."""
    if isinstance(value, list):
        return [from_text(v) for v in value]
    if not isinstance(value, dict):
        return value
    kind, of = value["is"], value["of"]
    if kind == "array":
        return np.array(of, dtype=value["type"])
    if kind == "knots":
        return SplineKnots(tuple(of[0]), (of[1][0], of[1][1]))
    if kind == "tuple":
        return tuple(from_text(v) for v in of)
    return {from_text(k): from_text(v) for k, v in of}
