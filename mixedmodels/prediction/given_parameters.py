"""Parameters of a model as people state them: by name or in order, theta or deviations and correlations."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mixedmodels.advice import SIMILAR, shown
from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.control import real_number
from mixedmodels.covariance.deviations import deviation_places, theta_of_deviations
from mixedmodels.covariance.triangle import lower_triangle
from mixedmodels.errors import ControlError, listed
from mixedmodels.families.family import Family
from mixedmodels.fits.specified import Parameters
from mixedmodels.formula.design.design import Design, RandomTerm
from mixedmodels.formula.design.theta import theta_names, theta_slices

#: What parameters go by.
KINDS = ("beta", "theta", "sd", "cor", "sigma", "phi")
#: A correlation matrix is symmetric with a unit diagonal within this.
ROUNDING = 1e-8


def read_parameters(
    design: Design, family: Family | None, given: Mapping[str, Any], base: Parameters | None = None
) -> Parameters:
    """Return the parameters of a model.

    Parameters
    ----------
    design : Design
        The model.
    family : Family or None
        Its family; None for a linear model.
    given : mapping
        What was stated, by `KINDS`; None stands for nothing.
    base : Parameters, optional
        Values of what is not stated; by default everything must be.

    Raises
    ------
    ControlError
        If something is missing, unknown or impossible; the message lists the names expected.
    """
    given = {str(kind): value for kind, value in given.items() if value is not None}
    _refuse_unknown_kinds(given)
    beta = _values(
        given.get("beta"), "beta", "fixed effects", design.x_names, None if base is None else base.beta
    )
    sigma, phi = _scale(family, given, base)
    if not design.random:
        return Parameters(beta, _no_covariance(given), sigma, phi)
    return Parameters(beta, _theta(design.random, given, sigma, base), sigma, phi)


def _refuse_unknown_kinds(given: Mapping[str, Any]) -> None:
    for kind in given:
        if kind not in KINDS:
            raise ControlError(
                f"{kind!r} is no kind of parameter; they are {', '.join(KINDS[:-1])} and {KINDS[-1]}, as in "
                "newparams={'beta': {'x': 0.5}, 'sigma': 2}."
            )
    if "theta" in given and ("sd" in given or "cor" in given):
        raise ControlError("theta states the same as sd and cor: give theta, or the other two.")


def _no_covariance(given: Mapping[str, Any]) -> FloatArray:
    stated = [kind for kind in ("theta", "sd", "cor") if kind in given]
    if stated:
        raise ControlError(f"the model has no random effects that {stated[0]} could be about; leave it out.")
    return np.empty(0)


# Sigma and the family's own.


def _deviation(sigma: object) -> float:
    """Return the residual standard deviation, a finite one."""
    value = real_number("sigma", sigma)
    if not np.isfinite(value):
        raise ControlError("sigma must be a finite number, not inf.")
    return value


def _scale(
    family: Family | None, given: Mapping[str, Any], base: Parameters | None
) -> tuple[float, FloatArray]:
    """Return sigma and the parameters of the family."""
    if family is None:
        if "phi" in given:
            raise ControlError("a linear model has no phi; its residual standard deviation is sigma=.")
        if "sigma" in given:
            return _deviation(given["sigma"]), np.empty(0)
        if base is None:
            raise ControlError("sigma is missing: the residual standard deviation, as in sigma=1.")
        return base.sigma, np.empty(0)
    if "sigma" in given:
        if not family.has_dispersion:
            own = (
                f"its own parameters are phi: {listed(family.phi_names)}"
                if family.phi_names
                else "leave it out"
            )
            raise ControlError(f"the {family.name} family has no sigma; {own}.")
        if "phi" in given:
            raise ControlError("sigma is the square root of the dispersion, phi: give one of them.")
        given = {"phi": _deviation(given["sigma"]) ** 2}
    what = f"parameters of the {family.name} family"
    phi = _values(given.get("phi"), "phi", what, family.phi_names, None if base is None else base.phi)
    with np.errstate(all="ignore"):
        inside = np.isfinite(family.phi_to_free(phi)).all()
    if not inside:
        raise ControlError(f"phi, the {what} ({listed(family.phi_names)}), is out of range: {phi.tolist()}.")
    return 1.0 if base is None else base.sigma, phi


# Values by name or in order.


def _values(given: Any, kind: str, what: str, names: Sequence[str], base: FloatArray | None) -> FloatArray:
    """Return one number for each name, those not stated from `base`.

    Raises
    ------
    ControlError
        If a name is unknown, or a number is missing.
    """
    if given is None:
        if base is not None or not names:
            return np.empty(0) if base is None else base
        raise ControlError(f"{kind} is missing: the {what} are {listed(names)}.")
    if isinstance(given, pd.Series) and not isinstance(given.index, pd.RangeIndex):
        given = given.to_dict()
    if not isinstance(given, Mapping):
        return _in_order(given, kind, what, names)
    _refuse_unknown(given, kind, what, names)
    absent = [name for name in names if name not in given]
    if absent and base is None:
        raise ControlError(f"{kind} lacks {listed(absent)}; the {what} are {listed(names)}.")
    values = np.full(len(names), np.nan) if base is None else base.copy()
    for name, value in given.items():
        values[list(names).index(name)] = _number(value, f"{kind} of {name}")
    return values


def _in_order(given: Any, kind: str, what: str, names: Sequence[str]) -> FloatArray:
    try:
        values = np.atleast_1d(np.asarray(given, dtype=np.float64)).ravel()
    except (TypeError, ValueError):
        raise ControlError(
            f"{kind} must be numbers in the order of the {what} ({listed(names)}), or a dict of some of "
            f"these names, not {shown(given)}."
        ) from None
    if len(values) != len(names):
        raise ControlError(
            f"{kind} has {len(values)} number{'s' * (len(values) != 1)}, and there are {len(names)} {what}: "
            f"{listed(names) if names else 'none'}."
        )
    for name, value in zip(names, values, strict=True):
        _number(value, f"{kind} of {name}")
    return values


def _number(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise ControlError(f"{what} must be a finite number, not {shown(value)}.")
    return number


def _refuse_unknown(given: Iterable[Any], kind: str, what: str, names: Sequence[str]) -> None:
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1, cutoff=SIMILAR)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ControlError(
                f"{kind} has no {name!r}; the {what} are {listed(names) if names else 'none'}.{hint}"
            )


# The covariance of the random effects.


@dataclass(frozen=True, slots=True)
class _TermParts:
    """The parameters of one term as tables name them: which are deviations, and their names."""

    term: RandomTerm
    is_sd: BoolArray

    @property
    def names(self) -> list[str]:
        return list(self.term.structure.parameter_names(self.term.columns))

    def of(self, kind: str) -> list[int]:
        """Return the numbers of the deviations, or of the correlations."""
        return np.flatnonzero(self.is_sd == (kind == "sd")).tolist()


def _theta(
    terms: Sequence[RandomTerm], given: Mapping[str, Any], sigma: float, base: Parameters | None
) -> FloatArray:
    if not ("sd" in given or "cor" in given):
        if "theta" not in given and base is None:
            raise ControlError(_missing_covariance(terms))
        theta = _values(given.get("theta"), "theta", "covariance parameters", theta_names(tuple(terms)),
                        None if base is None else base.theta)  # fmt: skip
        return _checked_theta(terms, theta)
    if base is None and "sd" not in given:
        raise ControlError(_missing_covariance(terms))
    parts = [_TermParts(term, _deviation_places(term)) for term in terms]
    known = None if base is None else [_stated(part, base, own) for part, own in _with_theta(parts, base)]
    sd = _of_kind(parts, "sd", given.get("sd"), known)
    cor = _of_kind(parts, "cor", given.get("cor", {}), known)
    found = []
    for part, deviations, correlations in zip(parts, sd, cor, strict=True):
        if (deviations < 0.0).any():
            raise ControlError(f"sd of {part.term.label} must not be negative: {deviations.tolist()}.")
        if (np.abs(correlations) > 1.0).any():
            raise ControlError(
                f"cor of {part.term.label} lies between -1 and 1, not {correlations.tolist()}."
            )
        values = np.empty(len(part.is_sd))
        values[part.of("sd")], values[part.of("cor")] = deviations, correlations
        own = theta_of_deviations(part.term.structure, values, sigma)
        if own is None:
            raise ControlError(
                f"the correlations of {part.term.label} contradict each other: no effects have them all. "
                f"They are {listed(part.names[k] for k in part.of('cor'))}."
            )
        found.append(own)
    return _checked_theta(terms, np.concatenate(found))


def _with_theta(parts: Sequence[_TermParts], base: Parameters) -> list[tuple[_TermParts, FloatArray]]:
    slices = theta_slices([part.term for part in parts])
    return [(part, base.theta[own]) for part, own in zip(parts, slices, strict=True)]


def _missing_covariance(terms: Sequence[RandomTerm]) -> str:
    names = {term.label: list(term.columns) for term in terms}
    listing = "; ".join(f"{label}: {listed(columns)}" for label, columns in names.items())
    example = next(iter(names))
    return (
        "the covariance of the random effects is missing: give standard deviations, as in "
        f"sd={{{example!r}: {[1.0] * len(names[example])}}}, with cor= where they are correlated, or theta. "
        f"The terms are {listing}."
    )


def _deviation_places(term: RandomTerm) -> BoolArray:
    places = deviation_places(term.structure)
    if places is None:
        raise ControlError(
            f"the covariance structure {term.structure.name!r} of {term.label} has no standard deviations to "
            "state; give theta."
        )
    return places


def _stated(part: _TermParts, base: Parameters, theta: FloatArray) -> FloatArray:
    """Return deviations and correlations of a term at its theta; the inverse of `theta_of_deviations`."""
    if not part.term.structure.is_unstructured:
        return np.where(part.is_sd, base.sigma * theta, theta)
    T = part.term.structure.factor(theta)
    sd = np.sqrt(np.einsum("ij,ij->i", T, T))
    unit = T / np.where(sd > 0.0, sd, 1.0)[:, None]
    rows, columns = lower_triangle(part.term.size)
    values = (unit @ unit.T)[rows, columns]
    return np.where(part.is_sd, base.sigma * sd[rows], values)


def _of_kind(
    parts: Sequence[_TermParts], kind: str, given: Any, known: Sequence[FloatArray] | None
) -> list[FloatArray]:
    """Return the deviations or the correlations of every term."""
    base = [
        values[part.of(kind)] if known is not None else np.zeros(len(part.of(kind)))
        for part, values in zip(parts, known or [np.empty(0)] * len(parts), strict=True)
    ]
    # Effects whose correlation is not stated have none; deviations must be known.
    needs_all = kind == "sd" and known is None
    names = [[part.names[k] for k in part.of(kind)] for part in parts]
    what = "standard deviations" if kind == "sd" else "correlations"
    if given is None:
        return base
    if not isinstance(given, Mapping):
        flat = _matrix_or_values(given, kind, what, parts, [name for own in names for name in own])
        return np.split(flat, np.cumsum([len(own) for own in names])[:-1])
    stated = _by_term(parts, kind, given, what)
    found = []
    for part, own, values in zip(parts, names, base, strict=True):
        label = part.term.label
        if label not in stated:
            if needs_all and own:
                raise ControlError(f"sd lacks {label}, whose {what} are {listed(own)}.")
            found.append(values)
            continue
        value = stated[label]
        if np.ndim(value) == 2:
            value = _triangle(value, part.term)
        found.append(_values(value, f"{kind} of {label}", what, own, None if needs_all else values))
    return found


def _matrix_or_values(
    given: Any, kind: str, what: str, parts: Sequence[_TermParts], names: Sequence[str]
) -> FloatArray:
    """Return all deviations or correlations of a model in their order; a matrix is that of the only term."""
    if kind == "cor" and len(parts) == 1 and np.ndim(given) == 2:
        given = _triangle(given, parts[0].term)
    return _in_order(given, kind, what, names)


def _by_term(parts: Sequence[_TermParts], kind: str, given: Mapping[Any, Any], what: str) -> dict[str, Any]:
    """Return what is stated by the label of each term; the name of a factor may stand for all its terms."""
    labels = [part.term.label for part in parts]
    stated: dict[str, Any] = {}
    for key, value in given.items():
        own = [part for part in parts if part.term.group == key]
        others = [part.term.label for part in own if part.term.label != key]
        if len(own) < 2 or any(label in given for label in others):
            _refuse_unknown([key], kind, "random-effects terms", labels)
            stated[key] = value
            continue
        names = [part.names[k] for part in own for k in part.of(kind)]
        flat = _values(value, f"{kind} of {key}", what, names, None)
        pieces = np.split(flat, np.cumsum([len(part.of(kind)) for part in own])[:-1])
        stated |= {part.term.label: piece for part, piece in zip(own, pieces, strict=True)}
    return stated


def _triangle(matrix: Any, term: RandomTerm) -> FloatArray:
    """Return the correlations below the diagonal of a matrix, column by column."""
    try:
        R = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        R = np.empty(0)
    S = term.size
    if R.shape != (S, S) or np.abs(R - R.T).max() > ROUNDING or np.abs(R.diagonal() - 1.0).max() > ROUNDING:
        raise ControlError(
            f"a matrix of correlations of {term.label} is {S} x {S}, symmetric with ones on its diagonal, in "
            f"the order {listed(term.columns)}."
        )
    rows, columns = lower_triangle(S)
    below = rows != columns
    return np.asarray(R[rows[below], columns[below]])


def _checked_theta(terms: Sequence[RandomTerm], theta: FloatArray) -> FloatArray:
    """Return theta.

    Raises
    ------
    ControlError
        If an element is beyond a bound: a deviation below zero, a correlation that no effects have.
    """
    names = theta_names(tuple(terms))
    for term, own in zip(terms, theta_slices(terms), strict=True):
        bounded = np.array(term.structure.is_lower_bound())
        wrong = bounded & (theta[own] < 0.0)
        again = term.structure.from_free(term.structure.to_free(theta[own]))
        wrong |= ~(np.abs(again - theta[own]) <= ROUNDING * (1.0 + np.abs(theta[own])))
        if wrong.any():
            k = int(np.argmax(wrong))
            raise ControlError(
                f"{names[own.start + k]} cannot be {theta[own][k]:g}: a standard deviation is not negative, "
                "and a correlation lies between its bounds."
            )
    return theta
