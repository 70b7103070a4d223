"""What marginal means are asked for: ``"treatment"``, ``["a", "b"]``, ``"~ a | b"``, ``"pairwise ~ a"``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mixedmodels.advice import shown
from mixedmodels.errors import ControlError, listed
from mixedmodels.formula.language.parse import parse_expression
from mixedmodels.formula.language.syntax_tree import names_in


@dataclass(frozen=True, slots=True)
class Specs:
    """The variables of marginal means.

    Attributes
    ----------
    factors : tuple of str
        Variables whose levels the means are of; empty for one mean of all.
    by : tuple of str
        Variables whose levels divide them into families.
    contrast : str or None
        Method of contrasts asked for with them.
    """

    factors: tuple[str, ...]
    by: tuple[str, ...]
    contrast: str | None = None


def parse_specs(specs: Any, by: Any, known: Iterable[str]) -> Specs:
    """Return the variables that `specs` and `by` name.

    Raises
    ------
    ControlError
        If a name is not among `known`, or nothing can be read from `specs`.
    """
    names = list(known)
    factors, own_by, method = _read(specs, names)
    by_names = [name for name in [*own_by, *_names(by, "by", names)] if name not in factors]
    unknown = [name for name in (*factors, *by_names) if name not in names]
    if unknown:
        raise ControlError(
            f"the fixed effects have no variable {listed(map(repr, unknown))}; they have "
            f"{listed(names) or 'none'}. (Levels of grouping factors are in ranef().)"
        )
    return Specs(tuple(factors), tuple(dict.fromkeys(by_names)), method)


def _read(specs: Any, known: list[str]) -> tuple[list[str], list[str], str | None]:
    """Return the factors, what stands behind the bar, and the method before the tilde."""
    if not isinstance(specs, str) or specs in known:
        return _names(specs, "specs", known), [], None
    method, tilde, right = specs.rpartition("~")
    left, _, behind = right.partition("|")
    return (
        _names(left, "specs", known),
        _names(behind, "by", known),
        (method.strip() or None) if tilde else None,
    )


def _names(given: Any, argument: str, known: list[str]) -> list[str]:
    """Return the names in an expression such as ``a * b`` (none in ``1``), or those of a list."""
    if given is None:
        return []
    if isinstance(given, str):
        if given in known:
            return [given]
        text = given.strip()
        return list(dict.fromkeys(name.name for name in names_in(parse_expression(text)))) if text else []
    if isinstance(given, Iterable):
        names = list(given)
        if all(isinstance(name, str) for name in names):
            return list(dict.fromkeys(names))
    raise ControlError(f"{argument} must be the name of a variable, or a list of names, not {shown(given)}.")
