"""Numbers as R prints them: common formats for a column, p-values, significance marks.

R chooses the smallest number of significant digits, at most `digits`, that shows every number of a
column to `digits` digits, and scientific notation only where it is narrower (R documentation of
``format``, ``format.pval`` and ``printCoefmat``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mixedmodels.arrays import FloatArray

MACHINE_EPSILON = float(np.finfo(np.float64).eps)
SIGNIFICANCE_LEGEND = "Signif. codes:  0 ‘***’ 0.001 ‘**’ 0.01 ‘*’ 0.05 ‘.’ 0.1 ‘ ’ 1"


def _places(value: float, digits: int) -> tuple[int, int, int]:
    """Return power of ten, significant digits and places left of the point at `digits` digits."""
    mantissa, _, exponent = f"{abs(value):.{digits - 1}e}".partition("e")
    power = int(exponent)
    # 97.4 at one digit is 1e+02 in scientific notation, but still 97 in fixed.
    widened = power > 0 and abs(value) < 10.0**power - 0.5 / 10.0 ** max(digits - power, 0)
    left = max(power + 1 - widened, 1) + (value < 0)
    return power, max(len(mantissa.replace(".", "").rstrip("0")), 1), left


def format_numbers(
    values: Sequence[float] | FloatArray,
    digits: int = 7,
    nsmall: int = 0,
    na: str = "NA",
    fixed: bool = False,
) -> list[str]:
    """Format numbers in one common format, padded to equal width, as R's ``format`` does.

    `fixed` rules out scientific notation.

    Examples
    --------
    >>> format_numbers([612.1, 35.07, 654.94], digits=4)
    ['612.10', ' 35.07', '654.94']
    """
    numbers = np.array([_without_noise(x) for x in np.asarray(values, dtype=np.float64)])
    finite = numbers[np.isfinite(numbers)]
    places, left, scientific = _common_format(finite, digits, nsmall, fixed)
    texts = [_one_number(x + 0.0, places, scientific, na) for x in numbers.tolist()]
    # R reserves a place where rounding alone adds one: 9.96 at two digits has the width of 10.
    width = max([len(t) for t in texts] + [left + (places + 1 if places else 0)])
    return [t.rjust(width) for t in texts]


def _common_format(finite: FloatArray, digits: int, nsmall: int, fixed: bool) -> tuple[int, int, bool]:
    """Return places after the point, places left of it, and whether scientific notation is narrower."""
    if not len(finite):
        return 0, 0, False
    places = [_places(x, digits) for x in finite.tolist()]
    right = max(max(significant - power - 1 for power, significant, _ in places), 0)
    left = max(left for _, _, left in places)
    fixed_width = left + (right + 1 if right else 0)
    mantissa = max(significant for _, significant, _ in places) - 1
    exponent_width = 2 if any(abs(power) >= 100 for power, _, _ in places) else 1
    scientific_width = bool((finite < 0).any()) + (mantissa > 0) + mantissa + 4 + exponent_width
    if fixed or fixed_width <= scientific_width:
        return max(right, nsmall), left, False
    return mantissa, 0, True


def _without_noise(value: float) -> float:
    """Round to 15 significant digits: the last one and a half of a double must not decide a tie."""
    return float(f"{value:.14e}")


def _one_number(value: float, places: int, scientific: bool, na: str) -> str:
    if math.isnan(value):
        return na
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return f"{value:.{places}e}" if scientific else f"{value:.{places}f}"


def round_digits(values: Sequence[float] | FloatArray, digits: int) -> FloatArray:
    """Round to `digits` decimal places: the nearer of the two neighbours, the even one of a tie (R >= 4).

    Examples
    --------
    >>> round_digits([0.15, 2.675, -1.25], 1)
    array([ 0.1,  2.7, -1.2])
    """
    numbers = np.asarray(values, dtype=np.float64)
    scale = 10.0 ** abs(digits)
    scaled = numbers * scale if digits >= 0 else numbers / scale
    below, above = np.floor(scaled), np.ceil(scaled)
    lower, upper = (below / scale, above / scale) if digits >= 0 else (below * scale, above * scale)
    down, up = numbers - lower, upper - numbers
    take_lower = (down < up) | ((down == up) & (below % 2 == 0))
    # Beyond the 15 digits of a double there is nothing to round.
    exact = ~np.isfinite(numbers) | (np.abs(scaled) >= 1e15)
    return np.where(exact, numbers, np.where(take_lower, lower, upper))


def zap_small(values: Sequence[float] | FloatArray, digits: int) -> FloatArray:
    """Round so that numbers negligible beside the largest one become zero."""
    numbers = np.asarray(values, dtype=np.float64)
    finite = np.abs(numbers[np.isfinite(numbers)])
    largest = float(finite.max()) if len(finite) else 0.0
    if largest > 0:
        digits = max(0, math.floor(digits - math.log10(largest) + 0.5))
    return round_digits(numbers, digits)


def format_p_values(
    values: Sequence[float] | FloatArray, digits: int = 5, eps: float = MACHINE_EPSILON, na: str = "NA"
) -> list[str]:
    """Format p-values as R's ``format.pval``: tiny ones as ``<2e-16``, small ones in scientific notation.

    Examples
    --------
    >>> format_p_values([1.47e-9, 0.001068, 1e-30], digits=3)
    ['1.47e-09', '0.00107', '< 2e-16']
    """
    p = np.asarray(values, dtype=np.float64)
    tiny = p < eps
    fixed = ~tiny & ~np.isnan(p) & ((p >= 1e-3) | ((p >= 1e-4) & (digits > 1)))
    small = ~tiny & ~np.isnan(p) & ~fixed
    texts = np.full(len(p), na, dtype=object)
    for part in (fixed, small):
        texts[part] = format_numbers(p[part], digits)
    if tiny.any():
        texts[tiny] = _below(eps, digits, [len(t) for t in texts[fixed | small]])
    return [str(t) for t in texts]


def _below(eps: float, digits: int, widths: list[int]) -> str:
    """Return ``< 2e-16`` with the digits and the space that fit beside texts of `widths`."""
    digits = max(1, digits - 2)
    if widths:
        widest = max(widths)
        if digits > 1 and digits + 6 > widest:
            digits = max(1, widest - 7)
        space = "" if digits == 1 and widest <= 6 else " "
    else:
        space = "" if digits == 1 else " "
    return "<" + space + format_numbers([eps], digits)[0]


def significance_marks(p_values: Sequence[float] | FloatArray) -> list[str]:
    """Return ``***``, ``**``, ``*``, ``.`` or blanks for each p-value, padded to three places."""
    marks = []
    for p in np.asarray(p_values, dtype=np.float64):
        bounds = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))
        marks.append("" if math.isnan(p) else next((m for limit, m in bounds if p <= limit), ""))
    width = max((len(m) for m in marks), default=0)
    return [m.ljust(width) for m in marks]


def percent_names(level: float) -> tuple[str, str]:
    """Return the names R gives to the two ends of an interval.

    Examples
    --------
    >>> percent_names(0.95)
    ('2.5 %', '97.5 %')
    """
    tail = (1.0 - level) / 2.0
    lower, upper = format_numbers([100.0 * tail, 100.0 * (1.0 - tail)], 3, fixed=True)
    return f"{lower.strip()} %", f"{upper.strip()} %"
