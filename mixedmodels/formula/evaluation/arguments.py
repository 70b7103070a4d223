"""The arguments of a call in a formula: matched to parameters and checked for their kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.errors import DataError
from mixedmodels.formula.evaluation.columns import Factor, Logical, Numeric, Scalar, Value
from mixedmodels.formula.evaluation.evaluate import Evaluator
from mixedmodels.formula.evaluation.magnitude import refuse_extreme
from mixedmodels.formula.evaluation.read_column import DATE_ADVICE
from mixedmodels.formula.language.number_format import number_name
from mixedmodels.formula.language.syntax_tree import Call, Node, deparse


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Function:
    """A function of the formula language.

    Attributes
    ----------
    parameters : tuple of str
        Names of the parameters in order.
    apply : callable
        Takes a `BoundCall` and returns the value.
    """

    parameters: tuple[str, ...]
    apply: Callable[[BoundCall], Value]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BoundCall:
    """A call whose arguments have been matched to parameters."""

    call: Call
    nodes: dict[str, Node]
    context: Evaluator

    def has(self, name: str) -> bool:
        """Tell whether an argument was given."""
        return name in self.nodes

    def value(self, name: str) -> Value:
        """Return the value of an argument, None when it was not given."""
        return self.context.value(self.nodes[name]) if name in self.nodes else None

    def number(self, name: str) -> Any:
        """Return a numeric argument as an array or a single float."""
        return self.context.number(self.value(name), self.nodes[name])

    def scalar(self, name: str, default: float | None) -> float | None:
        """Return an argument that is a single number."""
        if name not in self.nodes:
            return default
        value = self.value(name)
        if value is None or (isinstance(value, (bool, float, int)) and np.isfinite(float(value))):
            return value
        self.fail(f"argument '{name}' of {self.call.function}() must be a single number", name)

    def count(self, name: str, default: int | None) -> int | None:
        """Return an argument that is a whole number from 0 to 1000."""
        value = self.scalar(name, default)
        if value is not None and (value % 1 or not 0 <= value <= 1000):
            self.fail(f"argument '{name}' of {self.call.function}() must be a whole number", name)
        return None if value is None else int(value)

    def flag(self, name: str, default: bool) -> bool:
        """Return an argument that is TRUE or FALSE."""
        if name not in self.nodes:
            return default
        value = self.value(name)
        if not isinstance(value, bool):
            self.fail(f"argument '{name}' of {self.call.function}() must be TRUE or FALSE", name)
        return value

    def numbers(self, name: str) -> tuple[float, ...] | None:
        """Return an argument that is a list of numbers, ``c(1, 2)``."""
        value = self.value(name)
        if value is None:
            return None
        items = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(item, (float, int)) and not isinstance(item, bool) for item in items):
            self.fail(f"argument '{name}' of {self.call.function}() must be numbers, c(1, 2)", name)
        return tuple(float(item) for item in items if isinstance(item, (float, int)))

    def strings(self, name: str) -> tuple[str, ...] | None:
        """Return an argument that is a list of names, numbers turned into names."""
        value = self.value(name)
        if value is None:
            return None
        items = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(item, (float, int, str)) for item in items):
            self.fail(f"argument '{name}' of {self.call.function}() must be a list such as c('a', 'b')", name)
        return tuple(_name(item) for item in items if isinstance(item, (float, int, str)))

    def vector(self, name: str) -> FloatArray:
        """Return an argument that is one number a row."""
        value = self.value(name)
        if isinstance(value, (Numeric, Logical)):
            numbers = value.as_float()
            if np.isinf(numbers).any():
                raise DataError(
                    f"{deparse(self.nodes[name])} is infinite in {int(np.isinf(numbers).sum())} row(s)"
                )
            refuse_extreme(numbers, [deparse(self.nodes[name])])
            return numbers
        if isinstance(value, Factor) and value.is_date:
            raise DataError(DATE_ADVICE.format(name=deparse(self.nodes[name])))
        self.fail(f"argument '{name}' of {self.call.function}() must be a numeric variable", name)

    def factor(self, name: str) -> Factor:
        """Return an argument that is a factor or can be made one."""
        return self.context.factor(self.value(name), self.nodes[name])

    def state(self, train: Callable[[], Any]) -> Any:
        """Return the state of this call: made by `train` on the training data, recalled on new data."""
        key = deparse(self.call)
        states = self.context.states.transforms
        if key not in states:
            states[key] = train()
        return states[key]

    def fail(self, message: str, name: str | None = None) -> NoReturn:
        """Raise a FormulaError at an argument, or at the call."""
        self.context.fail(self.nodes.get(name or "", self.call), message)


def _name(item: Scalar) -> str:
    """Return a value in a list of levels as the name of a level."""
    if isinstance(item, bool):
        return "TRUE" if item else "FALSE"
    return number_name(item) if isinstance(item, (float, int)) else str(item)


def match_arguments(call: Call, function: Function, context: Evaluator) -> dict[str, Node]:
    """Match arguments to parameters: by name, by a unique beginning of a name, then by place."""
    matched: dict[str, Node] = {}
    positional: list[Node] = []
    for argument in call.arguments:
        if argument.name is None:
            positional.append(argument.value)
            continue
        names = [p for p in function.parameters if p == argument.name]
        names = names or [p for p in function.parameters if p.lower().startswith(argument.name.lower())]
        if len(names) != 1 or names[0] in matched:
            expected = ", ".join(function.parameters)
            context.fail(
                argument.value, f"{call.function}() has no argument '{argument.name}'; it has {expected}"
            )
        matched[names[0]] = argument.value
    free = [p for p in function.parameters if p not in matched]
    if len(positional) > len(free):
        context.fail(
            positional[len(free)], f"{call.function}() takes at most {len(function.parameters)} arguments"
        )
    matched.update(zip(free, positional, strict=False))
    if function.parameters[0] not in matched:
        context.fail(call, f"{call.function}() needs an argument")
    return matched
