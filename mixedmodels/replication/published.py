"""The published numbers: one row each in published_tables.json, grouped into the tables they stand in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby


@dataclass(frozen=True, slots=True)
class PublishedNumber:
    """One printed number.

    Attributes
    ----------
    quantity : str
        What the number is, in the words of its table.
    published : str
        The number as printed.
    tolerance : float
        Largest absolute difference from the converged optimum: the rounding of the print, and how far
        from its optimum the published fit was stopped.
    note : str
        Why the tolerance is what it is, where it is not the rounding.
    """

    quantity: str
    published: str
    tolerance: float
    note: str


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One printed table: where it stands, the model behind it, its numbers in the order of the print."""

    source: str
    title: str
    data: str
    model: str
    family: str
    numbers: tuple[PublishedNumber, ...]


def published_tables() -> tuple[PublishedTable, ...]:
    """Return all published tables, in the order of the texts they come from."""
    text = (files("mixedmodels.replication") / "published_tables.json").read_text(encoding="utf-8")
    grouped = groupby(json.loads(text)["rows"], key=lambda row: (row["source"], row["table"]))
    return tuple(_table(list(rows)) for _, rows in grouped)


def _table(rows: list[dict[str, object]]) -> PublishedTable:
    """Return the table that the rows, which share their head, make up."""
    head = {key: str(rows[0][key]) for key in ("source", "table", "data", "model", "family")}
    numbers = tuple(
        PublishedNumber(str(r["quantity"]), str(r["published"]), float(str(r["tolerance"])), str(r["note"]))
        for r in rows
    )
    return PublishedTable(head["source"], head["table"], head["data"], head["model"], head["family"], numbers)
