"""The parametric bootstrap of a likelihood-ratio test (Halekoh & Hojsgaard 2014, J. Stat. Softw. 59(9))."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.control import whole_number
from mixedmodels.errors import ControlError, DataError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.anova import AnovaTable, check_models, make_table
from mixedmodels.inference.comparability import (
    different_approximations,
    different_responses,
    different_sizes,
)
from mixedmodels.inference.refits import Refitter
from mixedmodels.inference.resampling import check_kind, draw_responses
from mixedmodels.inference.simulations import Piece, simulate_in_pieces
from mixedmodels.parallel import workers
from mixedmodels.prediction.draws import Seed
from mixedmodels.progress import Stopped

#: Likelihood ratios below this are zero: what is left of the tolerances of two fits.
ZERO = 1e-6
COLUMNS = ("stat", "df", "ddf", "p.value")


@advises
def pb_modcomp(
    large: Fit,
    small: Fit,
    nsim: int = 1000,
    *,
    rng: Seed = None,
    n_jobs: Any = 1,
    progress: bool | None = None,
) -> AnovaTable:
    """Test a smaller model in a larger one by a likelihood ratio whose distribution is simulated.

    Parameters
    ----------
    large, small : fitted models
        Nested, fitted to the same rows; REML fits are refitted by maximum likelihood.
    nsim : int
        Responses drawn from the smaller model.
    rng : int or numpy Generator, optional
        Seed; the same seed draws the same whatever `n_jobs`.
    n_jobs : int or Dask Client
        Processes; -1 is one for each processor. The client of a Dask cluster does it on its workers.
    progress : bool, optional
        Whether to draw a bar; by default where tqdm is installed and a terminal or notebook is there.

    Returns
    -------
    AnovaTable
        Rows LRT (chi-square), PBtest (share of larger simulated ratios, among those that are not zero), and
        three approximations with the moments of the simulated ratios: Gamma, Bartlett, F. As pbkrtest prints.
        ``attrs["reference"]`` holds the simulated ratios.

    Raises
    ------
    DataError
        If the models were not fitted to the same response at the same rows.
    ControlError
        If the larger model does not have more parameters and the higher likelihood.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.load_dataset("sleepstudy")
    >>> large = mm.lmer("Reaction ~ Days + (Days | Subject)", data)
    >>> small = mm.lmer("Reaction ~ 1 + (Days | Subject)", data)
    >>> bool(mm.pb_modcomp(large, small, nsim=200, rng=1).loc["PBtest", "p.value"] < 0.01)
    True
    """
    check_models((large, small), "pb_modcomp")
    nsim, jobs = whole_number("nsim", nsim, 1), workers(n_jobs)
    _check_nested(large, small)
    large_ml, small_ml = large.refitML(), small.refitML()
    check_kind(small_ml, "parametric", False)
    observed = 2.0 * (large_ml.loglik() - small_ml.loglik())
    if observed < -ZERO:
        raise ControlError(
            "the larger model has the lower likelihood: the models are not nested, or a search has not ended."
        )
    df = large.npar - small.npar
    reference = _simulated(large_ml, small_ml, nsim, rng, jobs, progress)
    table = make_table(
        _tests(max(observed, 0.0), df, reference), ("LRT", "PBtest", "Gamma", "Bartlett", "F"), COLUMNS,
        _heading(large, small, reference, observed),
    )  # fmt: skip
    table.attrs["reference"] = reference
    return table


def _check_nested(large: Fit, small: Fit) -> None:
    if not all(m.has_likelihood and not m.is_quasi for m in (large, small)):
        raise NotAvailableError("pb_modcomp() compares likelihoods, and one of the models has none.")
    if difference := different_sizes((large, small)) or different_responses((large, small)):
        raise DataError(difference)
    if difference := different_approximations((large, small), ("large", "small")):
        raise ControlError(difference)
    if large.npar <= small.npar:
        raise ControlError(
            f"the first model must be the larger one; it has {large.npar} parameters, the second "
            f"{small.npar}."
        )


class _Ratios:
    """One piece of work: likelihood ratios of responses from one random number generator."""

    def __init__(self, large: Refitter, small: Refitter) -> None:
        self.large, self.small = large, small

    def __call__(self, piece: Piece) -> FloatArray:
        """Return the likelihood ratios; NaN where a model could not be fitted."""
        rng, count = piece
        Y = draw_responses(self.small.fit, "parametric", False, rng, count)
        small = np.empty(0)
        try:
            small = self.small.refit(Y).objective
            return _ratios(small, self.large.refit(Y).objective)
        except Stopped as stop:  # in the smaller model nothing of the piece is done
            done = stop.count if len(small) else 0
            raise Stopped(_ratios(small[:done], stop.part.objective[:done]), done) from None


def _ratios(small: FloatArray, large: FloatArray) -> FloatArray:
    """Return likelihood ratios, zero where they are rounding."""
    ratios = small - large
    return np.where(np.isnan(ratios) | (ratios > ZERO), ratios, 0.0)


def _simulated(large: Fit, small: Fit, nsim: int, rng: Seed, jobs: Any, progress: bool | None) -> FloatArray:
    """Return the likelihood ratios of responses drawn from the smaller model, shape (nsim,)."""
    task = _Ratios(Refitter(large), Refitter(small))
    together = task.large.batch is not None and task.small.batch is not None
    parts = simulate_in_pieces(
        task,
        nsim,
        rng,
        together=together,
        jobs=jobs,
        progress=progress,
        label="pb_modcomp",
        refitter=task.large,
    )
    return np.concatenate([np.empty(0), *parts])


def _tests(observed: float, df: int, reference: FloatArray) -> FloatArray:
    """Return the rows of the table: statistic, degrees of freedom, denominator ones, p-value."""
    positive = reference[reference > 0.0]
    none = np.nan
    naive = [observed, df, none, float(special.chdtrc(df, observed))]
    p = (1.0 + np.count_nonzero(positive > observed)) / (1.0 + len(positive))
    if len(positive) < 2:
        return np.array([naive, [observed, none, none, p], *([[none] * 4] * 3)])
    mean, variance = float(positive.mean()), float(positive.var(ddof=1))
    gamma = float(special.gammaincc(mean**2 / variance, observed * mean / variance))
    corrected = df * observed / mean
    bartlett = float(special.chdtrc(df, corrected))
    # An F variable has the mean ddf / (ddf - 2), above 1: nothing fits a mean below it.
    scaled = mean / df
    ddf = 2.0 * scaled / (scaled - 1.0) if scaled > 1.0 else none
    F = float(special.fdtrc(df, ddf, observed / df))
    return np.array(
        [
            naive,
            [observed, none, none, p],
            [observed, none, none, gamma],
            [corrected, df, none, bartlett],
            [observed / df, df, ddf, F],
        ]
    )


def _heading(large: Fit, small: Fit, reference: FloatArray, observed: float) -> list[str]:
    used, failed = int(np.sum(reference > 0.0)), int(np.sum(np.isnan(reference)))
    extremes = int(np.sum(reference > observed))
    lines = [f"Bootstrap test; samples: {len(reference)}; extremes: {extremes};"]
    if used < len(reference):
        lines.append(f"Requested samples: {len(reference)} Used samples: {used} Extremes: {extremes}")
    if failed:
        lines.append(f"Samples that could not be fitted: {failed}")
    return [*lines, f"large : {large.formula()}", f"small : {small.formula()}"]
