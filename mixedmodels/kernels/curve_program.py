"""The mean of a nonlinear model and its derivatives, one compiled pass over the rows.

A program (:mod:`mixedmodels.formula.evaluation.programs`) is a list of operations on numbered registers;
NumPy goes through all rows once for each of them. Compiled, a few rows at a time go through the whole list.
Where nothing is compiled `COMPILED` is False and `run_program` is not there. Its arguments:

operations : int32 ndarray, shape (n_operations, 5)
    Code, three operands (those not needed are 0) and result.
places, numbers : int32 and float ndarray, shape (n_constants,)
    Registers of constants, and what they hold.
data : ndarray, shape (D, n)
    What the first registers hold.
phi : ndarray, shape (K, n)
    What the next ones hold.
outputs : int32 ndarray, shape (n_outputs, 2)
    Registers of the results, and the rows of the returned array to which they go; its others are zero.
n_rows, n_registers : int
    Rows of that array, and number of registers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import expit

__all__ = ["CODES", "COMPILED", "run_program"]

_OPERATIONS: tuple[Callable[..., Any], ...] = (
    np.add, np.subtract, np.multiply, np.divide, np.negative, np.exp, np.expm1, np.log, np.log1p, np.sqrt,
    np.power, expit, np.sin, np.cos, np.tanh, np.absolute, np.sign, np.equal, np.not_equal, np.less,
    np.less_equal, np.greater, np.greater_equal, np.logical_and, np.logical_or, np.invert, np.where,
)  # fmt: skip
#: Functions that are compiled, and their codes; truth is one and zero.
CODES: Mapping[Callable[..., Any], int] = {function: code for code, function in enumerate(_OPERATIONS)}

try:
    from mixedmodels.kernels._curve_program import run_program
except ImportError:
    COMPILED = False
else:
    COMPILED = True
