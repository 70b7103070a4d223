"""The bootstrap: refit a model to responses drawn from it, or to clusters drawn from its data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of, whole_number
from mixedmodels.errors import ControlError, ConvergenceWarning, DataWarning, NotAvailableError, warn
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.theta import theta_names
from mixedmodels.inference import bootstrap_intervals as intervals
from mixedmodels.inference.bootstrap_intervals import IntervalType
from mixedmodels.inference.clusters import clusters_of
from mixedmodels.inference.covariance_parameters import deviations
from mixedmodels.inference.no_estimates import without_estimates
from mixedmodels.inference.profile.parameters import parameters_of
from mixedmodels.inference.refits import (
    FAILED,
    Refits,
    Refitter,
    attempt,
    empty_refits,
    first_of,
    joined,
    record,
)
from mixedmodels.inference.resampling import Kind, check_kind, draw_responses, drawn_clusters
from mixedmodels.inference.simulations import simulate_in_pieces
from mixedmodels.inference.wald import check_level
from mixedmodels.parallel import workers
from mixedmodels.prediction.draws import Seed
from mixedmodels.progress import Stopped
from mixedmodels.reports.bootstrap_text import bootstrap_text
from mixedmodels.reports.numbers import percent_names
from mixedmodels.reports.page import html_of

Statistic = Callable[[Any], Any]


class Bootstrap:
    """Replicates of a bootstrap: what :func:`mixedmodels.bootstrap` returns.

    Attributes
    ----------
    names : tuple of str
        What was kept of each replicate.
    estimates : ndarray, shape (k,)
        Its values at the original fit.
    replicates : ndarray, shape (nsim, k)
        Its values at every replicate; NaN where one failed.
    verdict : ndarray of str, shape (nsim,)
        Verdict on each refit, ``"failed"`` where there is none.
    reasons : dict
        By replicate, why it failed or did not converge.
    refits : Refits
        Objective, fixed effects with standard errors, theta and sigma of each replicate.
    """

    def __init__(
        self, model: Fit, kind: Kind, use_u: bool, statistic: Statistic | None, nsim: int,
        refits: Refits, values: FloatArray,
    ) -> None:  # fmt: skip
        self.model, self.kind, self.use_u, self.statistic = model, kind, use_u, statistic
        self.requested = nsim
        self.refits = refits
        self.names, self.estimates = original_values(model, statistic)
        self.replicates = values

    @property
    def nsim(self) -> int:
        """Number of replicates, failed ones included."""
        return len(self.replicates)

    @property
    def verdict(self) -> np.ndarray[tuple[int, ...], np.dtype[np.object_]]:
        """Verdict on each refit."""
        return self.refits.verdict

    @property
    def reasons(self) -> dict[int, str]:
        """By replicate, why it failed or did not converge."""
        return self.refits.reasons

    @property
    def n_failed(self) -> int:
        """Number of replicates that could not be fitted, which are NaN."""
        return int(self.refits.has_failed.sum())

    def bias(self) -> pd.Series:
        """Return the mean of the replicates less the estimate."""
        return pd.Series([x.mean() - t for x, t in self._finite()], index=list(self.names), name="bias")

    def standard_errors(self) -> pd.Series:
        """Return the standard deviations of the replicates."""
        return pd.Series(
            [x.std(ddof=1) if len(x) > 1 else np.nan for x, _ in self._finite()],
            index=list(self.names),
            name="Std. Error",
        )

    def _finite(self) -> list[tuple[FloatArray, float]]:
        """Return the finite replicates of each quantity, with its estimate."""
        columns = [x[np.isfinite(x)] for x in self.replicates.T]
        return [
            (x if len(x) else np.full(1, np.nan), float(t))
            for x, t in zip(columns, self.estimates, strict=True)
        ]

    def confint(
        self, parm: str | Sequence[str] | None = None, level: float = 0.95, type: IntervalType = "percentile"
    ) -> pd.DataFrame:
        """Return confidence intervals.

        Parameters
        ----------
        parm : str or list of str, optional
            Names of quantities; by default all.
        level : float
            Confidence level.
        type : {"percentile", "basic", "bca", "shortest"}
            Quantiles of the replicates; these mirrored at the estimate; quantiles corrected for bias and
            acceleration, the latter from refits with one cluster left out at a time; the shortest interval
            that holds the share `level`.

        Raises
        ------
        ControlError
            If a name, the level or the type is unknown.
        NotAvailableError
            If type is "bca" and the model has no clusters to leave out.
        """
        return self._limits(self._chosen(parm), level, type)

    def _limits(self, chosen: Sequence[int], level: float, type: IntervalType) -> pd.DataFrame:
        """Return intervals of some quantities, by their numbers."""
        one_of("type", type, get_args(IntervalType))
        check_level(level)
        left_out = self._jackknife() if type == "bca" else None
        rows = []
        for k in chosen:
            x = self.replicates[np.isfinite(self.replicates[:, k]), k]
            estimate = float(self.estimates[k])
            if type == "percentile":
                rows.append(intervals.percentile(x, level))
            elif type == "basic":
                rows.append(intervals.basic(x, level, estimate))
            elif left_out is not None:
                one_less = left_out[np.isfinite(left_out[:, k]), k]
                rows.append(intervals.bias_corrected(x, level, estimate, one_less))
            else:
                rows.append(intervals.shortest(x, level))
        names = [self.names[k] for k in chosen]
        return pd.DataFrame(rows, index=names, columns=list(percent_names(level)), dtype=float)

    def _chosen(self, parm: str | Sequence[str] | None) -> list[int]:
        if parm is None:
            return list(range(len(self.names)))
        names = [parm] if isinstance(parm, str) else list(parm)
        for name in names:
            if name not in self.names:
                raise ControlError(f"parm {shown(name)} is not among what was kept: {', '.join(self.names)}.")
        return [self.names.index(name) for name in names]

    def _jackknife(self) -> FloatArray:
        """Return the quantities with each cluster left out, shape (clusters, k)."""
        try:
            m = clusters_of(self.model).size
        except NotAvailableError as error:
            raise NotAvailableError(f"type='bca' needs clusters to leave out: {error}") from None
        _, values = _fitted_one_by_one(
            self.model,
            self.statistic,
            [lambda c=c: drawn_clusters(self.model, np.delete(np.arange(m), c)) for c in range(m)],  # type: ignore[misc]
            tell=None,
        )
        return values

    def to_frame(self) -> pd.DataFrame:
        """Return one row a replicate: its quantities, objective, estimates, standard errors and verdict."""
        refits, names = self.refits, list(self.model.design.x_names)
        columns: dict[str, Any] = {"objective": refits.objective}
        columns |= dict(zip(self.names, self.replicates.T, strict=True))
        columns |= {name: refits.beta[:, j] for j, name in enumerate(names) if name not in columns}
        columns |= {f"se({name})": refits.se[:, j] for j, name in enumerate(names)}
        for j, name in enumerate(theta_names(self.model.random)):
            columns[f"theta({name})"] = refits.theta[:, j]
        columns["verdict"] = refits.verdict
        return pd.DataFrame(columns, index=pd.RangeIndex(1, self.nsim + 1, name="replicate"))

    def summary(self) -> pd.DataFrame:
        """Return estimate, bias, standard error and percentile interval of every quantity."""
        table = pd.DataFrame(
            {"Estimate": self.estimates, "bias": self.bias(), "Std. Error": self.standard_errors()},
            index=list(self.names),
        )
        return table.join(self.confint())

    def __len__(self) -> int:
        return self.nsim

    def __repr__(self) -> str:
        counts = Counter(map(str, self.verdict))
        table = self.summary()
        return bootstrap_text(
            self.kind, self.model.formula(), self.requested, self.nsim, counts,
            table.to_numpy(dtype=np.float64), self.names, list(table.columns),
        )  # fmt: skip

    def _repr_html_(self) -> str:
        return html_of(repr(self))


advises(Bootstrap)


@advises
def bootstrap(
    model: Fit,
    statistic: Statistic | None = None,
    nsim: int = 1000,
    *,
    kind: Kind = "parametric",
    use_u: bool = False,
    rng: Seed = None,
    n_jobs: Any = 1,
    progress: bool | None = None,
) -> Bootstrap:
    """Refit a model to drawn responses, or to drawn clusters.

    Parameters
    ----------
    model : fitted model
        What to draw from and to refit.
    statistic : callable, optional
        Function of a refitted model that returns a number, an array, a Series or a dict; by default fixed
        effects, standard deviations and correlations of the random effects and sigma are kept.
    nsim : int
        Number of replicates.
    kind : {"parametric", "semiparametric", "cluster", "wild"}
        Draw effects and errors from the distributions of the model; estimated effects and residuals, centred
        and stretched, with replacement; clusters with all their rows; residuals about the fixed effects with
        one random sign for each cluster, which says nothing of the covariance parameters.
    use_u : bool
        Whether to keep the random effects at their conditional modes.
    rng : int or numpy Generator, optional
        Seed; the same seed draws the same whatever `n_jobs`.
    n_jobs : int or Dask Client
        Processes; -1 is one for each processor. The client of a Dask cluster does it on its workers.
    progress : bool, optional
        Whether to draw a bar; by default where tqdm is installed and a terminal or notebook is there.

    Returns
    -------
    Bootstrap
        Replicates, with ``confint()``, ``bias()``, ``to_frame()``. Replicates that could not be fitted are
        NaN, counted, and said. Ctrl-C returns those that are done, with a warning.

    Raises
    ------
    ControlError
        If an option is none of those allowed.
    NotAvailableError
        If the model cannot be resampled this way.

    References
    ----------
    Davison & Hinkley (1997), Bootstrap Methods and their Application.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"))
    >>> mm.bootstrap(m, nsim=200, rng=1).confint("(Intercept)").round(-1).iloc[0].tolist()
    [1490.0, 1560.0]
    """
    if not isinstance(model, Fit):
        raise ControlError(f"bootstrap() needs a fitted model, not {shown(model)}.")
    one_of("kind", kind, get_args(Kind))
    one_of("use_u", use_u, (True, False))
    nsim = whole_number("nsim", nsim, 1)
    jobs = workers(n_jobs)
    check_kind(model, kind, use_u)
    original_values(model, statistic)
    if infinite := without_estimates(model):
        warn(f"{infinite} Replicates of it say where searches ended, and nothing more.", DataWarning)
    task = _Replicates(Refitter(model), kind, use_u, statistic)
    parts = simulate_in_pieces(
        task,
        nsim,
        rng,
        together=task.are_together,
        jobs=jobs,
        progress=progress,
        label="bootstrap",
        refitter=task.refitter,
    )
    refits = joined([part for part, _ in parts]) if parts else empty_refits(model, 0)
    values = np.concatenate([np.empty((0, len(task.names))), *(v for _, v in parts)])
    result = Bootstrap(model, kind, use_u, statistic, nsim, refits, values)
    if result.n_failed:
        first = next(reason for r, reason in result.reasons.items() if refits.verdict[r] == FAILED)
        warn(
            f"{result.n_failed} of {result.nsim} replicates could not be fitted and are NaN; the first "
            f"because: {first}",
            ConvergenceWarning,
        )
    return result


class _Replicates:
    """One piece of work: replicates from one random number generator."""

    def __init__(self, refitter: Refitter, kind: Kind, use_u: bool, statistic: Statistic | None) -> None:
        self.refitter, self.kind, self.use_u, self.statistic = refitter, kind, use_u, statistic
        self.names, _ = original_values(refitter.fit, statistic)

    @property
    def are_together(self) -> bool:
        """Whether replicates are fitted together."""
        return self.statistic is None and self.kind != "cluster" and self.refitter.batch is not None

    def __call__(self, piece: tuple[np.random.Generator, int]) -> tuple[Refits, FloatArray]:
        """Return the replicates of a piece: their estimates, and what is kept of them."""
        rng, count = piece
        fit = self.refitter.fit
        if self.kind == "cluster":
            m = clusters_of(fit).size
            chosen = rng.integers(m, size=(count, m))
            fittings = [lambda c=c: drawn_clusters(fit, c) for c in chosen]
        else:
            Y = draw_responses(fit, self.kind, self.use_u, rng, count)
            if self.statistic is None:
                return self._refitted(Y)
            fittings = [lambda y=y: fit.refit(y) for y in Y.T]
        return _fitted_one_by_one(fit, self.statistic, fittings, self.refitter.tell)

    def _refitted(self, Y: FloatArray) -> tuple[Refits, FloatArray]:
        """Return the estimates of responses, and what is kept of them."""
        try:
            refits = self.refitter.refit(Y)
        except Stopped as stop:
            raise Stopped((stop.part, kept_values(self.refitter.fit, stop.part)), stop.count) from None
        return refits, kept_values(self.refitter.fit, refits)


def _fitted_one_by_one(
    fit: Fit,
    statistic: Statistic | None,
    fittings: Sequence[Callable[[], Fit]],
    tell: Callable[[int], None] | None,
) -> tuple[Refits, FloatArray]:
    """Return the estimates of refits, and what is kept of them; `tell` is told of each."""
    refits = empty_refits(fit, len(fittings))
    names, _ = original_values(fit, statistic)
    values, r = np.full((len(fittings), len(names)), np.nan), 0
    try:
        for r, fitting in enumerate(fittings):
            found = attempt(fitting)
            record(refits, r, found)
            if statistic is not None and not isinstance(found, str):
                _keep(refits, values, r, lambda found=found: statistic(found))  # type: ignore[misc]
            if tell is not None:
                tell(1)
    except KeyboardInterrupt:
        done = first_of(refits, r)
        raise Stopped((done, kept_values(fit, done) if statistic is None else values[:r]), r) from None
    return refits, kept_values(fit, refits) if statistic is None else values


def _keep(refits: Refits, values: FloatArray, r: int, statistic: Callable[[], Any]) -> None:
    """Write down the statistic of replicate r, or that there is none."""
    try:
        _, values[r] = as_values(statistic())
    except Exception as error:  # whatever a user's function raises is kept as the reason
        refits.verdict[r], refits.reasons[r] = FAILED, f"statistic: {error}"


def as_values(result: Any) -> tuple[tuple[str, ...], FloatArray]:
    """Return names and values of what a statistic returned.

    Raises
    ------
    ControlError
        If these are not numbers.
    """
    if isinstance(result, Mapping):
        result = pd.Series(dict(result))
    names = tuple(map(str, result.index)) if isinstance(result, pd.Series) else None
    try:
        values = np.asarray(result, dtype=np.float64).ravel()
    except (TypeError, ValueError) as error:
        raise ControlError(
            f"statistic must return a number, an array, a Series or a dict of numbers, not {shown(result)}."
        ) from error
    if result is None or not values.size:
        raise ControlError(f"statistic must return a number, or several of them, not {shown(result)}.")
    return names or tuple(f"t{i + 1}" for i in range(len(values))), values


def original_values(fit: Fit, statistic: Statistic | None) -> tuple[tuple[str, ...], FloatArray]:
    """Return names and values of what is kept, at the fit itself.

    Raises
    ------
    ControlError
        If `statistic` is no function, or does not return numbers.
    """
    if statistic is None:
        own = empty_refits(fit, 1)
        record(own, 0, fit)
        return kept_names(fit), kept_values(fit, own)[0]
    if not callable(statistic):
        raise ControlError(
            "statistic must be a function of a fitted model, such as lambda m: m.sigma(), not "
            f"{shown(statistic)}."
        )
    return as_values(statistic(fit))


def kept_names(fit: Fit) -> tuple[str, ...]:
    """Return the names of the parameters of a fit, those of ``confint(m, signames=False)``."""
    return tuple(p.name for p in parameters_of(fit))


def kept_values(fit: Fit, refits: Refits) -> FloatArray:
    """Return the parameters of refits under those names, shape (R, k)."""
    scale = refits.sigma if _has_sigma(fit) else np.ones(len(refits.sigma))
    sd = deviations(fit.random, refits.theta, scale * np.where(refits.has_failed, np.nan, 1.0))
    sigma = refits.sigma[:, None] if _has_sigma(fit) else np.empty((len(sd), 0))
    return np.column_stack([sd, sigma, refits.phi, refits.beta])


def _has_sigma(fit: Fit) -> bool:
    """Tell whether theta is relative to a residual deviation, which is a parameter."""
    return fit.family() is None
