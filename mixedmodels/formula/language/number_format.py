"""Numbers as R turns them into text, for printed formulas and for the levels of numeric factors."""

from __future__ import annotations

import math

SIGNIFICANT_DIGITS = 15


def format_number(value: float) -> str:
    """Return `value` as R's ``as.character``: at most 15 significant digits, fixed or scientific.

    R takes the shorter of the two notations, the fixed one when they tie.

    Examples
    --------
    >>> format_number(0.5), format_number(100000.0), format_number(12345.0)
    ('0.5', '1e+05', '12345')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Inf" if value > 0 else "-Inf")
    if value == 0:
        return "0"
    digits, exponent = _shortest_mantissa(value)
    decimals = max(0, digits - 1 - exponent)
    fixed = f"{value:.{decimals}f}"
    scientific = f"{value:.{digits - 1}e}"
    return fixed if len(fixed) <= len(scientific) else scientific


def _shortest_mantissa(value: float) -> tuple[int, int]:
    """Return the number of significant digits needed (at most 15) and the decimal exponent."""
    mantissa, exponent = f"{value:.{SIGNIFICANT_DIGITS - 1}e}".split("e")
    return len(mantissa.lstrip("-").replace(".", "").rstrip("0")) or 1, int(exponent)
