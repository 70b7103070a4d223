"""Coefficients of the contrasts of a set of means, by name: pairwise, poly, trt.vs.ctrl and their like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.arrays import FloatArray
from mixedmodels.control import whole_number
from mixedmodels.errors import ControlError, listed

# Polynomials beyond this degree are seldom wanted and hardly estimable (emmeans).
HIGHEST_DEGREE = 6
# Orthogonal polynomials are scaled to whole numbers: until none is further from one than this (emmeans).
WHOLE = 0.05
# Coefficients below this are zeros of an orthogonal polynomial.
SMALLEST_COEFFICIENT = 0.01
_DEGREES = ("linear", "quadratic", "cubic", "quartic")
# A contrast's coefficients sum to zero, up to this share of the largest.
SUM_OF_CONTRAST = 1e-6


@dataclass(frozen=True, slots=True)
class ContrastCoefficients:
    """Named contrasts of a set of means.

    Attributes
    ----------
    names : tuple of str
        Their names.
    C : ndarray, shape (contrasts, means)
        Their coefficients.
    adjust : str
        Adjustment of p-values that suits them.
    all_pairs : bool
        Whether they are all pairwise differences.
    """

    names: tuple[str, ...]
    C: FloatArray
    adjust: str
    all_pairs: bool = False

    @property
    def are_contrasts(self) -> bool:
        """Whether the coefficients of each sum to zero."""
        if not len(self.C):
            return False
        largest = SUM_OF_CONTRAST + np.abs(self.C).max(axis=1)
        return bool((np.abs(self.C.sum(axis=1)) < SUM_OF_CONTRAST * largest).all())


@dataclass(frozen=True, slots=True)
class Levels:
    """The means to contrast.

    Attributes
    ----------
    names : tuple of str
        Names as contrasts show them, in parentheses where they hold a sign.
    raw : tuple of str
        Names as they are typed.
    """

    names: tuple[str, ...]
    raw: tuple[str, ...]

    def position(self, key: Any, argument: str) -> list[int]:
        """Return the places of levels given by name, or by number from 0.

        Raises
        ------
        ControlError
            If there is no such level.
        """
        keys = [key] if isinstance(key, (str, int, np.integer)) else list(key)
        found = []
        for item in keys:
            if isinstance(item, str) and item in self.raw:
                found.append(self.raw.index(item))
            elif isinstance(item, (int, np.integer)) and -len(self.raw) <= item < len(self.raw):
                found.append(int(item) % len(self.raw))
            else:
                raise ControlError(
                    f"{argument}={shown(item)} is no level to contrast; they are {listed(self.raw)} "
                    "(by name, or by number counted from 0)."
                )
        return found


def contrast_coefficients(method: Any, levels: Levels, options: Mapping[str, Any]) -> ContrastCoefficients:
    """Return the contrasts of a method.

    Parameters
    ----------
    method : str, dict, callable or array_like
        A name of `METHODS`; name -> coefficients; a function of the names of the levels that returns such a
        dict; or a matrix with one contrast a row.
    levels : Levels
        The means.
    options : mapping
        ``reverse``, ``ref``, ``exclude`` and ``max_degree``, for the methods that know them.

    Raises
    ------
    ControlError
        If the method, or an option of it, is unknown, or the coefficients do not fit the means.
    """
    if isinstance(method, str):
        return _named(method, levels, options)
    if options:
        raise ControlError(
            f"{next(iter(options))} is an option of the named methods of contrast; write coefficients of "
            "your own as you want them."
        )
    given = method(list(levels.raw)) if callable(method) else method
    if not isinstance(given, (Mapping, Sequence, np.ndarray, pd.DataFrame)):
        raise ControlError(
            f"method must be one of {', '.join(map(repr, METHODS))}, or coefficients such as "
            f"{{'a - b': [1, -1]}}, not {shown(given)}."
        )
    if isinstance(given, Mapping):
        rows = {str(name): _coefficients(row, name, levels) for name, row in given.items()}
    else:
        matrix = np.atleast_2d(np.asarray(given, dtype=np.float64))
        rows = {f"C{i + 1}": _coefficients(row, f"row {i + 1}", levels) for i, row in enumerate(matrix)}
    if not rows:
        raise ControlError("there is no contrast: give a dict such as {'a - b': [1, -1]}.")
    return ContrastCoefficients(tuple(rows), np.array(list(rows.values())), "none")


def _coefficients(row: Any, name: Any, levels: Levels) -> FloatArray:
    try:
        found = np.asarray(row, dtype=np.float64)
    except (TypeError, ValueError):
        raise ControlError(f"contrast {name!r} must have numbers, not {shown(row)}.") from None
    if found.shape != (len(levels.raw),):
        raise ControlError(
            f"contrast {name!r} has {found.size} coefficients; there are {len(levels.raw)} means to "
            f"contrast: {listed(levels.raw)}."
        )
    if not np.isfinite(found).all() or not found.any():
        raise ControlError(f"contrast {name!r} must have finite numbers that are not all zero, not {found}.")
    return found


def _named(method: str, levels: Levels, options: Mapping[str, Any]) -> ContrastCoefficients:
    name = {
        "tukey": "pairwise",
        "dunnett": "trt.vs.ctrl",
        "trt_vs_ctrl": "trt.vs.ctrl",
        "del_eff": "del.eff",
    }.get(method, method)
    if name not in METHODS:
        raise ControlError(
            f"method must be one of {', '.join(map(repr, METHODS))}, or coefficients, not {method!r}."
        )
    function, known = METHODS[name]
    unknown = [option for option in options if option not in known]
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise ControlError(f"contrasts by {name!r} have no option {unknown[0]!r}; {has}.")
    return function(levels, **options)


def _active(levels: Levels, exclude: Any) -> list[int]:
    out = levels.position(exclude, "exclude")
    return [i for i in range(len(levels.names)) if i not in out]


def _pairs(levels: Levels, order: Sequence[tuple[int, int]]) -> ContrastCoefficients:
    C = np.zeros((len(order), len(levels.names)))
    for row, (i, j) in enumerate(order):
        C[row, i], C[row, j] = 1.0, -1.0
    names = tuple(f"{levels.names[i]} - {levels.names[j]}" for i, j in order)
    return ContrastCoefficients(names, C, "tukey", all_pairs=True)


def _pairwise(levels: Levels, reverse: bool = False, exclude: Any = ()) -> ContrastCoefficients:
    active = _active(levels, exclude)
    if reverse:
        return _pairs(levels, [(i, j) for i in active for j in active if j < i])
    return _pairs(levels, [(i, j) for i in active for j in active if i < j])


def _revpairwise(levels: Levels, exclude: Any = ()) -> ContrastCoefficients:
    return _pairwise(levels, reverse=True, exclude=exclude)


def _consecutive(levels: Levels, reverse: bool = False, exclude: Any = ()) -> ContrastCoefficients:
    active = _active(levels, exclude)
    steps = [(i, j) if reverse else (j, i) for i, j in pairwise(active)]
    pairs = _pairs(levels, steps)
    return ContrastCoefficients(pairs.names, pairs.C, "mvt")


def _to_control(
    levels: Levels, ref: Any = 0, reverse: bool = False, exclude: Any = ()
) -> ContrastCoefficients:
    """Return every mean less that of the reference levels."""
    reference = levels.position(ref, "ref")
    active = [i for i in _active(levels, exclude) if i not in reference]
    base = levels.names[reference[0]]
    if len(reference) > 1:
        base = f"avg({','.join(levels.names[i] for i in reference)})"
    C = np.zeros((len(active), len(levels.names)))
    C[:, reference] = -1.0 / len(reference)
    C[np.arange(len(active)), active] = 1.0
    names = [f"{base} - {levels.names[i]}" if reverse else f"{levels.names[i]} - {base}" for i in active]
    return ContrastCoefficients(tuple(names), -C if reverse else C, "dunnettx")


def _to_last(levels: Levels, reverse: bool = False, exclude: Any = ()) -> ContrastCoefficients:
    return _to_control(levels, ref=-1, reverse=reverse, exclude=exclude)


def _effects(levels: Levels, exclude: Any = ()) -> ContrastCoefficients:
    """Return every mean less the mean of all."""
    active = _active(levels, exclude)
    C = np.zeros((len(active), len(levels.names)))
    C[:, active] = np.eye(len(active)) - 1.0 / len(active)
    return ContrastCoefficients(tuple(f"{levels.names[i]} effect" for i in active), C, "fdr")


def _deleted_effects(levels: Levels, exclude: Any = ()) -> ContrastCoefficients:
    """Return every mean less the mean of the others."""
    found = _effects(levels, exclude)
    active = len(found.C)
    return ContrastCoefficients(found.names, found.C * active / max(active - 1, 1), "fdr")


def _mean_changes(levels: Levels, reverse: bool = False, exclude: Any = ()) -> ContrastCoefficients:
    """Return the mean of the later levels less that of the earlier ones, at every cut."""
    active = _active(levels, exclude)
    k = len(active)
    C = np.zeros((k - 1, len(levels.names)))
    for cut in range(1, k):
        C[cut - 1, active[:cut]] = -1.0 / cut
        C[cut - 1, active[cut:]] = 1.0 / (k - cut)
    names = tuple(f"{levels.names[i]}|{levels.names[j]}" for i, j in pairwise(active))
    return ContrastCoefficients(names, -C if reverse else C, "mvt")


def _identity(levels: Levels, exclude: Any = ()) -> ContrastCoefficients:
    active = _active(levels, exclude)
    return ContrastCoefficients(
        tuple(levels.names[i] for i in active), np.eye(len(levels.names))[active], "none"
    )


def _polynomial(levels: Levels, max_degree: int | None = None) -> ContrastCoefficients:
    """Return orthogonal polynomials over equal steps, scaled to whole numbers as printed tables have them."""
    k = len(levels.names)
    if max_degree is not None:
        whole_number("max_degree", max_degree, 1)
    degree = min(HIGHEST_DEGREE, k - 1) if max_degree is None else min(max_degree, k - 1)
    x = np.arange(k) - 0.5 * (k - 1)
    Q, R = np.linalg.qr(np.vander(x, degree + 1, increasing=True))
    orthogonal = (Q * np.sign(np.diag(R))).T[1:]
    C = np.array([_whole_numbers(row) for row in orthogonal]).reshape(degree, k)
    names = [_DEGREES[d] if d < len(_DEGREES) else f"degree {d + 1}" for d in range(degree)]
    return ContrastCoefficients(tuple(names), C, "none")


def _whole_numbers(row: FloatArray) -> FloatArray:
    scaled = row / row[row > SMALLEST_COEFFICIENT].min()
    while (off := np.abs(scaled - np.round(scaled)).max()) > WHOLE:
        scaled = scaled / off
    return np.asarray(np.round(scaled))


#: Name -> the function of the levels, and the options it has.
METHODS: dict[str, tuple[Callable[..., ContrastCoefficients], tuple[str, ...]]] = {
    "pairwise": (_pairwise, ("reverse", "exclude")),
    "revpairwise": (_revpairwise, ("exclude",)),
    "poly": (_polynomial, ("max_degree",)),
    "trt.vs.ctrl": (_to_control, ("ref", "reverse", "exclude")),
    "trt.vs.ctrlk": (_to_last, ("reverse", "exclude")),
    "consec": (_consecutive, ("reverse", "exclude")),
    "eff": (_effects, ("exclude",)),
    "del.eff": (_deleted_effects, ("exclude",)),
    "mean_chg": (_mean_changes, ("reverse", "exclude")),
    "identity": (_identity, ("exclude",)),
}
