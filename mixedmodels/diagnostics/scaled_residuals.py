"""Simulation-based scaled residuals: ``scaled_residuals(m)``, uniform on (0, 1) if the model is right."""

from __future__ import annotations

from typing import Any, Literal, get_args

from mixedmodels.advice import advises
from mixedmodels.control import one_of, whole_number
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.diagnostics.scaled.draws import ResponseDraws, redrawn_terms, row_sums
from mixedmodels.diagnostics.scaled.effects import drawn_errors, kept_predictor
from mixedmodels.diagnostics.scaled.place import rank_observed
from mixedmodels.diagnostics.scaled.refitted import REFITS, RefittedResiduals
from mixedmodels.diagnostics.scaled.result import ScaledResiduals
from mixedmodels.diagnostics.scaled.rows import residual_rows
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.clusters import rows_by
from mixedmodels.parallel import number_of_jobs
from mixedmodels.prediction.draws import Seed, generator
from mixedmodels.prediction.predict import select_effects
from mixedmodels.prediction.re_form import ReForm

Effects = Literal["drawn", "estimated"]
Method = Literal["PIT", "traditional"]


@advises
def scaled_residuals(
    model: Any,
    nsim: int = 250,
    *,
    rng: Seed = None,
    re_form: ReForm = None,
    effects: Effects = "drawn",
    by: Any = None,
    refit: bool = False,
    method: Method = "PIT",
    n_jobs: int = 1,
    progress: bool | None = None,
) -> ScaledResiduals:
    """Return the place of each response among simulated ones, as a number in (0, 1).

    If the model is right these residuals are uniform whatever its family, and their tests and pictures read
    alike for counts, proportions and measurements (Dunn & Smyth 1996; R's DHARMa).

    Parameters
    ----------
    model : fitted model
        Of any kind with a likelihood.
    nsim : int
        Simulated responses.
    rng : int or numpy Generator, optional
        Seed; the same seed draws the same whatever `n_jobs`.
    re_form : None, "0" or str
        Random effects that all simulations have in common: None, all of them (conditional residuals); ``"0"``
        or ``mm.NA``, none (unconditional ones, new random effects in each); a formula, those it names.
    effects : {"drawn", "estimated"}
        Whether fixed effects, and random ones that are kept, are drawn once from their distribution given the
        response, or stand at their estimates, as in DHARMa. Estimates follow the response, so that residuals
        about them crowd in the middle where levels have few rows.
    by : str, list of str, or array_like, optional
        Groups: residuals of their sums, one a group (means have the same ranks).
    refit : bool
        Whether to fit the model to every simulated response, and rank residuals among those of the refits: a
        parametric bootstrap, slow, and the best calibrated for small data.
    method : {"PIT", "traditional"}
        Whether ties are broken at random, or noise is added to whole numbers, as DHARMa did up to 0.3.0 and
        does with `refit`.
    n_jobs : int
        Processes; -1 is one for each processor.
    progress : bool, optional
        Whether to draw a bar of refits; by default where tqdm is installed and someone is watching.

    Returns
    -------
    ScaledResiduals
        ``.residuals``, ``.fitted``, tests of uniformity, dispersion, outliers, zeros, trends and
        autocorrelation; prints the tests that apply.

    Raises
    ------
    ControlError, DataError
        If an argument is unknown, or `by` does not give groups.
    NotAvailableError
        If the family is a quasi family, which has no distribution.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> ticks = mm.load_dataset("grouseticks")
    >>> m = mm.glmer("TICKS ~ YEAR + (1 | BROOD)", ticks, "poisson")
    >>> residuals = mm.scaled_residuals(m, rng=1)
    >>> residuals.test_dispersion().is_fine
    False
    """
    fit = _simulated_fit(model)
    _check_arguments(effects, refit, method)
    nsim, jobs = whole_number("nsim", nsim, 1), number_of_jobs(n_jobs)
    groups = None if by is None else rows_by(fit, by, "by")
    kept = select_effects(fit.design, re_form)
    generators = generator(rng).spawn(3)
    # 1. What all simulations have in common.
    eta = kept_predictor(fit, kept)
    if effects == "drawn":
        eta = eta + drawn_errors(fit, kept, generators[0])
    # 2. The simulations, and what is compared with them.
    redrawn, most = redrawn_terms(fit, kept), REFITS if refit else nsim
    draws = ResponseDraws(fit, eta, redrawn, row_sums(fit, groups), nsim, generators[1], jobs, most)
    refitted = RefittedResiduals(draws, progress) if refit else None
    # 3. Its place.
    ranked = rank_observed(draws, refitted, refit or method == "traditional", generators[2])
    return ScaledResiduals(residual_rows(fit, groups), draws, refitted, ranked)


def _simulated_fit(model: Any) -> Fit:
    fit = a_fit(model, "scaled_residuals")
    fit.refuse_draws()
    return fit


def _check_arguments(effects: object, refit: object, method: object) -> None:
    one_of("effects", effects, get_args(Effects))
    one_of("method", method, get_args(Method))
    one_of("refit", refit, (True, False))
