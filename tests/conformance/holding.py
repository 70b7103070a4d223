"""The committed list of what holds: no case on it may fail again without somebody saying so."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.conformance.result import Result

HOLDING = Path(__file__).with_name("holding.txt")


def read_holding() -> set[str]:
    """Return the ids that held when the list was last written."""
    return set(HOLDING.read_text(encoding="utf-8").split())


def write_holding(results: Iterable[Result]) -> None:
    """Write the ids of the results that hold now."""
    ids = sorted({result.id for result in results if result.verdict == "holds"})
    HOLDING.write_text("\n".join(ids) + "\n", encoding="utf-8")
