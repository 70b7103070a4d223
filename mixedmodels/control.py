"""Options of a fit: checked once, when they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar, get_args

from mixedmodels.errors import ControlError

Check = Literal["stop", "warning", "ignore"]


@dataclass(frozen=True, slots=True)
class LmerControl:
    """Options of :func:`mixedmodels.lmer`.

    Parameters
    ----------
    check_nobs_vs_nlev : {"stop", "warning", "ignore"}
        What to do when a grouping factor has as many levels as there are observations.
    check_nlev_gtr_1 : {"stop", "warning", "ignore"}
        What to do when a grouping factor has one level only.
    check_nobs_vs_nRE : {"stop", "warning", "ignore"}
        What to do when a term has as many random effects as there are observations.

    Raises
    ------
    ControlError
        If an option has a value that is not among those allowed.
    """

    check_nobs_vs_nlev: Check = "stop"
    check_nlev_gtr_1: Check = "stop"
    check_nobs_vs_nRE: Check = "stop"

    def __post_init__(self) -> None:
        """Check every option."""
        for name in ("check_nobs_vs_nlev", "check_nlev_gtr_1", "check_nobs_vs_nRE"):
            one_of(name, getattr(self, name), get_args(Check))


@dataclass(frozen=True, slots=True)
class GlmerControl(LmerControl):
    """Options of :func:`mixedmodels.glmer`; the same as those of :class:`LmerControl`."""


ControlT = TypeVar("ControlT", bound=LmerControl)


def one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raise ControlError, listing what is allowed, unless `value` is in `allowed`."""
    if value not in allowed:
        raise ControlError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}.")


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
        raise ControlError(f"control must be a {kind.__name__} or a dict of its options, not {control!r}.")
    allowed = [f.name for f in fields(kind)]
    unknown = [name for name in control if name not in allowed]
    if unknown:
        raise ControlError(f"unknown option {unknown[0]!r} in control; options are {', '.join(allowed)}.")
    return kind(**control)
