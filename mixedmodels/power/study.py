"""Power by simulation: draw responses, fit them, test, and count."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from mixedmodels.advice import advises, refuse, shown
from mixedmodels.control import real_number, whole_number
from mixedmodels.errors import ControlError, ConvergenceWarning, MissingArgumentError, warn
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.simulations import Piece, simulate_in_pieces
from mixedmodels.parallel import number_of_jobs
from mixedmodels.power.decisions import Decisions, Test
from mixedmodels.power.design_study import Study, study_of
from mixedmodels.power.read_test import Method, read_test
from mixedmodels.power.result import Interval, Power, PowerCurve, binomial_interval, power_curve_of
from mixedmodels.prediction.draws import Seed, generator
from mixedmodels.specify import ModelSpecification, specify


@advises
def power(
    model: Any,
    data: Any = None,
    *,
    test: Any = None,
    method: Method = "default",
    nsim: int = 1000,
    alpha: float = 0.05,
    extend: Mapping[str, Any] | None = None,
    within: Mapping[Any, int] | None = None,
    newparams: Mapping[str, Any] | None = None,
    interval: Interval = "wilson",
    level: float = 0.95,
    rng: Seed = None,
    n_jobs: int = 1,
    progress: bool | None = None,
    **specification: Any,
) -> Power:
    """Return the power of a test by simulation: responses are drawn from a model, fitted and tested.

    Parameters
    ----------
    model : fitted model, ModelSpecification or str
        A pilot fit; what :func:`mixedmodels.specify` returns; or a formula, with `data` and its parameters:
        ``power("y ~ x + (1 | g)", data, beta=[0, 0.5], sd=1, sigma=2, test="x")``.
    data : DataFrame or other table, optional
        The design, for a formula.
    test : str, fitted model, callable, or what :func:`linear_hypothesis` takes
        What is tested: a coefficient or a term by name; hypotheses such as ``"x1 = x2"``; a smaller model, as
        ``". ~ . - x"`` or fitted; or a function of a fit that returns a p-value, or True where it rejects. By
        default the only coefficient beside the intercept.
    method : {"default", "satterthwaite", "kenward-roger", "residual", "z", "lrt"}
        How a coefficient, term or hypothesis is tested: by its degrees of freedom, those of the summary by
        default, or by a likelihood ratio.
    nsim : int
        Number of simulations.
    alpha : float
        Level of the test.
    extend : mapping, optional
        Column -> number of levels, ``{"subject": 60}``, as :func:`mixedmodels.extend`.
    within : mapping, optional
        Column, or several joined by "+", -> number of rows in each cell, ``{"subject": 20}``.
    newparams : mapping, optional
        Parameters in place of those of the model, ``{"beta": {"x": 0.4}}``: the effect that matters rather
        than the one that a pilot happened to show.
    interval : {"wilson", "clopper-pearson"}
        Kind of the confidence interval of the power.
    level : float
        Its level.
    rng : int or numpy Generator, optional
        Seed; the same seed draws the same whatever `n_jobs`.
    n_jobs : int
        Processes; -1 is one for each processor.
    progress : bool, optional
        Whether to draw a bar; by default where tqdm is installed and a terminal or notebook is there.
    **specification
        Parameters of a formula, as for :func:`mixedmodels.specify`.

    Returns
    -------
    Power
        ``.power``, ``.confint()``, ``.p_values``. Simulations whose fit failed count as not significant, and
        are counted and said. Ctrl-C returns those that are done, with a warning.

    Raises
    ------
    ControlError, FormulaError, DataError
        If the test, a parameter, the formula or the data is at fault.

    References
    ----------
    Green & MacLeod (2016), Methods Ecol. Evol. 7: simr.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> p = mm.power(m, test="Days", newparams={"beta": {"Days": 5}}, nsim=100, rng=1)
    >>> 0.7 < p.power < 0.95
    True
    """
    source = _source(power, model, data, specification)
    own, jobs = _check(nsim, alpha, interval, level, n_jobs)
    parent = generator(rng)
    study = study_of(source, newparams, extend, within, parent.spawn(1)[0])
    asked = read_test(study, test, method)
    parts = simulate_in_pieces(
        partial(_decide, study, asked.test), own, parent, size=asked.test.piece, jobs=jobs,
        progress=progress, label="power",
    )  # fmt: skip
    decisions = _joined(parts)
    template = study.template
    levels = {term.group: term.n_levels for term in template.random}
    result = Power(
        asked.label, asked.test.text, _shown_formula(source), asked.effects(study.simulation.model), alpha,
        decisions, own, template.nobs(), levels, interval, level,
    )  # fmt: skip
    if result.n_failed:
        warn(
            f"{result.n_failed} of {result.nsim} simulations have no p-value and count as not significant; "
            f"the first because: {next(iter(decisions.reasons.values()), 'the test gave none')}",
            ConvergenceWarning,
        )
    return result


@advises
def power_curve(
    model: Any,
    data: Any = None,
    *,
    along: str | None = None,
    within: Any = None,
    breaks: Sequence[Any] | None = None,
    test: Any = None,
    method: Method = "default",
    nsim: int = 1000,
    alpha: float = 0.05,
    newparams: Mapping[str, Any] | None = None,
    interval: Interval = "wilson",
    level: float = 0.95,
    rng: Seed = None,
    n_jobs: int = 1,
    progress: bool | None = None,
    **specification: Any,
) -> PowerCurve:
    """Return the power at several sizes of a study.

    Parameters
    ----------
    along : str
        Column whose number of levels differs.
    within : str or tuple of str
        In place of `along`: column, or several joined by "+", whose number of rows in each cell differs.
    breaks : sequence of int
        These numbers.
    model, data, test, method, nsim, alpha, newparams, interval, level, rng, n_jobs, progress, specification
        As for :func:`mixedmodels.power`.

    Returns
    -------
    PowerCurve
        A DataFrame, one row a break: levels, rows, nsim, significant, power, lower, upper, failed.

    Raises
    ------
    ControlError
        If there are no breaks, or not one of `along` and `within`.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> effect = {"beta": {"Days": 5}}
    >>> c = mm.power_curve(m, along="Subject", breaks=[6, 24], test="Days", newparams=effect, nsim=50, rng=1)
    >>> bool(c["power"].is_monotonic_increasing)
    True
    """
    if (along is None) == (within is None):
        raise ControlError(
            "power_curve() needs along=, a column whose number of levels differs, or within=, a column whose "
            "number of rows in each level differs; one of the two."
        )
    if breaks is None or not np.ndim(breaks) or not len(breaks):
        raise MissingArgumentError("power_curve() needs breaks, as in breaks=[10, 20, 40].")
    source = _source(power_curve, model, data, specification)
    sizes = [whole_number("a break", size, 1) for size in breaks]
    parent = generator(rng)
    options: dict[str, Any] = {
        "test": test, "method": method, "nsim": nsim, "alpha": alpha, "newparams": newparams,
        "interval": interval, "level": level, "n_jobs": n_jobs, "progress": progress,
    }  # fmt: skip
    results = tuple(
        power(source, rng=parent.spawn(1)[0], **_grown(along, within, size), **options) for size in sizes
    )
    cells = within if along is None else None
    name = str(along) if cells is None else f"rows in {cells if isinstance(cells, str) else ':'.join(cells)}"
    return power_curve_of(results, np.array(sizes), name)


def _grown(along: str | None, within: Any, size: int) -> dict[str, Any]:
    """Return the argument of power() that gives a study its size."""
    return {"within": {within: size}} if along is None else {"extend": {along: size}}


def _source(
    function: Any, model: Any, data: Any, specification: Mapping[str, Any]
) -> Fit | ModelSpecification:
    """Return the model to simulate from; a formula is specified by its parameters."""
    if isinstance(model, str):
        known = inspect.signature(specify).parameters
        refuse(function, (), {name: value for name, value in specification.items() if name not in known})
        if data is None:
            raise MissingArgumentError(
                f"{function.__name__}() needs data for a formula, as in "
                f"{function.__name__}('y ~ x + (1 | g)', data, beta=..., sd=..., sigma=...)."
            )
        return specify(model, data, **specification)
    if isinstance(model, (int, float)) and not isinstance(model, bool):
        raise ControlError(
            f"power() is the power of a test by simulation, power(m, test='x'); the link mu^{model:g} has "
            f"the name 'power({model:g})', as in mm.Gamma(link='power({model:g})')."
        )
    if not isinstance(model, (Fit, ModelSpecification)):
        raise ControlError(f"{function.__name__}() needs a fitted model or a formula, not {shown(model)}.")
    if data is not None:
        raise ControlError("data go with a formula; a model has its own, which extend= and within= enlarge.")
    refuse(function, (), specification)
    return model


def _check(nsim: object, alpha: object, interval: Any, level: float, n_jobs: object) -> tuple[int, int]:
    """Return the number of simulations and of processes, all options checked."""
    if real_number("alpha", alpha) >= 1.0:
        raise ControlError(f"alpha must be a probability between 0 and 1, such as 0.05, not {alpha!r}.")
    binomial_interval(0, 1, level, interval)
    return whole_number("nsim", nsim, 1), number_of_jobs(n_jobs)


def _decide(study: Study, test: Test, piece: Piece) -> Decisions:
    rng, count = piece
    return test.decide(study.draw(rng, count))


def _joined(parts: Sequence[Decisions]) -> Decisions:
    """Return the decisions of several pieces in one."""
    starts = np.cumsum([0, *(len(part.p_values) for part in parts)]).tolist()
    reasons = {
        start + r: reason
        for start, part in zip(starts, parts, strict=False)
        for r, reason in part.reasons.items()
    }
    return Decisions(
        np.concatenate([np.empty(0), *(part.p_values for part in parts)]),
        np.concatenate([np.empty(0, dtype=bool), *(part.doubtful for part in parts)]),
        reasons,
    )


def _shown_formula(source: Fit | ModelSpecification) -> str:
    return source.formula() if isinstance(source, Fit) else source.shown
