"""Confidence intervals of the parameters of a fit: ``confint(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from mixedmodels.advice import shown
from mixedmodels.errors import ControlError, ConvergenceError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.inference.bootstrap import bootstrap
from mixedmodels.inference.profile.landscape import landscape, parameters_of
from mixedmodels.inference.profile.limits import Limits, profile_limits
from mixedmodels.inference.profile.parameters import Parameter, fixed_parameters
from mixedmodels.inference.profile.selection import selected
from mixedmodels.inference.profile.wald_limits import wald_limits
from mixedmodels.inference.wald import check_level, wald_intervals
from mixedmodels.prediction.draws import Seed
from mixedmodels.reports.html import preformatted
from mixedmodels.reports.numbers import format_numbers, percent_names
from mixedmodels.reports.text_tables import fill_line, text_matrix

Method: TypeAlias = Literal["profile", "Wald", "boot"]

#: Replicates of a bootstrap, as in lme4.
BOOTSTRAP_REPLICATES = 500


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


@dataclass(frozen=True, slots=True)
class BootstrapOptions:
    """How ``confint(method="boot")`` draws.

    Attributes
    ----------
    nsim : int or None
        Replicates; None is the default number.
    rng : int, numpy Generator or None
        Seed.
    n_jobs : int
        Processes.
    """

    nsim: int | None = None
    rng: Seed = None
    n_jobs: int = 1


def confint(
    fit: Fit,
    parm: Any = None,
    level: float = 0.95,
    method: Method | None = None,
    signames: bool = True,
    options: BootstrapOptions | None = None,
) -> ConfidenceIntervals:
    """Return confidence intervals; parameters and errors as for :meth:`FittedModel.confint`."""
    check_level(level)
    chosen, options = _method(fit, method), options or BootstrapOptions()
    if chosen != "boot" and options != BootstrapOptions():
        raise ControlError("nsim, rng and n_jobs are those of a bootstrap: write method='boot' too.")
    if chosen == "profile":
        ml = landscape(fit.refitML())
        parameters: Sequence[Parameter] = selected(ml.parameters, parm, "parm")
        limits = profile_limits(ml, parameters, level)
    else:
        parameters = _wald_parameters(fit, parm)
        wald = chosen == "wald"
        limits = _wald(fit, parameters, level) if wald else _bootstrapped(fit, parameters, level, options)
    names = [p.signame if signames else p.name for p in parameters]
    table = ConfidenceIntervals(limits.values, index=names, columns=list(percent_names(level)))
    table.notes = limits.notes
    return table


def _method(fit: Fit, method: Any) -> str:
    """Return the method in small letters: by default the profile of a likelihood, where there is one."""
    if method is None:
        return "profile" if has_profile(fit) else "wald"
    name = method.lower() if isinstance(method, str) else None
    if name not in ("profile", "wald", "boot"):
        raise ControlError(f"method must be 'profile', 'Wald' or 'boot', not {shown(method)}.")
    return name


def _bootstrapped(
    fit: Fit, parameters: Sequence[Parameter], level: float, options: BootstrapOptions
) -> Limits:
    """Return percentile intervals of a parametric bootstrap."""
    nsim = BOOTSTRAP_REPLICATES if options.nsim is None else options.nsim
    replicates = bootstrap(fit, nsim=nsim, rng=options.rng, n_jobs=options.n_jobs)
    limits = replicates.confint([p.name for p in parameters], level).to_numpy(dtype=np.float64)
    lost = replicates.n_failed + nsim - replicates.nsim
    notes = (f"{lost} of {nsim} bootstrap replicates could not be fitted or were not drawn.",) if lost else ()
    return Limits(limits.reshape(-1, 2), notes)


def has_profile(fit: Fit) -> bool:
    """Tell whether a fit maximises a likelihood over random effects' covariance and fixed effects."""
    return isinstance(fit, LinearFit) or (isinstance(fit, GeneralizedFit) and fit.estimates.nAGQ > 0)


def _wald_parameters(fit: Fit, parm: Any) -> Sequence[Parameter]:
    """Return the parameters asked for, of those that have Wald intervals."""
    if not has_profile(fit):
        _refuse_covariance(fit, parm)
        return selected(fixed_parameters(fit.design.x_names), parm, "parm")
    return selected(parameters_of(fit), parm, "parm")


def _refuse_covariance(fit: Fit, parm: Any) -> None:
    asked = [parm] if isinstance(parm, str) else parm if isinstance(parm, (list, tuple)) else []
    for name in asked:
        if isinstance(name, str) and (name == "theta_" or name.startswith(".sig")) and fit.random:
            raise NotAvailableError(
                f"intervals of covariance parameters ({name}) need the likelihood of the model, which this "
                "fit does not maximise; fit with method='ml' and nAGQ=1."
            )


def _wald(fit: Fit, parameters: Sequence[Parameter], level: float) -> Limits:
    fixed = wald_intervals(fit.beta, fit._standard_errors(), level, fit.test_df)
    others = [p for p in parameters if p.kind != "fixed"]
    found = _wald_of_covariance(fit, others, level) if others else Limits(np.empty((0, 2)), ())
    rest = iter(found.values)
    values = [fixed[p.index] if p.kind == "fixed" else next(rest) for p in parameters]
    return Limits(np.array(values).reshape(-1, 2), found.notes)


def _wald_of_covariance(fit: Fit, others: Sequence[Parameter], level: float) -> Limits:
    try:
        at = landscape(fit, needs_optimum=False)
        return wald_limits(at, [at.named(p.name) for p in others], level)
    except (np.linalg.LinAlgError, ConvergenceError) as error:
        raise NotAvailableError(
            "the likelihood around the estimates cannot be computed, and with it the errors of covariance "
            "parameters; parm='beta_' gives the intervals of the fixed effects."
        ) from error
