"""Strings that are numbers in disguise: what a table of text makes of a numeric column."""

from __future__ import annotations

import re
from collections.abc import Sequence

# 12, -1.5, 1,5, 1e-3, 1,234.5, 12 %.
_NUMBER = re.compile(r"[+-]?(?:\d{1,3}(?:[,.' \u00a0]\d{3})+|\d*)(?:[.,]\d*)?(?:[eE][+-]?\d+)?\s*%?")
_DIGIT = re.compile(r"\d")
# 01 or 00123 are codes: a number would lose their zeros.
_CODE = re.compile(r"0\d")
_GAPS = frozenset(("", "-", ".", "?", "na", "nan", "n/a", "null", "none", "inf", "-inf", "missing"))
# Two whole numbers make the same model as a factor and as a number: "0" and "1" are left alone.
_FEWEST = 3
# One misprint among this many numbers does not make them labels.
_NUMBERS_TO_A_MISPRINT = 10


def is_spelled_number(text: str) -> bool:
    """Tell whether a string is a number as people write them, with a decimal point or comma."""
    stripped = text.strip()
    return bool(_DIGIT.search(stripped) and _NUMBER.fullmatch(stripped))


def not_numbers(levels: Sequence[str]) -> list[str]:
    """Return the strings that are no numbers."""
    return [level for level in levels if not is_spelled_number(level)]


def spells_numbers(levels: Sequence[str]) -> bool:
    """Tell whether the distinct strings of a column are numbers, gaps and a rare misprint aside."""
    others = not_numbers(levels)
    count = len(levels) - len(others)
    misprints = sum(other.strip().lower() not in _GAPS for other in others)
    if count == 0 or misprints * _NUMBERS_TO_A_MISPRINT > count:
        return False
    if any(_CODE.match(level.strip()) for level in levels):
        return False
    has_fractions = any("." in level or "," in level for level in levels)
    return count >= _FEWEST or (count == 2 and has_fractions)
