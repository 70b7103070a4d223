"""What every test of scaled residuals returns: a record that prints itself as R's tests do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.diagnostics.checks.record import SIGNIFICANT
from mixedmodels.reports.numbers import format_numbers, format_p_values
from mixedmodels.reports.page import html_of

Alternative = Literal["two.sided", "greater", "less"]


@dataclass(frozen=True, slots=True, repr=False)
class ResidualTest:
    """A test of scaled residuals.

    Attributes
    ----------
    method : str
        What was tested, and how.
    values : dict
        Name to number, the statistic first.
    p_value : float
        Its p-value.
    alternative : str
        Hypothesis that a small p-value speaks for.
    """

    method: str
    values: Mapping[str, float]
    p_value: float
    alternative: str

    @property
    def statistic(self) -> float:
        """The first of the values."""
        return next(iter(self.values.values()))

    @property
    def is_fine(self) -> bool | None:
        """Whether the test does not reject at 5 %; None where there is no p-value."""
        return None if np.isnan(self.p_value) else bool(self.p_value >= SIGNIFICANT)

    @property
    def line(self) -> str:
        """Statistic and p-value: ``D = 0.0466, p-value = 0.7785``."""
        numbers = [f"{name} = {_number(value)}" for name, value in self.values.items()]
        return ", ".join([*numbers, p_text(self.p_value)])

    def __repr__(self) -> str:
        return f"\n\t{self.method}\n\n{self.line}\nalternative hypothesis: {self.alternative}\n"

    def _repr_html_(self) -> str:
        return html_of(repr(self))


def _number(value: float) -> str:
    return format_numbers([value], 5)[0].strip()


def p_text(p_value: float) -> str:
    """Return a p-value as R's tests print it: ``p-value = 0.7785``."""
    text = format_p_values([p_value], 4)[0].strip()
    return f"p-value {text}" if text.startswith("<") else f"p-value = {text}"


def check_alternative(alternative: object) -> None:
    """Raise ControlError unless an alternative is one of the three."""
    one_of("alternative", alternative, get_args(Alternative))


def one_or_two_sided(greater: float, less: float, alternative: Alternative) -> float:
    """Return a p-value from those of the two sides; of both, twice the smaller."""
    if alternative == "two.sided":
        return min(1.0, 2.0 * min(greater, less))
    return greater if alternative == "greater" else less


def simulated_p_value(observed: float, simulated: FloatArray, alternative: Alternative) -> float:
    """Return the p-value of a statistic among simulated ones (Davison & Hinkley 1997, section 4.2).

    The observed one counts among them, so that it is never zero and a right model is rejected no more often
    than the level says.

    Examples
    --------
    >>> simulated_p_value(3.5, np.array([1.0, 2.0, 3.0]), "greater")
    0.25
    """
    known = simulated[~np.isnan(simulated)]
    if np.isnan(observed) or not len(known):
        return np.nan
    total = len(known) + 1.0
    greater = float(1.0 + np.count_nonzero(known >= observed)) / total
    less = float(1.0 + np.count_nonzero(known <= observed)) / total
    return one_or_two_sided(greater, less, alternative)
