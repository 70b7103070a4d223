"""The mean of a nonlinear model: an expression of columns and parameters, with exact derivatives.

The syntax tree becomes a list of steps once, equal parts sharing one step; evaluation walks the list with
jets. Nothing is ever compiled or executed. What holds no parameter is evaluated as everywhere in a formula,
once for a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NoReturn

import numpy as np

from mixedmodels.arrays import CodeArray, FloatArray, IntArray
from mixedmodels.errors import DataError, FormulaError, listed
from mixedmodels.formula.evaluation.columns import Column, Factor, Logical, Numeric
from mixedmodels.formula.evaluation.derivative_rules import POWER_OF, SEVERAL, SMOOTH, TO_POWER
from mixedmodels.formula.evaluation.evaluate import CONSTANTS, Evaluator
from mixedmodels.formula.evaluation.functions import FUNCTIONS, VARIADIC
from mixedmodels.formula.evaluation.jets import Jet, Numbers, compose, constant, parameter
from mixedmodels.formula.evaluation.programs import Encoded, Program, Recorder
from mixedmodels.formula.evaluation.self_starting import (
    SELF_STARTING,
    expand_self_starting,
    is_self_starting,
    matched,
)
from mixedmodels.formula.evaluation.unknown_functions import unknown_function
from mixedmodels.formula.evaluation.user_functions import UserFunction
from mixedmodels.formula.language.syntax_tree import (
    Argument,
    Binary,
    Call,
    Name,
    Node,
    Number,
    Unary,
    call,
    deparse,
    is_sum,
    names_in,
    paren,
    start_of,
    strip_parens,
    sum_operands,
    unary,
)
from mixedmodels.kernels import curve_program

_FORMALS = {"ifelse": ("test", "yes", "no"), "log": ("x", "base")}
#: Operations by which a mean may repeat itself.
PERIODIC = ("sin", "cos", "tan", "sinpi", "cospi", "tanpi", "function")
_TRANSPARENT = ("I", "identity", "as.numeric", "as.double")


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of a mean.

    Attributes
    ----------
    operation : str
        ``"data"``, ``"number"``, ``"parameter"``, ``"function"`` (one from `env`), or a key of the tables of
        `derivative_rules`.
    operands : tuple of int
        Steps whose results it takes.
    index : int
        Which column of data, number or parameter it is.
    name : str
        Name of a function from `env`.
    active : tuple of int
        Operands of such a function that depend on parameters.
    keywords : tuple of (str or None)
        Names of the arguments of such a function.
    """

    operation: str
    operands: tuple[int, ...] = ()
    index: int = 0
    name: str = ""
    active: tuple[int, ...] = ()
    keywords: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class MeanExpression:
    """A mean, before it is bound to the rows of a table.

    Attributes
    ----------
    text : str
        As R prints it.
    parameters : tuple of str
        Names of the K parameters.
    steps : tuple of Step
        Its operations; the last one is the mean.
    variables : dict
        Printed expression -> expression of everything that is evaluated on a table.
    numbers : tuple of float
        Numbers in it.
    """

    text: str
    parameters: tuple[str, ...]
    steps: tuple[Step, ...]
    variables: dict[str, Node]
    numbers: tuple[float, ...]

    def bound(self, columns: Mapping[str, Column], n_rows: int, env: Mapping[str, Any]) -> BoundMean:
        """Return the mean on the rows of a table.

        Parameters
        ----------
        columns : mapping
            Values of `variables`.
        n_rows : int
            Number of rows, n.
        env : mapping
            Functions that the caller passed.

        Raises
        ------
        DataError
            Where a variable is not one number a row.
        """
        data = np.empty((len(self.variables), n_rows))
        for row, text in zip(data, self.variables, strict=True):
            row[:] = _as_numbers(text, columns[text], self.parameters)
        names = {step.name for step in self.steps if step.operation == "function"}
        functions = {name: UserFunction.of(name, env[name]) for name in names}
        return BoundMean(self, data, {name: f for name, f in functions.items() if f is not None}, n_rows)


def _as_numbers(text: str, column: Column, parameters: tuple[str, ...]) -> FloatArray:
    """Return a column of the mean as numbers."""
    if isinstance(column, (Numeric, Logical)):
        return column.as_float()
    if isinstance(column, Factor):
        raise DataError(
            f"{text} in the mean is a factor; put it on a parameter, fixed={{{parameters[0]!r}: '~ {text}'}}"
            f", or use its levels, ifelse({text} == {column.levels[0]!r}, ...)"
        )
    raise DataError(f"{text} in the mean must be one number a row; it is a matrix")


@dataclass(frozen=True, slots=True)
class BoundMean:
    """A mean on the rows of one table.

    Attributes
    ----------
    expression : MeanExpression
        What it is.
    data : ndarray, shape (D, n)
        Its variables.
    functions : mapping
        Functions from `env`.
    n_rows : int
        Number of rows, n.
    programs : dict
        Order of derivatives -> the program that computes them, once it was asked for.
    """

    expression: MeanExpression
    data: FloatArray
    functions: Mapping[str, UserFunction]
    n_rows: int
    programs: dict[int, Recorded] = field(default_factory=dict, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[BoundMean], tuple[Any, ...]]:
        """Copy without the programs, which are made anew."""
        return BoundMean, (self.expression, self.data, self.functions, self.n_rows)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the K parameters, in the order of the rows of phi."""
        return self.expression.parameters

    @property
    def is_periodic(self) -> bool:
        """Whether a sine or its like stands in it, or a function from `env`, which may have one."""
        return any(step.operation in PERIODIC for step in self.expression.steps)

    def repeated(self, rows: IntArray, times: int) -> BoundMean | None:
        """Return the mean on some rows, all of them several times over; None with functions from `env`."""
        if self.functions:
            return None
        return BoundMean(self.expression, np.tile(self.data[:, rows], times), {}, len(rows) * times)

    def value(self, phi: FloatArray) -> FloatArray:
        """Return the mean, shape (n,), at parameters of shape (K, n)."""
        return np.asarray(self._derivatives(phi, 0)[0])

    def jacobian(self, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean, shape (n,), and its derivatives, shape (K, n)."""
        found = self._derivatives(phi, 1)
        return found[0], found[1:]

    def hessian(self, phi: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the mean, its derivatives, and its second derivatives, shape (K, K, n)."""
        K, found = len(self.parameters), self._derivatives(phi, 2)
        return found[0], found[1 : K + 1], found[K + 1 :].reshape(K, K, self.n_rows)

    def check_functions(self, phi: FloatArray) -> None:
        """Raise where the derivatives of a function from `env` are wrong.

        Raises
        ------
        FormulaError
            Naming the function and its argument.
        """
        if not self.functions:
            return
        with np.errstate(all="ignore"):
            jets = results(self.expression.steps, self._sources(phi), 0)
            for step in self.expression.steps:
                if step.operation == "function":
                    values = [jets[i].value for i in step.operands]
                    self.functions[step.name].check(step.active, step.keywords, values)

    def _sources(self, phi: FloatArray) -> Sources:
        return Sources(self.expression.numbers, list(self.data), list(phi), self.functions)

    def _derivatives(self, phi: FloatArray, order: int) -> FloatArray:
        """Return the mean and its derivatives up to an order, one below the other, see :func:`_placed`."""
        expression, K = self.expression, len(self.parameters)
        with np.errstate(all="ignore"):
            if not self.functions:
                if order not in self.programs:
                    self.programs[order] = _recorded(
                        expression.steps, expression.numbers, len(self.data), K, order
                    )
                return self.programs[order].run(self.data, phi)
            # A function of the caller may do anything, and so cannot be recorded.
            jet = results(expression.steps, self._sources(phi), order)[-1]
            found = np.zeros((_n_placed(K, order), self.n_rows))
            for row, values in _placed(jet, K):
                found[row] = values
            return found


def _n_placed(K: int, order: int) -> int:
    """Return the number of values and derivatives up to an order."""
    return (1, 1 + K, 1 + K + K * K)[order]


def _placed(jet: Jet, K: int) -> Iterator[tuple[int, Numbers]]:
    """Yield value and derivatives in K parameters with their places: value, gradient, rows of the Hessian."""
    yield 0, jet.value
    for k, values in jet.first.items():
        yield 1 + k, values
    for (k, m), values in jet.second.items():
        for row, column in {(k, m), (m, k)}:
            yield 1 + K + row * K + column, values


@dataclass(frozen=True, slots=True)
class Sources:
    """What the steps of a mean take from outside: numbers, data, parameters, and functions from `env`."""

    numbers: Sequence[float]
    data: Sequence[Numbers]
    phi: Sequence[Numbers]
    functions: Mapping[str, UserFunction]


def results(steps: Sequence[Step], sources: Sources, order: int) -> list[Jet]:
    """Return the results of all steps of a mean, with derivatives up to `order`."""
    found: list[Jet] = []
    for step in steps:
        found.append(_result(step, found, sources, order))
    return found


def _result(step: Step, found: list[Jet], sources: Sources, order: int) -> Jet:
    operation = step.operation
    if operation == "data":
        return constant(sources.data[step.index])
    if operation == "number":
        return constant(sources.numbers[step.index])
    if operation == "parameter":
        return parameter(step.index, sources.phi[step.index])
    arguments = [found[i] for i in step.operands]
    values = [argument.value for argument in arguments]
    if operation == "function":
        partials = sources.functions[step.name].partials(order, step.active, step.keywords, values)
    elif operation in SMOOTH:
        partials = SMOOTH[operation].partials(values[0], order)
    else:
        partials = SEVERAL[operation](order, *values)
    return compose(partials, arguments, order)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A mean with its derivatives as a program.

    Attributes
    ----------
    program : Program
        From data and parameters to value and derivatives that are not zero.
    encoded : Encoded or None
        The same for the compiled loop over rows, if that knows all its functions.
    places : int32 ndarray, shape (n_outputs, 2)
        Register of each result, and its place as of :func:`_placed`.
    n_placed : int
        Number of these places.
    """

    program: Program
    encoded: Encoded | None
    places: CodeArray
    n_placed: int

    def run(self, data: FloatArray, phi: FloatArray) -> FloatArray:
        """Return the mean and its derivatives at data (D, n) and parameters (K, n), (n_placed, n)."""
        code = self.encoded
        if code is not None:
            return curve_program.run_program(
                code.operations, code.places, code.numbers, data, np.ascontiguousarray(phi), self.places,
                self.n_placed, code.n_registers,
            )  # fmt: skip
        found = np.zeros((self.n_placed, phi.shape[1]))
        for (_, place), values in zip(self.places, self.program.run([*data, *phi]), strict=True):
            found[place] = values
        return found


@lru_cache(maxsize=128)
def _recorded(
    steps: tuple[Step, ...], numbers: tuple[float, ...], n_data: int, K: int, order: int
) -> Recorded:
    """Return a mean as a program, worked out once for equal means."""
    recorder = Recorder(n_data + K)
    inputs = [recorder.input(i) for i in range(n_data + K)]
    jet = results(steps, Sources(numbers, inputs[:n_data], inputs[n_data:], {}), order)[-1]
    rows, outputs = zip(*_placed(jet, K), strict=True)
    program = recorder.program(outputs)
    places = np.column_stack([program.outputs, rows]).astype(np.int32)
    return Recorded(program, Encoded.of(program), places, _n_placed(K, order))


def read_mean(node: Node, parameters: tuple[str, ...], evaluator: Evaluator) -> MeanExpression:
    """Return the mean that an expression is.

    Parameters
    ----------
    node : Node
        The expression.
    parameters : tuple of str
        Which of its names are parameters.
    evaluator : Evaluator
        The table, for everything else.

    Raises
    ------
    FormulaError
        Where a function of a parameter is unknown or has no derivative, with a caret under it.
    """
    reader = _Reader(parameters, evaluator)
    reader.step(node)
    return MeanExpression(
        deparse(node), parameters, tuple(reader.steps), reader.variables, tuple(reader.numbers)
    )


@dataclass(slots=True)
class _Reader:
    """Turn a syntax tree into steps."""

    parameters: tuple[str, ...]
    evaluator: Evaluator
    steps: list[Step] = field(default_factory=list)
    variables: dict[str, Node] = field(default_factory=dict)
    numbers: list[float] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)

    def step(self, node: Node) -> int:
        """Return the step whose result an expression is, the same one for equal expressions."""
        node = strip_parens(node)
        text = deparse(node)
        if text not in self.known:
            self.known[text] = self.varying(node) if self.holds_parameter(node) else self.fixed(node, text)
        return self.known[text]

    def add(self, step: Step) -> int:
        """Append a step."""
        self.steps.append(step)
        return len(self.steps) - 1

    def holds_parameter(self, node: Node) -> bool:
        """Tell whether an expression depends on a parameter."""
        return any(name.name in self.parameters for name in names_in(node))

    def fixed(self, node: Node, text: str) -> int:
        """Return the step of an expression without parameters: a number, or what a table says."""
        frame, env = self.evaluator.frame, self.evaluator.env
        names = {name.name for name in names_in(node)}
        if all(n in CONSTANTS and n not in frame and n not in env for n in names):
            value = self.evaluator.value(node)
            if not isinstance(value, (float, int, bool)):
                self.fail(node, f"'{text}' is not a number")
            self.numbers.append(float(value))
            return self.add(Step("number", index=len(self.numbers) - 1))
        self.variables[text] = node
        return self.add(Step("data", index=len(self.variables) - 1))

    def varying(self, node: Node) -> int:
        """Return the step of an expression that depends on parameters."""
        if isinstance(node, Name):
            return self.add(Step("parameter", index=self.parameters.index(node.name)))
        if isinstance(node, Unary):
            operand = self.step(node.operand)
            return operand if node.operator == "+" else self.add(Step(f"unary {node.operator}", (operand,)))
        if isinstance(node, Binary):
            return self.sum(node) if is_sum(node) else self.operation(node)
        assert isinstance(node, Call)
        return self.call(node)

    def sum(self, node: Node) -> int:
        """Return the step of a chain of sums, in a loop because it may be long."""
        (_, first, _), *rest = sum_operands(node)
        total = self.step(first)
        for sign, operand, _ in rest:
            total = self.add(Step(sign, (total, self.step(operand))))
        return total

    def operation(self, node: Binary) -> int:
        """Return the step of an operation other than a sum."""
        if node.operator not in SEVERAL:
            self.fail(
                node, f"'{node.operator}' has no meaning in a mean, which is arithmetic; write * or ifelse()"
            )
        operator = node.operator
        exponent_of = self.logistic_exponent(node)
        if exponent_of is not None:
            return self.logistic(node, exponent_of)
        if operator == "^":
            base, exponent = self.holds_parameter(node.left), self.holds_parameter(node.right)
            operator = operator if base and exponent else POWER_OF if base else TO_POWER
        return self.add(Step(operator, (self.step(node.left), self.step(node.right))))

    def logistic_exponent(self, node: Binary) -> Node | None:
        """Return u of ``a / (1 + exp(u))``; None for any other operation."""
        if node.operator != "/" or not self.holds_parameter(node.right):
            return None
        parts = sum_operands(strip_parens(node.right))
        operands = [strip_parens(part) for _, part, _ in parts]
        ones = [part for part in operands if isinstance(part, Number) and part.value == 1]
        powers = [part for part in operands if isinstance(part, Call) and part.function == "exp"]
        differs = "exp" in self.evaluator.env or any(sign != "+" for sign, _, _ in parts)
        if differs or len(operands) != 2 or not ones or not powers or len(powers[0].arguments) != 1:
            return None
        return powers[0].arguments[0].value

    def logistic(self, node: Binary, u: Node) -> int:
        """Return the step of ``a / (1 + exp(u))`` by plogis(), which does not overflow."""
        if deparse(strip_parens(node.left)) == deparse(call("exp", (Argument(None, u),))):
            return self.step(call("plogis", (Argument(None, u),)))
        falling = self.step(call("plogis", (Argument(None, unary("-", paren(u))),)))
        return self.add(Step("*", (self.step(node.left), falling)))

    def call(self, node: Call) -> int:
        """Return the step of a function of parameters."""
        name = node.function.rpartition("::")[2]
        if UserFunction.of(node.function, self.evaluator.env.get(node.function)) is not None:
            return self.user_function(node)
        if is_self_starting(node.function):
            return self.step(expand_self_starting(node, self.evaluator.text))
        if name in ("pmin", "pmax") and node.arguments:
            return self.chain(name, node)
        if name in _FORMALS:
            return self.of_several(name, node)
        if name not in SMOOTH and name not in _TRANSPARENT:
            self.refuse(node, name)
        if len(node.arguments) != 1:
            self.fail(node, f"{name}() of a parameter has one argument")
        argument = self.step(node.arguments[0].value)
        return argument if name in _TRANSPARENT else self.add(Step(name, (argument,)))

    def chain(self, name: str, node: Call) -> int:
        """Return the step of ``pmin`` or ``pmax`` of any number of arguments."""
        total, *rest = (self.step(argument.value) for argument in node.arguments)
        for other in rest:
            total = self.add(Step(name, (total, other)))
        return total

    def of_several(self, name: str, node: Call) -> int:
        """Return the step of ``ifelse()`` or ``log()``."""
        if name == "log" and len(node.arguments) == 1:
            return self.add(Step("log", (self.step(node.arguments[0].value),)))
        given = matched(node, _FORMALS[name], self.evaluator.text)
        operands = tuple(self.step(given[formal]) for formal in _FORMALS[name])
        if name == "ifelse":
            return self.add(Step("ifelse", operands))
        logs = tuple(self.add(Step("log", (operand,))) for operand in operands)
        return self.add(Step("/", logs))

    def user_function(self, node: Call) -> int:
        """Return the step of a function from `env`."""
        operands = tuple(self.step(argument.value) for argument in node.arguments)
        holds = [self.holds_parameter(argument.value) for argument in node.arguments]
        return self.add(
            Step(
                "function",
                operands,
                name=node.function,
                active=tuple(i for i, h in enumerate(holds) if h),
                keywords=tuple(argument.name for argument in node.arguments),
            )
        )

    def refuse(self, node: Call, name: str) -> NoReturn:
        """Raise for a function that cannot be applied to a parameter."""
        if name in FUNCTIONS or name in VARIADIC:
            held = listed(p for p in self.parameters if any(n.name == p for n in names_in(node)))
            self.fail(
                node, f"{name}() cannot be applied to a parameter of the mean ({held}): it has no derivative"
            )
        known = [*SMOOTH, *_FORMALS, "pmin", "pmax", *SELF_STARTING]
        self.fail(node, unknown_function(name, [k for k in known if " " not in k], with_bar=False))

    def fail(self, node: Node, message: str) -> NoReturn:
        """Raise a FormulaError that points at `node`."""
        raise FormulaError(message, self.evaluator.text, start_of(node))
