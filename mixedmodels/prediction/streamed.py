"""Values of a fitted model at rows that are read in batches, one batch at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from mixedmodels.errors import DataError
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.kept_data import column_names
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import names_in
from mixedmodels.streams.libraries import arrow
from mixedmodels.streams.open_source import open_source
from mixedmodels.streams.source import Source


def columns_read(design: Design, source: Source, weights: str | None = None) -> list[str]:
    """Return the columns of a source that a model names, and those of weights where they are given."""
    names = column_names(design)
    for argument in (design.recipe.offset_argument, weights):
        if argument is not None:
            names += [name.name for name in names_in(parse_expression(argument))]
    known = source.columns()
    return [name for name in dict.fromkeys(names) if name in known]


def in_batches(
    design: Design,
    data: Any,
    make: Callable[[pd.DataFrame], pd.DataFrame | pd.Series[float]],
    weights: str | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield what is made of every batch of a source, its rows numbered through.

    Parameters
    ----------
    design : Design
        The design of the fit, whose columns are read.
    data : source
        Rows.
    make : callable
        Makes a table of a table.
    weights : str, optional
        Prior weights, an expression of columns, where they are needed.

    Raises
    ------
    DataError
        That names the batch at fault.
    """
    source = open_source(data)
    start = 0
    for batch in source.batches(columns_read(design, source, weights)):
        try:
            made = make(batch.frame)
        except DataError as error:
            raise DataError(f"{batch.name}: {error}") from error
        table = made.to_frame() if isinstance(made, pd.Series) else made
        table.index = pd.RangeIndex(start, start + len(table))
        start += len(table)
        yield table


def written(tables: Iterator[pd.DataFrame], to: str | os.PathLike[str]) -> int:
    """Write tables into one Parquet file, one after the other, and return how many rows there are.

    Raises
    ------
    NotAvailableError
        If pyarrow is not installed.
    """
    parquet = arrow("parquet")
    rows, writer = 0, None
    try:
        for table in tables:
            block = arrow().Table.from_pandas(table, preserve_index=False)
            if writer is None:
                writer = parquet.ParquetWriter(os.fspath(to), block.schema)
            writer.write_table(block.cast(writer.schema))
            rows += len(table)
    finally:
        if writer is not None:
            writer.close()
    return rows
