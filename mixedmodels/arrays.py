"""Array types used throughout the package."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.intp]
CodeArray: TypeAlias = npt.NDArray[np.int32]
#: Integers that only serve as indices, of any width.
IndexArray: TypeAlias = npt.NDArray[np.integer[Any]]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

#: The bytes of the number 1, which every row of a column of ones reads.
_ONE = np.float64(1.0).tobytes()


def ones_view(*shape: int) -> FloatArray:
    """Return ones of a shape that cost no memory: one number, read again and again, not to be written."""
    return np.ndarray(shape, np.float64, _ONE, 0, (0,) * len(shape))


__all__ = ["BoolArray", "CodeArray", "FloatArray", "IndexArray", "IntArray", "ones_view"]
