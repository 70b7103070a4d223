"""``C(f, ...)``: a factor with a coding attached, every argument of the coding checked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mixedmodels.deferred import on_first_use
from mixedmodels.errors import listed
from mixedmodels.formula.evaluation.arguments import BoundCall
from mixedmodels.formula.evaluation.columns import Factor, Matrix, Value
from mixedmodels.formula.language.syntax_tree import Argument, Call, Name, deparse

with on_first_use():
    from mixedmodels.formula.evaluation import contrasts as contrast_coding

if TYPE_CHECKING:
    from mixedmodels.formula.evaluation.contrasts import Contrast

# R's first argument is the number of levels, patsy's the reference level; both languages are understood.
_BASE_NAMES = ("base", "reference", "ref")
_FLAGS = {"contrasts": True, "sparse": False}


def contrast(bound: BoundCall) -> Value:
    """Return ``C(f, contr.sum)``: the factor with a coding attached."""
    factor = bound.factor("object")
    if bound.has("how.many"):
        bound.fail("C() takes a factor, a contrast and base", "how.many")
    if not bound.context.training or not (bound.has("contr") or bound.has("base")):
        return factor
    found = _named(bound, factor) if bound.has("contr") else contrast_coding.default_contrast(factor.ordered)
    if bound.has("base"):
        found = _with_base(bound, found, bound.value("base"), factor)
    return replace(factor, contrast=found)


def _named(bound: BoundCall, factor: Factor) -> Contrast:
    """Return the contrast that the second argument of ``C()`` names."""
    name = deparse(bound.nodes["object"])
    node = bound.nodes["contr"]
    env = bound.context.env
    if isinstance(node, Name):
        return contrast_coding.as_contrast(env.get(node.name, node.name), name)
    if not isinstance(node, Call) or node.function in env:
        value = bound.value("contr")
        return contrast_coding.as_contrast(value.values if isinstance(value, Matrix) else value, name)
    found = contrast_coding.as_contrast(node.function, name)
    places = ["n", "base"] if found.name == "contr.treatment" else ["n"]
    for argument in node.arguments:
        if argument.name not in (None, "n", *_BASE_NAMES, *_FLAGS):
            bound.fail(f"{node.function}() takes n and base, not {argument.name}", "contr")
        found = _with_argument(bound, found, argument, places, factor)
    return found


def _with_argument(
    bound: BoundCall, found: Contrast, argument: Argument, places: list[str], factor: Factor
) -> Contrast:
    """Return a contrast with one argument of its call taken in; `places` are the parameters still free."""
    value = bound.context.value(argument.value)
    name = argument.name or (places.pop(0) if places else "")
    if name in _BASE_NAMES:
        return _with_base(bound, found, value, factor)
    if name in _FLAGS and value is _FLAGS[name]:
        return found
    if name == "n" and isinstance(value, str):
        return _with_base(bound, found, value, factor)
    if name == "n" and value == len(factor.levels):
        return replace(found, by_number=True)
    if name == "n" and isinstance(value, tuple) and set(map(str, value)) == set(factor.levels):
        return found
    text = ("" if argument.name is None else f"{argument.name} = ") + deparse(argument.value)
    takes = "the reference level" if found.name == "contr.treatment" else "the number of levels"
    bound.fail(
        f"{found.name} takes {takes}, not {text}; {deparse(bound.nodes['object'])} has "
        f"{len(factor.levels)} levels: {listed(factor.levels)}",
        "contr",
    )


def _with_base(bound: BoundCall, found: Contrast, value: Value, factor: Factor) -> Contrast:
    """Return treatment contrasts with the reference level given by name or by position from 1."""
    levels, shown = factor.levels, listed(factor.levels)
    of = f"{deparse(bound.nodes['object'])}: {shown}"
    if found.name != "contr.treatment":
        bound.fail(
            f"{found.name} has no reference level; contr.treatment has one, and factor(x, levels = c(...)) "
            f"puts the levels in another order. The levels are {shown}",
            "contr",
        )
    if isinstance(value, str):
        if value not in levels:
            bound.fail(f"'{value}' is not a level of {of}", "contr")
        return replace(found, base=value)
    position = value if isinstance(value, float) and value.is_integer() else 0.0
    if not 1 <= position <= len(levels):
        bound.fail(f"base must be a level, or its number from 1, of {of}", "contr")
    return replace(found, base=levels[int(position) - 1])
