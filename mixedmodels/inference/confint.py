"""Confidence intervals of the parameters of a fit: ``confint(m)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from mixedmodels.advice import shown
from mixedmodels.control import one_of
from mixedmodels.errors import ControlError, ConvergenceError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.nonlinear import CurveFit
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.inference.bootstrap import bootstrap
from mixedmodels.inference.bootstrap_intervals import IntervalType
from mixedmodels.inference.profile.limits import Limits, profile_limits
from mixedmodels.inference.profile.nonlinear_landscape import maximises_likelihood
from mixedmodels.inference.profile.parameters import Parameter, fixed_parameters, parameters_of
from mixedmodels.inference.profile.selection import selected
from mixedmodels.inference.profile.structured_landscape import landscape_of
from mixedmodels.inference.profile.wald_limits import wald_limits
from mixedmodels.inference.structured_intervals import structured_limits
from mixedmodels.inference.wald import check_level, wald_intervals
from mixedmodels.prediction.draws import Seed
from mixedmodels.reports.numbers import format_numbers, percent_names
from mixedmodels.reports.page import Page
from mixedmodels.reports.printed_frame import PrintedFrame
from mixedmodels.reports.text_tables import fill_line, text_matrix

Method: TypeAlias = Literal["profile", "Wald", "boot"]
#: Replicates of ``confint(m, method="boot")``: the outer ones of 1,000 decide the limits of 95 %.
NSIM = 1000


@dataclass(frozen=True, slots=True)
class BootOptions:
    """What intervals by the bootstrap may be asked for, as for :meth:`FittedModel.confint`.

    Attributes
    ----------
    nsim, rng, type
        None where they were not given.
    n_jobs, progress
        As for ``bootstrap()``.
    """

    nsim: int | None = None
    rng: Seed = None
    type: IntervalType | None = None
    n_jobs: int = 1
    progress: bool | None = None


class ConfidenceIntervals(PrintedFrame):
    """A DataFrame of limits that prints as R prints them, with what is to be said of some in ``notes``."""

    _metadata = ["notes"]  # noqa: RUF012 (pandas reads this class attribute)
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        columns = [format_numbers(self[name].to_numpy()) for name in self.columns]
        cells = list(zip(*columns, strict=True))
        text = text_matrix(cells, list(map(str, self.index)), list(self.columns), right=True)
        return Page([text, *(fill_line(note.split(" ")) for note in self.notes)])


def confint(
    fit: Fit,
    parm: Any = None,
    level: float = 0.95,
    method: Method | None = None,
    signames: bool = True,
    options: BootOptions = BootOptions(),
) -> ConfidenceIntervals:
    """Return confidence intervals; parameters and errors as for :meth:`FittedModel.confint`."""
    check_level(level)
    one_of("signames", signames, (True, False))
    chosen = _method(fit, method, options)
    if chosen == "wald" and isinstance(fit, StructuredResiduals):
        return _of_structured(fit, parm, level)
    parameters: Sequence[Parameter]
    if chosen == "boot":
        own = parameters_of(fit)
        parameters = selected(own, parm, "parm")
        numbers = [next(k for k, q in enumerate(own) if q is p) for p in parameters]
        limits = _by_bootstrap(fit, numbers, level, options)
    elif chosen == "wald":
        parameters = _wald_parameters(fit, parm)
        limits = _wald(fit, parameters, level)
    else:
        ml = landscape_of(fit.refitML())
        parameters = selected(ml.parameters, parm, "parm")
        limits = profile_limits(ml, parameters, level, options.progress)
    names = [p.signame if signames else p.name for p in parameters]
    table = ConfidenceIntervals(limits.values, index=names, columns=list(percent_names(level)))
    table.notes = limits.notes
    return table


def _of_structured(fit: StructuredResiduals, parm: Any, level: float) -> ConfidenceIntervals:
    """Return limits of the parameters of a model with structured residuals."""
    limits = structured_limits(fit, level)
    count = len(limits.names)
    groups = {"beta_": range(limits.n_fixed), "theta_": range(limits.n_fixed, count)}
    if parm is None:
        rows = list(range(count))
    elif isinstance(parm, str) and parm in groups:
        rows = list(groups[parm])
    else:
        asked = [parm] if isinstance(parm, (str, int)) else list(parm)
        unknown = [name for name in asked if name not in limits.names and name not in range(count)]
        if unknown:
            raise ControlError(f"no parameter is called {unknown[0]!r}; they are {', '.join(limits.names)}.")
        rows = [limits.names.index(name) if isinstance(name, str) else int(name) for name in asked]
    if not rows:
        raise ControlError("parm names no parameter; leave it out for all of them.")
    names = [limits.names[k] for k in rows]
    table = ConfidenceIntervals(limits.values[rows], index=names, columns=list(percent_names(level)))
    table.notes = ()
    return table


def _method(fit: Fit, method: Any, options: BootOptions) -> str:
    """Return the method in small letters: by default the profile of a likelihood, where there is one."""
    default = "profile" if has_profile(fit) else "wald"
    name = default if method is None else method.lower() if isinstance(method, str) else None
    if name not in ("profile", "wald", "boot"):
        raise ControlError(f"method must be 'profile', 'Wald' or 'boot', not {shown(method)}.")
    if name != "boot":
        for argument in ("nsim", "rng", "type"):
            if getattr(options, argument) is not None:
                raise ControlError(f"{argument}= is about the bootstrap: write method='boot' with it.")
    return name


def _by_bootstrap(fit: Fit, numbers: Sequence[int], level: float, options: BootOptions) -> Limits:
    """Return limits of some parameters, by their numbers, from parametric bootstrap replicates."""
    kind: IntervalType = "percentile" if options.type is None else options.type
    one_of("type", kind, get_args(IntervalType))  # before the replicates, which may take minutes
    replicates = bootstrap(
        fit,
        nsim=NSIM if options.nsim is None else options.nsim,
        rng=options.rng,
        n_jobs=options.n_jobs,
        progress=options.progress,
    )
    lost = replicates.n_failed + (options.nsim or NSIM) - replicates.nsim
    notes = (f"{lost} bootstrap replicates could not be fitted or were not drawn.",) if lost else ()
    return Limits(replicates._limits(numbers, level, kind).to_numpy(dtype=np.float64), notes)


def has_profile(fit: Fit) -> bool:
    """Tell whether a fit maximises a likelihood over random effects' covariance and fixed effects."""
    if isinstance(fit, CurveFit):
        return maximises_likelihood(fit)
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
        at = landscape_of(fit, needs_optimum=False)
        return wald_limits(at, [at.named(p.name) for p in others], level)
    except (np.linalg.LinAlgError, ConvergenceError) as error:
        raise NotAvailableError(
            "the likelihood around the estimates cannot be computed, and with it the errors of covariance "
            "parameters; parm='beta_' gives the intervals of the fixed effects."
        ) from error
