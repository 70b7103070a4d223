"""Functions that a caller wrote, as parts of a mean: called on arrays, differentiated by complex steps.

A complex step (Squire & Trapp 1998, SIAM Review 40(1), 110-112) gives a first derivative to rounding, without
the cancellation of differences: ``f'(x) = Im f(x + ih) / h`` for any tiny h.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataError, FormulaError
from mixedmodels.formula.evaluation.jets import Numbers, Partials

#: A complex step subtracts nothing, so that it may be as small as numbers are.
COMPLEX_STEP = 1e-30
#: A relative step at which truncation and rounding of a central difference are about equal.
CENTRAL_STEP = float(np.finfo(np.float64).eps) ** (1.0 / 3.0)
#: Central differences are right to 1e-10 of the size of the function: a slope that is further off is wrong.
GRADIENT_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A function from `env`.

    Attributes
    ----------
    name : str
        Its name in the formula.
    function : callable
        Of arrays, one number a row.
    gradient : callable or None
        Of the same arguments: one derivative for each of them, or for each that holds a parameter, in their
        order or as a mapping by keyword; None for complex steps.
    """

    name: str
    function: Callable[..., Any]
    gradient: Callable[..., Any] | None

    @staticmethod
    def of(name: str, given: Any) -> UserFunction | None:
        """Return a function, or a pair of function and gradient, from `env`; None where it is neither."""
        if callable(given):
            return UserFunction(name, given, None)
        if isinstance(given, (tuple, list)) and len(given) == 2 and all(map(callable, given)):
            return UserFunction(name, given[0], given[1])
        return None

    def partials(
        self, order: int, active: Sequence[int], keywords: Sequence[str | None], values: Sequence[Numbers]
    ) -> Partials:
        """Return value and partial derivatives.

        Parameters
        ----------
        order : int
            0, 1 or 2.
        active : sequence of int
            Arguments that depend on parameters, in which derivatives are taken.
        keywords : sequence of str or None
            For each argument its name in the call, None where it goes by position.
        values : sequence of float or ndarray
            The arguments.
        """
        value = self._called(self.function, keywords, values)
        if order == 0:
            return Partials(value, {}, {})
        first = self._slopes(active, keywords, values)
        if order == 1:
            return Partials(value, first, {})
        return Partials(value, first, self._curvatures(active, keywords, values))

    def check(self, active: Sequence[int], keywords: Sequence[str | None], values: Sequence[Numbers]) -> None:
        """Raise where a slope is not what differences of the function say it is.

        Raises
        ------
        FormulaError
            Naming the argument.
        """
        slopes = self._slopes(active, keywords, values)
        for a in active:
            step, ahead, behind = _around(values, a)
            f_ahead, f_behind = (self._called(self.function, keywords, v) for v in (ahead, behind))
            difference = (f_ahead - f_behind) / (2.0 * step)
            size = np.max(np.abs(difference)) + np.max(np.abs(f_ahead)) * CENTRAL_STEP**2
            wrong = np.abs(difference - slopes[a]) > GRADIENT_TOLERANCE * size
            if np.any(wrong & np.isfinite(difference)):
                what = keywords[a] or f"argument {a + 1}"
                if self.gradient is not None:
                    self._fail(f"its gradient in {what} is not the slope that the function has there")
                self._fail(
                    f"its derivative in {what} cannot be had by a complex step, because it does not treat "
                    "complex numbers as the real ones (abs, maximum, comparisons do not); " + self._advice()
                )

    def _slopes(
        self, active: Sequence[int], keywords: Sequence[str | None], values: Sequence[Numbers]
    ) -> dict[int, Numbers]:
        if self.gradient is None:
            return {a: self._complex_step(a, keywords, values) for a in active}
        found = self._raw(self.gradient, keywords, values)
        # One derivative for each argument, or only for those that hold parameters.
        is_array = isinstance(found, np.ndarray) and found.ndim > 0
        short = (is_array or isinstance(found, (list, tuple))) and len(found) == len(active) < len(values)
        slopes: dict[int, Numbers] = {}
        for place, a in enumerate(active):
            key = keywords[a] if isinstance(found, Mapping) else place if short else a
            try:
                slopes[a] = np.asarray(found[key], dtype=np.float64)
            except (KeyError, IndexError, TypeError, ValueError):
                self._fail(
                    "its gradient must return one array for each argument, in their order, or for each that "
                    f"holds a parameter; there is none for {keywords[a] or f'argument {a + 1}'}"
                )
            self._check_rows(slopes[a], keywords[a] or f"argument {a + 1}", values)
        return slopes

    def _check_rows(self, slope: Numbers, what: str, values: Sequence[Numbers]) -> None:
        """Raise where a slope is neither one number a row nor one for all."""
        shape = np.broadcast_shapes(*(np.shape(v) for v in values))
        if np.shape(slope) not in (shape, ()):
            self._fail(
                f"its gradient must return one array for each argument, each with one number a row, {shape}; "
                f"for {what} it returned {np.shape(slope)} (a matrix with one column for each parameter is "
                "to be transposed)"
            )

    def _complex_step(self, a: int, keywords: Sequence[str | None], values: Sequence[Numbers]) -> Numbers:
        shifted = list(values)
        shifted[a] = values[a] + 1j * COMPLEX_STEP
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                found = np.asarray(
                    self._raw(self.function, keywords, shifted, passes=(TypeError, ValueError))
                )
        except (TypeError, ValueError, np.exceptions.ComplexWarning):
            found = np.empty(0)
        if found.dtype.kind != "c":
            self._fail("it does not take complex numbers, by which it is differentiated; " + self._advice())
        return found.imag / COMPLEX_STEP

    def _curvatures(
        self, active: Sequence[int], keywords: Sequence[str | None], values: Sequence[Numbers]
    ) -> dict[tuple[int, int], Numbers]:
        """Return second derivatives, as central differences of the first."""
        halves: dict[tuple[int, int], Numbers] = {}
        for a in active:
            step, ahead, behind = _around(values, a)
            after, before = (self._slopes(active, keywords, v) for v in (ahead, behind))
            for b in active:
                halves[a, b] = (after[b] - before[b]) / (2.0 * step)
        return {(a, b): 0.5 * (halves[a, b] + halves[b, a]) for a, b in halves if a <= b}

    def _called(
        self, function: Callable[..., Any], keywords: Sequence[str | None], values: Sequence[Numbers]
    ) -> FloatArray:
        """Return what the function makes of real arguments, as floats."""
        numbers = np.asarray(self._raw(function, keywords, values))
        if numbers.dtype.kind not in "fiub":
            raise DataError(
                f"{self.name}() must return real numbers; it returned an array of {numbers.dtype}"
            )
        numbers = numbers.astype(np.float64)
        shape = np.broadcast_shapes(*(np.shape(v) for v in values))
        if numbers.shape not in (shape, ()):
            raise DataError(
                f"{self.name}() must return one number a row, {shape}; it returned {numbers.shape}"
            )
        return numbers

    def _raw(
        self,
        function: Callable[..., Any],
        keywords: Sequence[str | None],
        values: Sequence[Numbers],
        passes: tuple[type[Exception], ...] = (),
    ) -> Any:
        """Return what a function makes of arguments by position and by name."""
        places = [v for k, v in zip(keywords, values, strict=True) if k is None]
        named = {k: v for k, v in zip(keywords, values, strict=True) if k is not None}
        try:
            return function(*places, **named)
        except passes:
            raise
        except Exception as error:
            raise DataError(f"{self.name}() failed: {error}") from error

    def _advice(self) -> str:
        return f"give its gradient too, env={{{self.name!r}: ({self.name}, gradient)}}"

    def _fail(self, message: str) -> NoReturn:
        raise FormulaError(f"{self.name}(): {message}")


def _around(values: Sequence[Numbers], a: int) -> tuple[Numbers, list[Numbers], list[Numbers]]:
    """Return a step in one argument, and all arguments that far ahead and behind."""
    size = np.abs(values[a])
    step = CENTRAL_STEP * np.where(size > CENTRAL_STEP, size, 1.0)
    ahead, behind = list(values), list(values)
    ahead[a], behind[a] = values[a] + step, values[a] - step
    return 0.5 * (ahead[a] - behind[a]), ahead, behind
