"""Confidence intervals of the parameters of a fit: ``confint(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.inference.profile.landscape import Landscape, landscape
from mixedmodels.inference.profile.limits import Limits, profile_limits
from mixedmodels.inference.profile.parameters import Parameter, fixed_parameters
from mixedmodels.inference.profile.selection import selected
from mixedmodels.inference.profile.wald_limits import wald_limits
from mixedmodels.inference.wald import check_level, wald_intervals
from mixedmodels.reports.html import preformatted
from mixedmodels.reports.numbers import format_numbers, percent_names
from mixedmodels.reports.text_tables import fill_line, text_matrix

Method: TypeAlias = Literal["profile", "Wald"]


class ConfidenceIntervals(pd.DataFrame):
    """A DataFrame of limits that prints as R prints them, with what is to be said of some in ``notes``."""

    _metadata = ["notes"]  # noqa: RUF012 (pandas reads this class attribute)
    notes: tuple[str, ...]

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        """Parts of the table are ordinary frames."""
        return pd.DataFrame

    def __repr__(self) -> str:
        columns = [format_numbers(self[name].to_numpy()) for name in self.columns]
        cells = list(zip(*columns, strict=True))
        text = text_matrix(cells, list(map(str, self.index)), list(self.columns), right=True)
        return "\n".join([text, *(fill_line(note.split(" ")) for note in self.notes)])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return preformatted(repr(self))


def confint(
    fit: Fit, parm: Any = None, level: float = 0.95, method: Method | None = None, signames: bool = True
) -> ConfidenceIntervals:
    """Return confidence intervals; parameters and errors as for :meth:`FittedModel.confint`."""
    check_level(level)
    chosen = _method(fit, method)
    if chosen == "wald":
        at, parameters = _wald_parameters(fit, parm)
        limits = _wald(fit, at, parameters, level)
    else:
        ml = landscape(fit.refitML())
        parameters = selected(ml.parameters, parm, "parm")
        limits = profile_limits(ml, parameters, level)
    names = [p.signame if signames else p.name for p in parameters]
    table = ConfidenceIntervals(limits.values, index=names, columns=list(percent_names(level)))
    table.notes = limits.notes
    return table


def _method(fit: Fit, method: Any) -> str:
    """Return the method in small letters: by default the profile of a likelihood, where there is one."""
    if method is None:
        return "profile" if has_profile(fit) else "wald"
    name = method.lower() if isinstance(method, str) else None
    if name not in ("profile", "wald"):
        raise ControlError(f"method must be 'profile' or 'Wald', not {shown(method)}.")
    return name


def has_profile(fit: Fit) -> bool:
    """Tell whether a fit maximises a likelihood over random effects' covariance and fixed effects."""
    return isinstance(fit, LinearFit) or (isinstance(fit, GeneralizedFit) and fit.estimates.nAGQ > 0)


def _wald_parameters(fit: Fit, parm: Any) -> tuple[Landscape | None, Sequence[Parameter]]:
    """Return the likelihood around the optimum, if it is asked for, and the parameters chosen."""
    fixed = fixed_parameters(fit.design.x_names)
    if not has_profile(fit):
        _refuse_covariance(fit, parm)
        return None, selected(fixed, parm, "parm")
    at = landscape(fit, needs_optimum=False)
    return at, selected(at.parameters, parm, "parm")


def _refuse_covariance(fit: Fit, parm: Any) -> None:
    asked = [parm] if isinstance(parm, str) else parm if isinstance(parm, (list, tuple)) else []
    for name in asked:
        if isinstance(name, str) and (name == "theta_" or name.startswith(".sig")) and fit.random:
            raise NotAvailableError(
                f"intervals of covariance parameters ({name}) need the likelihood of the model, which this "
                "fit does not maximise; fit with method='ml' and nAGQ=1."
            )


def _wald(fit: Fit, at: Landscape | None, parameters: Sequence[Parameter], level: float) -> Limits:
    values = np.empty((len(parameters), 2))
    fixed = wald_intervals(fit.beta, fit._standard_errors(), level, fit.test_df)
    others = [p for p in parameters if p.kind != "fixed"]
    found = wald_limits(at, others, level) if at is not None and others else Limits(np.empty((0, 2)), ())
    rest = iter(found.values)
    for k, p in enumerate(parameters):
        values[k] = fixed[p.index] if p.kind == "fixed" else next(rest)
    return Limits(values, found.notes)
