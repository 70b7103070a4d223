"""A computation recorded once and repeated many times: derivatives as straight lines of NumPy's functions.

What is computed with `Traced` numbers is recorded, equal operations once; what no output needs is left out.
The rules of derivatives are so worked out once for an expression, and evaluations are its arithmetic alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.formula.evaluation.jets import Numbers
from mixedmodels.kernels import curve_program

_COMMUTATIVE = (np.add, np.multiply)
Operation = tuple[Callable[..., Any], tuple[int, ...], int]


@dataclass(frozen=True, slots=True)
class Program:
    """A straight line of operations on numbered registers.

    Attributes
    ----------
    registers : tuple
        What the registers hold at first: constants, None elsewhere.
    operations : tuple of (function, operands, result)
        In order.
    outputs : tuple of int
        Registers of the results.
    """

    registers: tuple[Any, ...]
    operations: tuple[Operation, ...]
    outputs: tuple[int, ...]

    def run(self, inputs: Sequence[Numbers]) -> list[Numbers]:
        """Return the results; inputs are the first registers."""
        held = list(self.registers)
        held[: len(inputs)] = inputs
        for function, operands, result in self.operations:
            if len(operands) == 2:  # nearly all of them, and the quickest way to call
                i, j = operands
                held[result] = function(held[i], held[j])
            else:
                held[result] = function(*[held[i] for i in operands])
        return [held[i] for i in self.outputs]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A program in the numbers that the compiled one reads.

    Attributes
    ----------
    operations : int32 ndarray, shape (n_operations, 5)
        Code, operands and result.
    places, numbers : int32 and float ndarray, shape (n_constants,)
        Registers of constants, and what they hold.
    n_registers : int
        Number of registers.
    """

    operations: CodeArray
    places: CodeArray
    numbers: FloatArray
    n_registers: int

    @classmethod
    def of(cls, program: Program) -> Encoded | None:
        """Encode a program; None where nothing is compiled, or one of its functions is not."""
        codes = [curve_program.CODES.get(function) for function, _, _ in program.operations]
        if not curve_program.COMPILED or None in codes:
            return None
        rows = [
            (code, *operands, *(0,) * (3 - len(operands)), result)
            for code, (_, operands, result) in zip(codes, program.operations, strict=True)
        ]
        places = [i for i, value in enumerate(program.registers) if value is not None]
        return cls(
            np.array(rows, dtype=np.int32).reshape(-1, 5),
            np.array(places, dtype=np.int32),
            np.array([float(program.registers[i]) for i in places]),
            len(program.registers),
        )


class Traced(NDArrayOperatorsMixin):
    """A number that stands for what a register will hold."""

    __slots__ = ("index", "recorder")

    def __init__(self, recorder: Recorder, index: int) -> None:
        self.recorder = recorder
        self.index = index

    def __array_ufunc__(self, ufunc: Callable[..., Any], method: str, *inputs: Any, **options: Any) -> Traced:
        """Record a universal function."""
        assert method == "__call__" and not options, "only plain calls are recorded"
        return self.recorder.record(ufunc, inputs)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, inputs: tuple[Any, ...], options: dict[str, Any]
    ) -> Traced:
        """Record another function of arrays, ``np.where``."""
        assert not options, "only plain calls are recorded"
        return self.recorder.record(function, inputs)


class Recorder:
    """What a computation with traced numbers is recorded in.

    Parameters
    ----------
    n_inputs : int
        Number of inputs.
    """

    def __init__(self, n_inputs: int) -> None:
        self.registers: list[Any] = [None] * n_inputs
        self.operations: list[Operation] = []
        self.known: dict[Any, int] = {}
        self.negatives: dict[int, int] = {}

    def input(self, i: int) -> Traced:
        """Return an input."""
        return Traced(self, i)

    def record(self, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Traced:
        """Record an operation, unless it is known, with minus signs drawn out of it."""
        if function in (np.multiply, np.divide):
            return self.product(function, *map(self.place, inputs))
        if function in (np.add, np.subtract):
            return self.sum(function, *map(self.place, inputs))
        if function is np.negative:
            return self.negated(self.place(inputs[0]))
        return self.kept(function, tuple(map(self.place, inputs)))

    # A minus sign changes no digit, so that products that differ by one are one product.
    def product(self, function: Callable[..., Any], i: int, j: int) -> Traced:
        """Record a product or a ratio."""
        minus = (i in self.negatives) != (j in self.negatives)
        i, j = self.negatives.get(i, i), self.negatives.get(j, j)
        for factor, other in ((i, j), (j, i)) if function is np.multiply else ((j, i),):
            if self.registers[factor] in (1.0, -1.0):
                found, minus = Traced(self, other), minus != (self.registers[factor] == -1.0)
                break
        else:
            found = self.kept(function, (i, j))
        return self.negated(found.index) if minus else found

    def sum(self, function: Callable[..., Any], i: int, j: int) -> Traced:
        """Record a sum or a difference."""
        minus_j = (function is np.subtract) != (j in self.negatives)
        minus_i, i, j = i in self.negatives, self.negatives.get(i, i), self.negatives.get(j, j)
        if minus_i and minus_j:
            return self.negated(self.kept(np.add, (i, j)).index)
        if minus_i:
            return self.kept(np.subtract, (j, i))
        return self.kept(np.subtract if minus_j else np.add, (i, j))

    def negated(self, i: int) -> Traced:
        """Record a minus sign."""
        if i in self.negatives:
            return Traced(self, self.negatives[i])
        found = self.kept(np.negative, (i,))
        self.negatives[found.index] = i
        return found

    def kept(self, function: Callable[..., Any], operands: tuple[int, ...]) -> Traced:
        """Record an operation as it is."""
        if function in _COMMUTATIVE:
            operands = tuple(sorted(operands))
        key = (function, operands)
        if key not in self.known:
            self.registers.append(None)
            self.known[key] = len(self.registers) - 1
            self.operations.append((function, operands, self.known[key]))
        return Traced(self, self.known[key])

    def place(self, value: Any) -> int:
        """Return the register of a traced number or a constant."""
        if isinstance(value, Traced):
            return value.index
        key = (type(value), value)
        if key not in self.known:
            self.registers.append(value)
            self.known[key] = len(self.registers) - 1
        return self.known[key]

    def program(self, outputs: Sequence[Any]) -> Program:
        """Return what leads to some results."""
        places = tuple(map(self.place, outputs))
        needed = set(places)
        kept: list[Operation] = []
        for operation in reversed(self.operations):
            if operation[2] in needed:
                needed.update(operation[1])
                kept.append(operation)
        return Program(tuple(self.registers), tuple(reversed(kept)), places)
