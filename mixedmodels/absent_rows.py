"""Arrays with one entry a row of data that is nowhere held, as a model fitted to sums has them."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import NotAvailableError

NO_ROWS = (
    "this needs the rows of the data, and the model was fitted to sums over them. predict(source), "
    "fitted(source), residuals(source) and augment(source) go through the rows batch by batch; a fit to a "
    "table in memory has all the rest."
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

    __array__ = __array_ufunc__ = _refused
    __getitem__ = __iter__ = __setitem__ = __contains__ = _refused
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
    """

    __slots__ = ("triangle",)

    def __init__(self, n: int, triangle: FloatArray) -> None:
        super().__init__(n, triangle.shape[1])
        self.triangle = triangle

    def __reduce__(self) -> Any:
        return AbsentColumns, (self.shape[0], self.triangle)


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
