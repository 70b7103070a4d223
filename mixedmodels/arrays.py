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

__all__ = ["BoolArray", "CodeArray", "FloatArray", "IndexArray", "IntArray"]
