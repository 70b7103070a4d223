"""Which parameters of a model an argument names: by name, by number, or all of a kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mixedmodels.advice import shown
from mixedmodels.errors import ControlError, listed
from mixedmodels.inference.profile.parameters import Parameter

#: Words for all fixed effects and for all others, as in lme4.
ALL_FIXED, ALL_OTHERS = "beta_", "theta_"


def selected(parameters: Sequence[Parameter], asked: Any, argument: str) -> list[Parameter]:
    """Return the parameters that an argument names; all for None.

    Parameters
    ----------
    parameters : sequence of Parameter
        Those of the model.
    asked : str, int or sequence of them, optional
        Names, long or short, numbers counted from 0 in the order of the table, ``"beta_"`` for the fixed
        effects, ``"theta_"`` for all others.
    argument : str
        Name of the argument, for messages.

    Raises
    ------
    ControlError
        If the model has no such parameter; the message lists those it has.
    """
    if asked is None:
        return list(parameters)
    single = isinstance(asked, str) or not isinstance(asked, Iterable)
    if not single and not list(asked):
        raise ControlError(f"{argument} names no parameter; leave it out for all of them.")
    chosen: list[Parameter] = []
    for name in [asked] if single else list(asked):
        chosen += [p for p in _named(parameters, name, argument) if not any(p is q for q in chosen)]
    return chosen


def _named(parameters: Sequence[Parameter], name: Any, argument: str) -> list[Parameter]:
    if isinstance(name, (int, np.integer)) and not isinstance(name, (bool, np.bool_)):
        if -len(parameters) <= name < len(parameters):
            return [parameters[int(name)]]
        raise ControlError(
            f"{argument}={name} is no parameter of this model, which has {len(parameters)}, counted from 0."
        )
    if isinstance(name, str) and name in (ALL_FIXED, ALL_OTHERS):
        return [p for p in parameters if (p.kind == "fixed") == (name == ALL_FIXED)]
    found = [p for p in parameters if isinstance(name, str) and name in (p.name, p.signame)]
    if found:
        return found
    names = listed(p.label for p in parameters)
    raise ControlError(
        f"{argument} {shown(name)} is not a parameter of this model; they are {names}, or "
        f"'{ALL_FIXED}' for all fixed effects and '{ALL_OTHERS}' for all others."
    )
