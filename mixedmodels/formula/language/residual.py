"""Read ``residual="ar1(visit | subject)"``: which structure, over what, within which groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from mixedmodels.errors import FormulaError
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import (
    Argument,
    Binary,
    Call,
    Constant,
    Node,
    Number,
    binary,
    deparse,
    paren,
    start_of,
    strip_parens,
    sum_operands,
)

Option = float | bool


@dataclass(frozen=True, slots=True)
class StructureKind:
    """What is to be known of a structure before there are data.

    Attributes
    ----------
    base : str
        The correlation structure.
    by : {"levels", "steps", "coordinates"}
        What positions are: levels of a factor; whole numbers of equal steps; numbers with distances.
    heterogeneous : bool
        Whether each level has a standard deviation of its own, where ``hom=`` does not say otherwise.
    options : dict
        Further arguments, with their values where they are not given.
    ordered : bool
        Whether the order of the levels matters.
    """

    base: str
    by: str
    heterogeneous: bool = False
    options: Mapping[str, Option] = field(default_factory=dict)
    ordered: bool = True


_SPATIAL: Mapping[str, Option] = {"nugget": False}
STRUCTURES: Mapping[str, StructureKind] = {
    "us": StructureKind("us", "levels", True, ordered=False),
    "diag": StructureKind("diag", "levels", True, ordered=False),
    "cs": StructureKind("cs", "levels", ordered=False),
    "csh": StructureKind("cs", "levels", True, ordered=False),
    "ar1": StructureKind("ar1", "steps"),
    "ar1h": StructureKind("ar1", "steps", True),
    "toep": StructureKind("toep", "steps"),
    "toeph": StructureKind("toep", "steps", True),
    "ante": StructureKind("ante", "levels", True),
    "ad": StructureKind("ante", "levels"),
    "adh": StructureKind("ante", "levels", True),
    "arma": StructureKind("arma", "steps", options={"p": 0.0, "q": 0.0}),
    "car1": StructureKind("car1", "coordinates"),
    "exp": StructureKind("exp", "coordinates", options=_SPATIAL),
    "gau": StructureKind("gau", "coordinates", options=_SPATIAL),
    "mat": StructureKind("mat", "coordinates", options={**_SPATIAL, "nu": 0.0}),
    "spher": StructureKind("spher", "coordinates", options=_SPATIAL),
    "lin": StructureKind("lin", "coordinates", options=_SPATIAL),
    "ratio": StructureKind("ratio", "coordinates", options=_SPATIAL),
    "sp_exp": StructureKind("exp", "coordinates", options=_SPATIAL),
    "sp_gau": StructureKind("gau", "coordinates", options=_SPATIAL),
    "sp_pow": StructureKind("pow", "coordinates"),
}
# What other programs call them.
_FOREIGN = {
    "un": "us", "corSymm": "us", "corAR1": "ar1", "corCAR1": "car1", "corARMA": "arma", "corCompSymm": "cs",
    "corExp": "exp", "corGaus": "gau", "corLin": "lin", "corRatio": "ratio", "corSpher": "spher",
    "hetar1": "ar1h", "homdiag": "diag", "homtoep": "toep", "homcs": "cs", "ou": "car1", "cosy": "cs",
    "ar": "arma", "unstr": "us", "idh": "diag", "arh1": "ar1h", "ante1": "ante", "matern": "mat",
}  # fmt: skip
# Structures for which a formula without a bar is one series of rows, and not a slip.
_SERIES = ("ar1", "arma", "car1", "exp", "gau", "mat", "spher", "lin", "ratio", "pow")


@dataclass(frozen=True, slots=True, eq=False)
class ResidualCall:
    """A structure as it was asked for.

    Attributes
    ----------
    text : str
        As R would print it.
    kind : StructureKind
        Which structure.
    heterogeneous : bool
        Whether each level of time has a standard deviation of its own.
    times : tuple of Node
        Left side of the bar: the variable of time, or coordinates; empty for ``1``, the order of the rows.
    group : Node or None
        Rows of which are correlated; None where all rows are one group.
    arm : Node or None
        Each level of which has its own parameters.
    options : dict
        Further arguments.
    """

    text: str
    kind: StructureKind
    heterogeneous: bool
    times: tuple[Node, ...]
    group: Node | None
    arm: Node | None
    options: Mapping[str, Option]

    @property
    def time_name(self) -> str:
        """The left side of the bar as it is printed."""
        return " + ".join(map(deparse, self.times))

    @property
    def subject_name(self) -> str:
        """The variable whose rows are correlated, for messages: ``subject`` of ``arm / subject``."""
        if self.group is None:
            return "group"
        inner = self.group.right if self.arm is not None and isinstance(self.group, Binary) else self.group
        return deparse(strip_parens(inner))

    @property
    def formula(self) -> str:
        """The formula as nlme prints it."""
        group = "" if self.group is None else f" | {deparse(self.group)}"
        return f"~{self.time_name or '1'}{group}"

    def variables(self) -> dict[str, Node]:
        """Return printed expression -> expression of everything that has to be evaluated."""
        nodes = [*self.times, *(node for node in (self.group, self.arm) if node is not None)]
        return {deparse(node): node for node in nodes}


@lru_cache(maxsize=256)
def parse_residual(text: str) -> ResidualCall:
    """Return what ``residual=`` asks for.

    Raises
    ------
    FormulaError
        With a caret under the place.

    Examples
    --------
    >>> call = parse_residual("ar1(visit | subject)")
    >>> call.kind.base, call.formula
    ('ar1', '~visit | subject')
    """
    if not isinstance(text, str):
        raise FormulaError(f"residual= is a string such as 'ar1(visit | subject)', not {type(text).__name__}")
    return residual_call(parse_expression(text), text)


def residual_call(node: Node, text: str) -> ResidualCall:
    """Return what a call in the tree of a formula asks for, as ``us(visit | subject)`` in ``mmrm()``."""
    call = strip_parens(node)
    if not isinstance(call, Call) or call.function not in STRUCTURES:
        raise FormulaError(_unknown(call), text, start_of(call))
    kind = STRUCTURES[call.function]
    if not call.arguments or call.arguments[0].name is not None:
        raise FormulaError(f"{call.function}() begins with {_example(kind)}", text, call.position)
    times, group, arm = _sides(call, kind, text)
    options = _options(call, kind, text)
    homogeneous = options.pop("hom", not kind.heterogeneous)
    return ResidualCall(deparse(call), kind, not homogeneous, times, group, arm, options)


def _unknown(node: Node) -> str:
    """Return what is wrong with something that is no structure, and what was probably meant."""
    if isinstance(node, Call) and node.function in _FOREIGN:
        meant = _FOREIGN[node.function]
        return f"'{node.function}' is written {meant}() here, as in {meant}({_example(STRUCTURES[meant])})"
    what = f"'{node.function}' is" if isinstance(node, Call) else f"'{deparse(node)}' is"
    return (
        f"{what} no residual structure; they are {', '.join(f'{name}()' for name in STRUCTURES)}, "
        "as in ar1(visit | subject)"
    )


def _example(kind: StructureKind) -> str:
    return "x + y | group" if kind.by == "coordinates" and kind.base != "car1" else "visit | subject"


def _sides(call: Call, kind: StructureKind, text: str) -> tuple[tuple[Node, ...], Node | None, Node | None]:
    """Return the variables of time, the group and the arm of the first argument of a call."""
    inner = strip_parens(call.arguments[0].value)
    if isinstance(inner, Binary) and inner.operator == "||":
        raise FormulaError(f"'||' cannot stand inside {call.function}(); use '|'", text, inner.position)
    if not isinstance(inner, Binary) or inner.operator != "|":
        if kind.base not in _SERIES:
            example = f"{call.function}(visit | {deparse(inner)})"
            raise FormulaError(
                f"{call.function}() needs the groups within which rows are correlated, as in {example}",
                text,
                start_of(inner),
            )
        return _times(inner, kind, call, text), None, None
    times = _times(inner.left, kind, call, text)
    right = strip_parens(inner.right)
    if isinstance(right, Number):
        return times, None, None
    if isinstance(right, Binary) and right.operator == "/":
        arm, subject = strip_parens(right.left), strip_parens(right.right)
        _refuse_operators(arm, text)
        _refuse_operators(subject, text)
        inside = paren(subject) if isinstance(subject, Binary) else subject
        return times, binary(":", arm, inside, right.position), arm
    _refuse_operators(right, text)
    return times, right, None


def _refuse_operators(node: Node, text: str) -> None:
    """Raise where a grouping factor is neither a variable, nor a call, nor an interaction of such."""
    if isinstance(node, Binary) and node.operator != ":":
        raise FormulaError(
            f"'{deparse(node)}' is not one grouping factor: write g, a:b, or arm / subject for parameters by "
            "arm",
            text,
            node.position,
        )


def _times(node: Node, kind: StructureKind, call: Call, text: str) -> tuple[Node, ...]:
    """Return the variables of the left side of a bar; none for ``1``."""
    inner = strip_parens(node)
    operands = [(sign, strip_parens(part), at) for sign, part, at in sum_operands(inner)]
    operands = [(s, p, at) for s, p, at in operands if not (isinstance(p, Number) and p.value == 0)]
    if len(operands) == 1 and isinstance(operands[0][1], Number):
        return ()
    several = kind.by == "coordinates" and kind.base != "car1"
    if len(operands) > 1 and not several:
        raise FormulaError(
            f"{call.function}() takes one variable of time, as in {call.function}({_example(kind)})",
            text,
            operands[1][2],
        )
    if any(sign == "-" for sign, _, _ in operands):
        raise FormulaError("coordinates are added: x + y", text, start_of(inner))
    return tuple(part for _, part, _ in operands)


def _options(call: Call, kind: StructureKind, text: str) -> dict[str, Option]:
    """Return the further arguments of a call, those that are not given with their values."""
    known: dict[str, Option] = dict(kind.options)
    names = list(known)
    found = dict(known)
    for place, argument in enumerate(call.arguments[1:]):
        name = argument.name or (names[place] if place < len(names) else "")
        allowed = (*known, "hom") if kind.by != "coordinates" else tuple(known)
        if name not in allowed:
            takes = f"a bar, and {', '.join(f'{n}=' for n in allowed)}" if allowed else "only a bar"
            raise FormulaError(f"{call.function}() takes {takes}", text, start_of(argument.value))
        found[name] = _option(name, argument, call, text)
    if kind.base == "arma" and found["p"] + found["q"] == 0:
        raise FormulaError(
            "arma() needs its orders, as in arma(visit | subject, p = 1, q = 1)", text, call.position
        )
    return found


def _option(name: str, argument: Argument, call: Call, text: str) -> Option:
    """Return the value of an argument, of the type that it has to have."""
    value = strip_parens(argument.value)
    if name in ("hom", "nugget"):
        if isinstance(value, Constant) and value.value is not None:
            return value.value
        expected = "TRUE or FALSE"
    elif name in ("p", "q"):
        if isinstance(value, Number) and value.value in range(0, 21):
            return float(value.value)
        expected = "a whole number from 0 to 20"
    else:
        if isinstance(value, Number) and 0 < value.value < 100:
            return float(value.value)
        expected = "a positive number"
    raise FormulaError(f"{name} in {call.function}() must be {expected}", text, start_of(value))
