"""Compare the published numbers with ours and lay the comparison out as text."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from mixedmodels.errors import MixedModelsError
from mixedmodels.replication.published import PublishedNumber, PublishedTable
from mixedmodels.replication.quantities import our_number

# What an iterative optimum may be off, relative to the number: the exact optimum of the Dyestuff data,
# 1764.05, is as far from the printed 1764.0 as the tolerance of 0.05 allows.
OPTIMUM_ERROR = 1e-8
# Digits of ours that are the same on every machine, and no fewer than readers compare.
MOST_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published number beside ours.

    Attributes
    ----------
    number : PublishedNumber
        The printed number and its tolerance.
    ours : float or None
        What we compute; None where it could not be computed.
    reason : str
        Why it could not be computed.
    """

    number: PublishedNumber
    ours: float | None
    reason: str = ""

    @property
    def difference(self) -> float | None:
        """Ours minus the published number."""
        return None if self.ours is None else self.ours - float(self.number.published)

    @property
    def holds(self) -> bool:
        """Whether our number is within the tolerance of the published one."""
        if self.ours is None or self.difference is None:
            return False
        return abs(self.difference) <= self.number.tolerance + OPTIMUM_ERROR * abs(self.ours)


def compare(table: PublishedTable) -> tuple[Comparison, ...]:
    """Compute every number of the table and set it beside the printed one."""
    return tuple(_compared(table, number) for number in table.numbers)


def _compared(table: PublishedTable, number: PublishedNumber) -> Comparison:
    try:
        return Comparison(number, our_number(table, number.quantity))
    except (MixedModelsError, LookupError) as error:
        return Comparison(number, None, f"{type(error).__name__}: {error}")


def table_text(table: PublishedTable, comparisons: Iterable[Comparison]) -> str:
    """Lay out one table: its head, and a line for each number."""
    comparisons = tuple(comparisons)
    width = max(len(c.number.quantity) for c in comparisons)
    head = f"{'':{width}}  {'published':>13} {'ours':>14} {'difference':>11} {'tolerance':>9}  verdict"
    model = f"{table.data}: {table.model} [{table.family}]" if table.model else f"{table.data}: the data"
    return "\n".join(
        [
            f"{table.title} ({table.source})",
            *textwrap.wrap(model, 100),
            head,
            *(_line(c, width) for c in comparisons),
        ]
    )


def _line(comparison: Comparison, width: int) -> str:
    """Lay out one number."""
    number = comparison.number
    start = f"{number.quantity:{width}}  {number.published:>13}"
    if comparison.ours is None:
        return f"{start} {'-':>14} {'-':>11} {number.tolerance:9.2g}  NOT COMPUTED: {comparison.reason}"
    verdict = "ok" if comparison.holds else "MISSED"
    return f"{start} {comparison.ours:14.8g} {comparison.difference:11.2g} {number.tolerance:9.2g}  {verdict}"


def side_by_side(table: PublishedTable) -> pd.DataFrame:
    """Return the printed numbers and ours, with as many digits as are printed, and whether each is within.

    Parameters
    ----------
    table : PublishedTable
        From :func:`~mixedmodels.replication.published.published_tables`.

    Returns
    -------
    DataFrame
        A row for each number, called as the table calls it; columns ``published`` and ``ours``, both text,
        ours with five digits at most, and ``within`` the tolerance.
    """
    compared = compare(table)
    return pd.DataFrame(
        {
            "published": [c.number.published for c in compared],
            "ours": ["-" if c.ours is None else _as_printed(c.ours, c.number.published) for c in compared],
            "within": [c.holds for c in compared],
        },
        index=[c.number.quantity for c in compared],
    )


def _as_printed(value: float, printed: str) -> str:
    """Write a number with the decimals of the print, but with no more than `MOST_DIGITS` digits."""
    mantissa, is_power, _ = printed.partition("e")
    decimals = len(mantissa.partition(".")[2])
    if is_power:
        return f"{value:.{min(decimals, MOST_DIGITS - 1)}e}"
    # The place of the first digit: 2 for 123.4, -2 for 0.0123.
    first = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(0, min(decimals, MOST_DIGITS - 1 - first))}f}"
