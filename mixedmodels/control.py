"""Options of a fit: checked once, when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from mixedmodels.advice import shown, unknown_option
from mixedmodels.arrays import FloatArray
from mixedmodels.errors import ControlError

Check = Literal["stop", "warning", "ignore"]
CHECKS = get_args(Check)
#: Which information about the covariance parameters Kenward and Roger's method takes: SAS's, or pbkrtest's.
Information = Literal["observed", "expected"]
INFORMATION = get_args(Information)


@dataclass(frozen=True, slots=True)
class LmerControl:
    """Options of :func:`mixedmodels.lmer`.

    Parameters
    ----------
    check_random_terms : {"stop", "warning", "ignore"}
        What to do when a grouping factor has one level, as many levels as there are observations, or a
        term as many random effects.
    check_rank : {"warning", "stop", "ignore"}
        What to do when columns of the fixed-effects matrix depend on others; they are dropped unless this
        is "stop".
    n_threads : int, optional
        Threads of the fit: of the BLAS, where dense parts of the system have a thousand rows or more, and of
        loops over the levels of one grouping factor (binomial and Poisson models with canonical link) with
        tens of thousands of rows. Estimates are the same to the last bit or two. By default the BLAS takes
        the threads that it is set to, and loops take one.

    Raises
    ------
    ControlError
        If an option has a value that is not among those allowed.
    """

    check_random_terms: Check = "stop"
    check_rank: Check = "warning"
    n_threads: int | None = None

    def __post_init__(self) -> None:
        """Check every option."""
        for name in ("check_random_terms", "check_rank"):
            one_of(name, getattr(self, name), CHECKS)
        if self.n_threads is not None:
            whole_number("n_threads", self.n_threads, 1)


@dataclass(frozen=True, slots=True)
class GlmerControl(LmerControl):
    """Options of :func:`mixedmodels.glmer`; the same as those of :class:`LmerControl`."""


Start = npt.ArrayLike | Mapping[str, npt.ArrayLike] | None


def starting_values(start: Start, name: str, size: int, allowed: tuple[str, ...]) -> FloatArray | None:
    """Return the starting values called `name`, None if they were not given; a lone array is theta.

    Raises
    ------
    ControlError
        If a name is not among those allowed, or the values are not `size` finite numbers.
    """
    if start is None:
        return None
    given = dict(start) if isinstance(start, Mapping) else {"theta": start}
    wrong = [str(key) for key in given if key not in allowed]
    if wrong:
        expected = " and/or ".join(map(repr, allowed))
        raise ControlError(f"bad name(s) for start: {', '.join(wrong)}; should be {expected}.")
    if name not in given:
        return None
    try:
        values = np.atleast_1d(np.asarray(given[name], dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ControlError(f"start of {name} must be numbers, not {given[name]!r}.") from error
    if values.shape != (size,):
        raise ControlError(f"start of {name} has length {values.size}, but the model has {size} of them.")
    if not np.isfinite(values).all():
        raise ControlError(f"start of {name} must be finite, not {given[name]!r}.")
    return values


def whole_number(name: str, value: object, least: int = 0) -> int:
    """Return `value` as an int.

    Raises
    ------
    ControlError
        If it is not a whole number, `least` or more.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least:
        return int(value)
    raise ControlError(f"{name} must be a whole number, {least} or more, not {value!r}.")


def real_number(name: str, value: object, least: float = 0.0) -> float:
    """Return `value` as a float; infinity is a number.

    Raises
    ------
    ControlError
        If it is not a number larger than `least`.
    """
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:  # an integer of Python beyond all doubles
            number = np.inf if int(value) > 0 else -np.inf
        if number > least:
            return number
    raise ControlError(f"{name} must be a number larger than {least:g}, not {shown(value)}.")


def tolerance(name: str, value: object) -> float:
    """Return `value` as a float.

    Raises
    ------
    ControlError
        If it is not a finite number, 0 or more.
    """
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if number and 0.0 <= value < np.inf:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise ControlError(f"{name} must be a number, 0 or more, not {shown(value)}.")


def true_or_false(**flags: object) -> None:
    """Raise ControlError, in its name, unless every flag is True or False."""
    for name, value in flags.items():
        one_of(name, value, (True, False))


ControlT = TypeVar("ControlT", bound=LmerControl)


def one_of(name: str, value: object, allowed: tuple[object, ...], hint: str = "") -> None:
    """Raise ControlError, listing what is allowed and adding `hint`, unless `value` is in `allowed`."""
    # Only a single value can be compared: a Series or an array has no one truth value.
    single = value is None or isinstance(value, (str, bool, int, float, np.generic))
    if not single or value not in allowed:
        raise ControlError(
            f"{name} must be one of {', '.join(map(repr, allowed))}, not {shown(value)}{hint}."
        )


def as_control(control: ControlT | Mapping[str, Any] | None, kind: type[ControlT]) -> ControlT:
    """Return the options as an object of `kind`, made from a mapping or the defaults where needed.

    Raises
    ------
    ControlError
        If an option is unknown, or `control` is something else.
    """
    if control is None:
        return kind()
    if isinstance(control, kind):
        return control
    if not isinstance(control, Mapping):
        raise ControlError(
            f"control must be a {kind.__name__} or a dict of its options, not {shown(control)}."
        )
    allowed = [f.name for f in fields(kind)]
    unknown = [name for name in control if name not in allowed]
    if unknown:
        raise unknown_option(unknown[0], allowed)
    return kind(**control)
