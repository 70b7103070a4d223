"""Numbers as R turns them into text, for printed formulas and for the levels of numeric factors."""

from __future__ import annotations

import math
from decimal import Decimal

SIGNIFICANT_DIGITS = 15
#: Whole numbers up to this size are float64 without loss; beyond it some are not.
LARGEST_EXACT = 2**53
# Whole floats below this are written out, as ids are; above it powers of ten take over, as in R.
_LARGEST_WRITTEN_OUT = 1e22


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


def number_name(value: float | int | Decimal) -> str:
    """Return the text of a number from which the number itself can be had back.

    It is R's where R's 15 digits do that, and has all digits otherwise: two numbers never share a name.

    Examples
    --------
    >>> number_name(100000.0), number_name(2**64 + 1), number_name(0.1 + 0.2), number_name(Decimal("1.50"))
    ('1e+05', '18446744073709551617', '0.30000000000000004', '1.5')
    """
    if isinstance(value, Decimal):
        return _decimal_name(value)
    if not isinstance(value, float):
        return str(value)
    short = format_number(value)
    if float(short) == value or not math.isfinite(value):
        return short
    return f"{value:.0f}" if value.is_integer() and abs(value) < _LARGEST_WRITTEN_OUT else repr(value)


def _decimal_name(value: Decimal) -> str:
    """Return a decimal number written out, without zeros at its end."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) if value else "0"


def _shortest_mantissa(value: float) -> tuple[int, int]:
    """Return the number of significant digits needed (at most 15) and the decimal exponent."""
    mantissa, exponent = f"{value:.{SIGNIFICANT_DIGITS - 1}e}".split("e")
    return len(mantissa.lstrip("-").replace(".", "").rstrip("0")) or 1, int(exponent)
