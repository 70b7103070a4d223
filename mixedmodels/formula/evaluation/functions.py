"""The functions a formula may call: a closed table, each with its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import DataError, FormulaError, MixedModelsError, listed
from mixedmodels.formula.evaluation import transforms
from mixedmodels.formula.evaluation.arguments import BoundCall, Function, match_arguments
from mixedmodels.formula.evaluation.columns import Factor, Logical, Matrix, Numeric, Value, interaction
from mixedmodels.formula.evaluation.contrast_calls import contrast
from mixedmodels.formula.evaluation.evaluate import Evaluator
from mixedmodels.formula.evaluation.read_column import column_of
from mixedmodels.formula.language.bars import holds_bar
from mixedmodels.formula.language.syntax_tree import Call, Name, deparse

with on_first_use():
    from mixedmodels.formula.evaluation import unknown_functions


def apply_function(call: Call, context: Evaluator) -> Value:
    """Return the value of a call of a known function, or of one from `env`."""
    if call.function in context.env and callable(context.env[call.function]):
        return _apply_user_function(call, context)
    name = _without_package(call.function)
    function = FUNCTIONS.get(name)
    if function is None and name not in VARIADIC:
        known = [*FUNCTIONS, *VARIADIC]
        message = unknown_functions.unknown_function(name, known, holds_bar(call))
        raise FormulaError(message, context.text, call.position)
    try:
        if function is None:
            return VARIADIC[name](call, context)
        return function.apply(BoundCall(call, match_arguments(call, function, context), context))
    except MixedModelsError:
        raise
    except (TypeError, ValueError, ArithmeticError) as error:  # from NumPy and SciPy, about odd arguments
        message = f"{deparse(call)} cannot be computed: {error}"
        raise FormulaError(message, context.text, call.position) from error


def _without_package(name: str) -> str:
    """Return ``ns`` for ``splines::ns``, as pasted from R."""
    package, _, function = name.rpartition("::")
    return function if package in _PACKAGES else name


def _apply_user_function(call: Call, context: Evaluator) -> Value:
    """Call a function the caller passed in `env` on arrays."""
    arguments, keywords = [], {}
    for argument in call.arguments:
        value = context.value(argument.value)
        array: Any = value
        if isinstance(value, Numeric):
            array = value.values if value.absent is None else value.as_float()
        elif isinstance(value, (Logical, Matrix)):
            array = value.values
        elif isinstance(value, Factor):
            array = np.array([*value.levels, None], dtype=object)[value.codes]
        if argument.name is None:
            arguments.append(array)
        else:
            keywords[argument.name] = array
    try:
        result = context.env[call.function](*arguments, **keywords)
    except Exception as error:
        raise DataError(f"{deparse(call)} failed: {error}") from error
    if isinstance(result, (int, float, np.number)):
        return float(result)
    return column_of(result, deparse(call))


def _elementwise(function: Callable[[Any], Any]) -> Function:
    """Return a function of one numeric argument, applied to each element."""

    def apply(bound: BoundCall) -> Value:
        with np.errstate(all="ignore"):
            return bound.context.wrap(function(bound.number("x")))

    return Function(("x",), apply)


def _log(bound: BoundCall) -> Value:
    with np.errstate(all="ignore"):
        values = np.log(bound.number("x"))
        return bound.context.wrap(values / np.log(bound.number("base")) if bound.has("base") else values)


def _round(bound: BoundCall) -> Value:
    return bound.context.wrap(np.round(bound.number("x"), bound.count("digits", 0) or 0))


def _quantile(bound: BoundCall) -> Value:
    """Return quantiles of the training data, R's default (type 7)."""
    probabilities = bound.numbers("probs") or (0.0, 0.25, 0.5, 0.75, 1.0)
    if not all(0 <= p <= 1 for p in probabilities):
        bound.fail("probs must lie between 0 and 1", "probs")

    def train() -> tuple[float, ...]:
        x = bound.vector("x")
        return tuple(np.quantile(x[~np.isnan(x)], probabilities).tolist())

    found: tuple[float, ...] = bound.state(train)
    return found


def _ave(bound: BoundCall) -> Value:
    """Return the mean of each row's group in the training data, R's ``ave``."""
    x = bound.vector("x")
    groups = bound.factor("by") if bound.has("by") else Factor(np.zeros(len(x), dtype=np.int32), ("all",))

    def train() -> dict[str, float]:
        known = (groups.codes >= 0) & ~np.isnan(x)
        counts = np.bincount(groups.codes[known], minlength=len(groups.levels))
        sums = np.bincount(groups.codes[known], x[known], minlength=len(groups.levels))
        return dict(zip(groups.levels, (sums / np.maximum(counts, 1)).tolist(), strict=True))

    means: dict[str, float] = bound.state(train)
    return Numeric(np.array([*(means.get(level, np.nan) for level in groups.levels), np.nan])[groups.codes])


def _dummy(bound: BoundCall) -> Value:
    """Return lme4's ``dummy``: indicators of some levels, by default of all but the first."""
    factor = bound.factor("f")
    levels = bound.state(lambda: factor.levels)
    kept = bound.strings("levelsToKeep") or levels[1:]
    for level in kept:
        if level not in levels:
            bound.fail(f"'{level}' is not a level of {deparse(bound.nodes['f'])}: {listed(levels)}", "f")
    table = np.array([[float(level == name) for name in kept] for level in factor.levels])
    return Matrix(np.vstack([table, np.full(len(kept), np.nan)])[factor.codes], kept)


def _identity(bound: BoundCall) -> Value:
    return bound.value("x")


def _as_numeric(bound: BoundCall) -> Value:
    """Return numbers; of a factor its codes from 1, of strings the numbers they spell, as R does."""
    value = bound.value("x")
    if isinstance(value, Numeric):
        return value
    if isinstance(value, Factor) and value.is_text:
        return Numeric(np.array([*map(_spelled, value.levels), np.nan])[value.codes])
    if isinstance(value, Factor) and not value.is_date:
        return Numeric(np.where(value.codes < 0, np.nan, value.codes + 1.0))
    return bound.context.wrap(bound.context.number(value, bound.nodes["x"]))


def _spelled(text: str) -> float:
    """Return the number that a string spells, NaN when it spells none."""
    try:
        return float(text)
    except ValueError:
        return np.nan


def _as_integer(bound: BoundCall) -> Value:
    value = _as_numeric(bound)
    if isinstance(value, Numeric) and value.values.dtype.kind in "iu":
        return value
    return bound.context.wrap(np.trunc(bound.context.number(value, bound.nodes["x"])))


def _as_character(bound: BoundCall) -> Value:
    factor = bound.factor("x")
    order = np.argsort(np.array(factor.levels, dtype=object))
    rank = np.empty(len(order) + 1, dtype=np.int32)
    rank[order] = np.arange(len(order))
    rank[-1] = -1
    return Factor(rank[factor.codes], tuple(factor.levels[i] for i in order), is_text=True)


def _as_logical(bound: BoundCall) -> Value:
    return bound.context.logical(bound.value("x"), bound.nodes["x"])


def _factor(bound: BoundCall) -> Value:
    value = bound.value("x")
    if isinstance(value, Factor):
        base = value if bound.has("levels") or not bound.context.training else value.drop_unused()
        result = replace(base, is_text=False, is_date=False)
    else:
        result = bound.factor("x")
    levels = bound.strings("levels")
    if levels is not None:
        result = _select_levels(result, levels)
    labels = bound.strings("labels")
    if labels is not None:
        result = _relabel(bound, result, labels)
    return replace(result, ordered=bound.flag("ordered", result.ordered))


def _relabel(bound: BoundCall, factor: Factor, labels: tuple[str, ...]) -> Factor:
    """Return `factor` with its training levels renamed to `labels`."""
    original = bound.state(lambda: factor.levels)
    if len(labels) != len(original):
        bound.fail(f"{len(labels)} labels for {len(original)} levels", "labels")
    renamed = dict(zip(original, labels, strict=True))
    distinct = tuple(dict.fromkeys(labels))
    extended = distinct + tuple(level for level in factor.levels if level not in renamed)
    table = [extended.index(renamed.get(level, level)) for level in factor.levels]
    return Factor(np.array([*table, -1], dtype=np.int32)[factor.codes], extended, factor.ordered)


def _select_levels(factor: Factor, levels: tuple[str, ...]) -> Factor:
    """Return `factor` with exactly `levels`; other values become missing."""
    position = {level: i for i, level in enumerate(levels)}
    table = [position.get(level, -1) for level in factor.levels]
    return Factor(np.array([*table, -1], dtype=np.int32)[factor.codes], tuple(position), factor.ordered)


def _ordered(bound: BoundCall) -> Value:
    factor = _factor(bound)
    assert isinstance(factor, Factor)
    return replace(factor, ordered=True)


def _relevel(bound: BoundCall) -> Value:
    factor = bound.factor("x")
    references = bound.strings("ref") or ("",)
    reference = references[0]
    if reference not in factor.levels:
        if not bound.context.training:
            return factor
        bound.fail(
            f"'{reference}' is not a level of {deparse(bound.nodes['x'])}: {listed(factor.levels)}", "ref"
        )
    if factor.ordered:
        bound.fail("relevel() is for unordered factors", "x")
    levels = (reference, *(level for level in factor.levels if level != reference))
    return replace(_select_levels(factor, levels), ordered=False)


def _is_na(bound: BoundCall) -> Value:
    value = bound.value("x")
    if isinstance(value, (Numeric, Logical, Factor)):
        missing = value.missing()
        return Logical(np.zeros(len(value), dtype=bool) if missing is None else missing)
    bound.fail("is.na() needs a variable", "x")


def _ifelse(bound: BoundCall) -> Value:
    if not (bound.has("yes") and bound.has("no")):
        bound.fail("ifelse() needs a test and two values")
    test = bound.context.logical(bound.value("test"), bound.nodes["test"])
    yes, no = bound.value("yes"), bound.value("no")
    if isinstance(yes, str) and isinstance(no, str):
        levels = tuple(sorted({yes, no}))
        codes = np.where(test.values, levels.index(yes), levels.index(no)).astype(np.int32)
        if test.absent is not None:
            codes[test.absent] = -1
        return Factor(codes, levels, is_text=True)
    numbers = np.where(
        test.values,
        bound.context.operand(yes, bound.nodes["yes"]),
        bound.context.operand(no, bound.nodes["no"]),
    )
    if test.absent is not None:
        numbers = numbers.astype(object if numbers.dtype.kind == "i" else numbers.dtype)
        numbers[test.absent] = np.nan
    return bound.context.wrap(numbers)


def _summary(function: Callable[[FloatArray], Any]) -> Function:
    """Return a function of a whole variable; on new data the value of the training data is recalled."""

    def apply(bound: BoundCall) -> Value:
        def train() -> float:
            values = bound.vector("x")
            known = values[~np.isnan(values)] if bound.flag("na.rm", False) else values
            return float(function(known)) if len(known) else float("nan")

        return float(bound.state(train))

    return Function(("x", "na.rm"), apply)


def _cbind(call: Call, context: Evaluator) -> Value:
    """Return columns side by side; a plain variable names its column, as in R."""
    blocks: list[FloatArray] = []
    names: list[str] = []
    for argument in call.arguments:
        values = context.number(context.value(argument.value), argument.value)
        block = np.asarray(values, dtype=np.float64)
        if block.ndim == 0:
            block = np.full(context.frame.n_rows, float(block))
        block = block[:, None] if block.ndim == 1 else block
        blocks.append(block)
        plain = argument.value.name if isinstance(argument.value, Name) else ""
        own = argument.name or plain
        names += [own] if block.shape[1] == 1 else [f"{own}{k + 1}" for k in range(block.shape[1])]
    if not blocks:
        context.fail(call, "cbind() needs an argument")
    return Matrix(np.concatenate(blocks, axis=1), tuple(names))


def _combine(call: Call, context: Evaluator) -> Value:
    """Return ``c(...)`` of numbers or strings."""
    items: list[Any] = []
    for argument in call.arguments:
        value = context.value(argument.value)
        if isinstance(value, tuple):
            items += value
        elif isinstance(value, (float, int, str)):
            items.append(value)
        elif isinstance(value, Numeric) and len(call.arguments) == 1:
            return value  # c(scale(x)): in R the way to a plain vector
        else:
            context.fail(argument.value, "c() joins single numbers or strings")
    return tuple(items)


def _interaction(call: Call, context: Evaluator) -> Value:
    """Return R's ``interaction(a, b)``: names joined by a dot, the first factor varying fastest."""
    separator, reverse = ".", True
    factors: list[Factor] = []
    for argument in call.arguments:
        if argument.name == "sep":
            separator = str(context.value(argument.value))
        elif argument.name == "lex.order":
            reverse = context.value(argument.value) is not True
        elif argument.name not in ("drop", None):
            context.fail(argument.value, f"interaction() has no argument '{argument.name}'")
        elif argument.name is None:
            factors.append(context.factor(context.value(argument.value), argument.value))
    if not factors:
        context.fail(call, "interaction() needs factors")
    result = factors[0]
    for factor in factors[1:]:
        result = interaction(result, factor, separator, first_fastest=reverse)
    return result


def _extreme(function: Callable[..., Any]) -> Callable[[Call, Evaluator], Value]:
    """Return ``pmin`` or ``pmax``."""

    def apply(call: Call, context: Evaluator) -> Value:
        values = [context.number(context.value(a.value), a.value) for a in call.arguments]
        if not values:
            context.fail(call, f"{call.function}() needs an argument")
        result = values[0]
        for value in values[1:]:
            result = function(result, value)
        return context.wrap(result)

    return apply


def _misplaced_offset(call: Call, context: Evaluator) -> Value:
    context.fail(call, "offset() can only be a term of its own in the fixed part")


# Packages whose functions may be written package::function.
_PACKAGES = ("base", "stats", "splines", "lme4", "reformulas", "MASS")

VARIADIC: dict[str, Callable[[Call, Evaluator], Value]] = {
    "c": _combine,
    "cbind": _cbind,
    "interaction": _interaction,
    "pmin": _extreme(np.minimum),
    "pmax": _extreme(np.maximum),
    "offset": _misplaced_offset,
}

_ELEMENTWISE: dict[str, Callable[[Any], Any]] = {
    "log2": np.log2, "log10": np.log10, "log1p": np.log1p, "exp": np.exp, "expm1": np.expm1,
    "sqrt": np.sqrt, "abs": np.abs, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "plogis": expit, "qlogis": logit, "pnorm": ndtr, "qnorm": ndtri,
    "floor": np.floor, "ceiling": np.ceil, "trunc": np.trunc, "sign": np.sign,
}  # fmt: skip

FUNCTIONS: dict[str, Function] = {
    **{name: _elementwise(function) for name, function in _ELEMENTWISE.items()},
    "log": Function(("x", "base"), _log),
    "round": Function(("x", "digits"), _round),
    "I": Function(("x",), _identity),
    "identity": Function(("x",), _identity),
    "as.numeric": Function(("x",), _as_numeric),
    "as.double": Function(("x",), _as_numeric),
    "as.integer": Function(("x",), _as_integer),
    "as.character": Function(("x",), _as_character),
    "as.logical": Function(("x",), _as_logical),
    "factor": Function(("x", "levels", "labels", "exclude", "ordered"), _factor),
    "as.factor": Function(("x",), _factor),
    "as_factor": Function(("x",), _factor),
    "ordered": Function(("x", "levels", "labels"), _ordered),
    "as.ordered": Function(("x",), _ordered),
    "relevel": Function(("x", "ref"), _relevel),
    "C": Function(("object", "contr", "how.many", "base"), contrast),
    "is.na": Function(("x",), _is_na),
    "ifelse": Function(("test", "yes", "no"), _ifelse),
    "mean": _summary(np.mean),
    "median": _summary(np.median),
    "sd": _summary(lambda x: np.std(x, ddof=1)),
    "var": _summary(lambda x: np.var(x, ddof=1)),
    "min": _summary(np.min),
    "max": _summary(np.max),
    "sum": _summary(np.sum),
    "quantile": Function(("x", "probs"), _quantile),
    "ave": Function(("x", "by"), _ave),
    "dummy": Function(("f", "levelsToKeep"), _dummy),
    "poly": Function(("x", "degree", "coefs", "raw", "simple"), transforms.poly),
    "scale": Function(("x", "center", "scale"), transforms.scale),
    "center": Function(("x",), transforms.center),
    "cut": Function(
        ("x", "breaks", "labels", "include.lowest", "right", "dig.lab", "ordered_result"), transforms.cut
    ),
    "bs": Function(("x", "df", "knots", "degree", "intercept", "Boundary.knots"), transforms.bs),
    "ns": Function(("x", "df", "knots", "intercept", "Boundary.knots"), transforms.ns),
}
