"""Arrays with one entry a row of data that is nowhere held, as a model fitted to sums has them."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.errors import NotAvailableError

NO_ROWS = (
    "this needs the rows of the data, and the model was fitted to sums over them. predict(source), "
    "fitted(source), residuals(source) and augment(source) go through the rows batch by batch; a fit to a "
    "table in memory has all the rest."
)


NO_VALUES = (
    "of this variable the mean, the least and the greatest value are known, not the values of the rows, to "
    "which the model was not fitted; give the values wanted by at=."
)
NO_EXTREMES = (
    "the range of this variable is not known: moments with hash_levels= or min_cell= leave out the least and "
    "the greatest value, which are those of single rows."
)

#: Relative difference of two sums of squares of one response: what rounding makes of it.
SAME_SUM = 1e-10


class AbsentRows:
    """An array of which the shape is known and the entries are not.

    Parameters
    ----------
    *shape : int
        Its shape.

    Raises
    ------
    NotAvailableError
        Where entries are asked for.
    """

    __slots__ = ("shape",)

    def __init__(self, *shape: int) -> None:
        self.shape = shape

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        total = 1
        for length in self.shape:
            total *= length
        return total

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _refuse()

    def __reduce__(self) -> Any:
        return AbsentRows, self.shape

    def _refused(self, *_: object, **__: object) -> NoReturn:
        _refuse()

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.shape:
            return self.shape
        _refuse()

    def __getitem__(self, key: Any) -> FloatArray:
        if isinstance(key, slice) and key == slice(None, 0):
            return np.empty((0, *self.shape[1:]))
        _refuse()

    __array__ = __array_ufunc__ = _refused
    __iter__ = __setitem__ = __contains__ = _refused
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refused
    __matmul__ = __rmatmul__ = __pow__ = __neg__ = __abs__ = _refused
    __lt__ = __le__ = __gt__ = __ge__ = __invert__ = __bool__ = __float__ = _refused


class AbsentColumns(AbsentRows):
    """Columns of a model matrix of which only the products are known.

    Parameters
    ----------
    n : int
        Number of rows.
    triangle : ndarray, shape (m, k)
        A few rows with the same products: ``triangle'triangle = Z'WZ``.
    plain : ndarray, shape (m, k), optional
        The same without weights, at rows of positive weight; by default there are none, NaN if not known.
    """

    __slots__ = ("plain", "triangle")

    def __init__(self, n: int, triangle: FloatArray, plain: FloatArray | None = None) -> None:
        super().__init__(n, triangle.shape[1])
        self.triangle = triangle
        self.plain = triangle if plain is None else plain

    def __reduce__(self) -> Any:
        return AbsentColumns, (self.shape[0], self.triangle, self.plain)

    def some(self, columns: IntArray | list[int]) -> AbsentColumns:
        """Return some of the columns."""
        return AbsentColumns(self.shape[0], self.triangle[:, columns], self.plain[:, columns])


class AbsentNumbers(AbsentRows):
    """Numbers of which the mean and the range are known, and of few different ones all.

    Parameters
    ----------
    n : int
        How many there are.
    mean, least, greatest : float
        What is known of them; the last two NaN where they are not.
    different : ndarray, optional
        Their different values, ascending, where these are few.
    """

    __slots__ = ("different", "greatest", "least", "mean_value")

    def __init__(
        self, n: int, mean: float, least: float, greatest: float, different: npt.NDArray[Any] | None = None
    ) -> None:
        super().__init__(n)
        self.mean_value, self.least, self.greatest = mean, least, greatest
        self.different = different

    def __reduce__(self) -> Any:
        own = (self.mean_value, self.least, self.greatest, self.different)
        return AbsentNumbers, (self.shape[0], *own)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotAvailableError(NO_VALUES)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        known = {
            np.mean: self.mean,
            np.min: self.min,
            np.max: self.max,
            np.ptp: self.ptp,
            np.unique: self._unique,
        }
        if func in known and len(args) == 1 and not kwargs:
            return known[func]()
        if func is np.shape:
            return self.shape
        raise NotAvailableError(NO_VALUES)

    def astype(self, *_: object, **__: object) -> AbsentNumbers:
        """Return them as they are: of any type no more would be known."""
        return self

    def mean(self) -> float:
        """Return their mean."""
        return self.mean_value

    def min(self) -> float:
        """Return the least."""
        return self._known(self.least)

    def max(self) -> float:
        """Return the greatest."""
        return self._known(self.greatest)

    def ptp(self) -> float:
        """Return the difference of the greatest and the least."""
        return self._known(self.greatest) - self._known(self.least)

    def _unique(self) -> npt.NDArray[Any]:
        if self.different is None:
            raise NotAvailableError(NO_VALUES)
        return self.different

    @staticmethod
    def _known(value: float) -> float:
        if np.isnan(value):
            raise NotAvailableError(NO_EXTREMES)
        return value

    def _refused(self, *_: object, **__: object) -> NoReturn:
        raise NotAvailableError(NO_VALUES)

    __array__ = __array_ufunc__ = _refused
    __getitem__ = __iter__ = __contains__ = _refused
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _refused
    __pow__ = __neg__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = _refused


class AbsentResponse(AbsentRows):
    """A response of which only the length is known, to tell it from others.

    Parameters
    ----------
    n : int
        Number of rows.
    square : float
        Sum of its squares, offset and weights counted.
    """

    __slots__ = ("square",)

    def __init__(self, n: int, square: float) -> None:
        super().__init__(n)
        self.square = square

    def __reduce__(self) -> Any:
        return AbsentResponse, (self.shape[0], self.square)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.array_equal and all(isinstance(a, AbsentResponse) for a in args):
            return args[0].shape == args[1].shape and bool(
                np.isclose(args[0].square, args[1].square, rtol=SAME_SUM)
            )
        return super().__array_function__(func, types, args, kwargs)


def _refuse() -> NoReturn:
    raise NotAvailableError(NO_ROWS)
