"""Whether the sums of two designs may be added."""

from __future__ import annotations

from typing import Any

from mixedmodels.errors import DataError
from mixedmodels.formula.design.chunks import StreamDesign


def refuse_other_design(one: StreamDesign, other: StreamDesign) -> None:
    """Raise where two designs do not make the same columns.

    Raises
    ------
    DataError
        That names what differs.
    """
    a, b = one.blueprint, other.blueprint
    for what, here, there in (
        ("formula", str(a.request.formula), str(b.request.formula)),
        ("weights", a.request.weights, b.request.weights),
        ("offset", a.request.offset, b.request.offset),
        ("columns of the fixed effects", one.fixed.names, other.fixed.names),
        ("columns of the random effects", _random_names(one), _random_names(other)),
    ):
        if here != there:
            raise DataError(
                f"moments of two designs cannot be added: the {what} of one: {here}; of the other: {there}."
            )
    for text in {*a.states.transforms, *b.states.transforms}:
        if not _alike(a.states.transforms.get(text), b.states.transforms.get(text)):
            raise DataError(
                f"moments cannot be added: {text} has learnt other numbers from each of the sources. Write "
                "the numbers into the formula, as in I((x - 10) / 2), or pass one source of all rows."
            )
    for text in {*a.used, *b.used}:
        if a.used.get(text) != b.used.get(text):
            raise DataError(
                f"moments cannot be added: the levels of {text} differ, {a.used.get(text)} and "
                f"{b.used.get(text)}. Give all of them to both: moments(..., levels={...})."
            )


def _random_names(design: StreamDesign) -> tuple[Any, ...]:
    return tuple((term.group, term.expression, term.columns) for term in design.terms)


def _alike(a: Any, b: Any) -> bool:
    """Tell whether two states of a transformation are the same."""
    return repr(a) == repr(b)
