"""Exact finite-sample tests of one variance component (Crainiceanu & Ruppert 2004, J. R. Stat. Soc. B 66).

With one variance ``lambda sigma^2`` the likelihood ratio depends on the data through independent normal w
only:

    RLRT = sup_l (n - p) log(sum w^2 / D(l)) - sum_s log(1 + l mu_s),   D(l) = sum_s w_s^2 / (1 + l mu_s)

with mu the eigenvalues of ``Z'PZ``, P the projection off the fixed effects, and zeros up to n - p. The ratio
of likelihoods has n in place of n - p, the eigenvalues of ``Z'Z`` in the sum of logarithms, and one more term
for fixed effects that are tested too. So its distribution is simulated without a single fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray
from mixedmodels.control import whole_number
from mixedmodels.engines.linear.fit import fit_linear
from mixedmodels.engines.linear.reml import LOG_2PI
from mixedmodels.errors import ControlError, DataError, DataWarning, NotAvailableError, warn
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.inference.comparability import different_responses, different_sizes
from mixedmodels.prediction.draws import Seed, generator
from mixedmodels.progress import PATIENCE, Progress
from mixedmodels.reports.numbers import format_numbers, format_p_values
from mixedmodels.reports.page import Page, html_of

#: Ends of the grid of log lambda, relative to the largest eigenvalue, and its points; the maximum is then
#: moved to the vertex of the parabola through the best point and its neighbours.
LOWEST, HIGHEST, POINTS = -10.0, 8.0, 200
#: Eigenvalues are equal, or zero, up to this share of the largest.
EQUAL = 1e-9
#: A statistic below this is zero: what is left of the tolerance of a fit.
ZERO = 1e-8
#: Draws at once.
DRAWS = 2000
#: Levels of a grouping factor up to which eigenvalues are computed.
MOST_LEVELS = 5000


@dataclass(frozen=True)
class ExactTest:
    """An exact test of a variance.

    Attributes
    ----------
    statistic : float
        Likelihood ratio, or restricted one.
    p_value : float
        Share of simulated ratios that are larger.
    nsim : int
        Simulated ratios.
    sample : ndarray, shape (nsim,)
        These.
    name : str
        ``"RLRT"`` or ``"LRT"``.
    """

    statistic: float
    p_value: float
    nsim: int
    sample: FloatArray
    name: str

    def __repr__(self) -> str:
        value = format_numbers([self.statistic], 5)[0].strip()
        # No simulated ratio being larger says that p is below one in their number, and no more.
        least = format_numbers([1.0 / self.nsim], 4)[0].strip()
        p = format_p_values([self.p_value], 4)[0].strip() if self.p_value > 0.0 else f"< {least}"
        return Page(
            [
                f"Simulated finite sample distribution of {self.name}",
                f"(p-value based on {self.nsim} simulated values)",
                "",
                f"{self.name} = {value}, p-value {p if p.startswith('<') else f'= {p}'}",
            ]
        )

    def to_frame(self) -> pd.DataFrame:
        """Return statistic, p-value and number of simulated ratios as a DataFrame of one row."""
        values = {"statistic": self.statistic, "p.value": self.p_value, "nsim": self.nsim}
        return pd.DataFrame(values, index=[self.name])

    def _repr_html_(self) -> str:
        return html_of(repr(self))


@advises
def exact_rlrt(
    model: Fit,
    nsim: int = 10000,
    *,
    rng: Seed = None,
) -> ExactTest:
    """Test whether the only variance of random effects is zero, by the exact restricted likelihood ratio.

    Parameters
    ----------
    model : LinearMixedModel
        With one random-effects term of one variance; of a fit by maximum likelihood the REML one is taken.
    nsim : int
        Simulated ratios.
    rng : int or numpy Generator, optional
        Seed.

    Returns
    -------
    ExactTest
        Statistic and p-value. Ctrl-C returns what rests on the ratios drawn so far, with a warning.

    Raises
    ------
    NotAvailableError
        If the model has more than one variance, or is no linear mixed model.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"))
    >>> test = mm.exact_rlrt(m, rng=1)
    >>> bool(0.002 < test.p_value < 0.01)
    True
    """
    fit = _one_variance(model, "exact_rlrt")
    nsim = whole_number("nsim", nsim, 1)
    problem = fit.problem
    df = problem.n - problem.p
    objective = (fit.estimates if fit.is_reml else fit_linear(problem, True, y=fit.y)).solution.objective
    without = df * (LOG_2PI + np.log(problem.equations.rss / df) + 1.0)
    without += problem.fixed_basis.log_det_R2 - problem.sum_log_weights
    mu, _ = eigenvalues(fit)
    sample = simulated_ratios(mu, mu, df, df, 0, nsim, generator(rng))
    return _test(without - objective, sample, "RLRT")


@advises
def exact_lrt(
    model: Fit,
    null: Fit,
    nsim: int = 10000,
    *,
    rng: Seed = None,
) -> ExactTest:
    """Test whether the only variance, and some fixed effects, are zero, by the exact likelihood ratio.

    Parameters
    ----------
    model : LinearMixedModel
        With one random-effects term of one variance; refitted by maximum likelihood if need be.
    null : LinearModel
        The model under the hypothesis, from ``lm()``: no random effects, and fewer fixed ones if these are
        tested too.
    nsim : int
        Simulated ratios.
    rng : int or numpy Generator, optional
        Seed.

    Returns
    -------
    ExactTest
        Statistic and p-value. Ctrl-C returns what rests on the ratios drawn so far, with a warning.

    Raises
    ------
    NotAvailableError
        If the model has more than one variance, or is no linear mixed model.
    ControlError
        If `null` is no linear model, or has fixed effects that `model` has not.
    DataError
        If the models were not fitted to the same response at the same rows.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> dyestuff = mm.load_dataset("Dyestuff")
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff, REML=False)
    >>> test = mm.exact_lrt(m, mm.lm("Yield ~ 1", dyestuff), rng=1)
    >>> bool(0.002 < test.p_value < 0.02)
    True
    """
    fit = _one_variance(model, "exact_lrt")
    nsim = whole_number("nsim", nsim, 1)
    if not isinstance(null, Fit) or not null.is_least_squares:
        raise ControlError(f"null must be a linear model from lm(), not {shown(null)}.")
    if difference := different_sizes((fit, null)) or different_responses((fit, null)):
        raise DataError(difference)
    if extra := [name for name in null.design.x_names if name not in fit.design.x_names]:
        raise ControlError(f"null has the fixed effect {extra[0]}, which the mixed model has not.")
    problem = fit.problem
    statistic = 2.0 * (fit.refitML().loglik() - null.loglik())
    mu, xi = eigenvalues(fit)
    tested = problem.p - len(null.beta)
    sample = simulated_ratios(mu, xi, problem.n - problem.p, problem.n, tested, nsim, generator(rng))
    return _test(statistic, sample, "LRT")


def _one_variance(model: Fit, function: str) -> LinearFit:
    if not isinstance(model, LinearFit):
        raise NotAvailableError(
            f"{function}() tests the variance of a linear mixed model from lmer(), not {shown(model)}."
        )
    if len(model.random) != 1 or model.random[0].size != 1:
        terms = ", ".join(f"({term.expression})" for term in model.random)
        raise NotAvailableError(
            f"{function}() needs a model with a single variance of random effects; this one has {terms}. "
            "pb_modcomp() compares any nested models, anova() gives the p-value of a chi-bar-square mixture."
        )
    if model.random[0].n_levels > MOST_LEVELS:
        raise NotAvailableError(
            f"{function}() needs the eigenvalues of a matrix with a row for each of the "
            f"{model.random[0].n_levels} levels; anova() gives the p-value of a chi-bar-square mixture, "
            "which is good for so many."
        )
    return model


def _test(statistic: float, sample: FloatArray, name: str) -> ExactTest:
    statistic = statistic if statistic > ZERO else 0.0
    p_value = float(np.mean(sample > statistic)) if statistic else 1.0
    return ExactTest(statistic, p_value, len(sample), sample, name)


def eigenvalues(fit: LinearFit) -> tuple[FloatArray, FloatArray]:
    """Return the eigenvalues of ``Z'PZ`` and of ``Z'Z`` of a fit with one scalar term, each (q,).

    Z holds the square roots of the weights, and of a known covariance of the levels.
    """
    (term,), problem = fit.random, fit.problem
    z = term.Z[:, 0] if problem.root_weights is None else term.Z[:, 0] * problem.root_weights
    squares = np.bincount(term.codes, z * z, term.n_levels).astype(np.float64)
    Q = problem.fixed_basis.Q
    across = np.array([np.bincount(term.codes, z * column, term.n_levels) for column in Q.T])
    across = across.reshape(Q.shape[1], term.n_levels)
    ZZ, ZPZ = np.diag(squares), np.diag(squares) - across.T @ across
    if term.relationship is not None:
        ZZ, ZPZ = (term.relationship.T @ M @ term.relationship for M in (ZZ, ZPZ))
    return np.asarray(np.linalg.eigvalsh(ZPZ), float), np.asarray(np.linalg.eigvalsh(ZZ), float)


def simulated_ratios(
    mu: FloatArray, xi: FloatArray, df: int, factor: int, tested: int, nsim: int, rng: np.random.Generator
) -> FloatArray:
    """Draw likelihood ratios under the hypothesis, shape (nsim,).

    Parameters
    ----------
    mu, xi : ndarray
        Eigenvalues in the quadratic forms and in the sum of logarithms.
    df : int
        n - p.
    factor : int
        What the logarithm of the sums of squares is multiplied by: n - p or n.
    tested : int
        Fixed effects that are zero under the hypothesis.
    nsim : int
        Draws.
    rng : numpy Generator
        Where the draws come from.
    """
    largest = max(float(mu.max()), float(xi.max()))
    values, counts = _distinct(mu / largest)
    logs, log_counts = _distinct(xi / largest)
    grid = np.exp(np.linspace(LOWEST, HIGHEST, POINTS))
    shrunk = 1.0 / (1.0 + np.multiply.outer(values, grid))
    penalty = log_counts @ np.log1p(np.multiply.outer(logs, grid))

    def draw(size: int) -> FloatArray:
        w2 = rng.chisquare(counts, size=(size, len(counts)))
        rest = rng.chisquare(df - counts.sum(), size=size) if df > counts.sum() else np.zeros(size)
        total = w2.sum(axis=1) + rest
        heights = factor * np.log(total[:, None] / (w2 @ shrunk + rest[:, None])) - penalty
        ratio = np.maximum(_highest(heights), 0.0)
        if tested:
            ratio += factor * np.log1p(rng.chisquare(tested, size=size) / total)
        return np.asarray(ratio)

    return np.concatenate(_drawn(draw, nsim))


def _drawn(draw: Callable[[int], FloatArray], nsim: int) -> list[FloatArray]:
    """Return draws, some at once; on Ctrl-C those that are done, with a warning."""
    ratios: list[FloatArray] = []
    with Progress(nsim, None, "simulated ratios", PATIENCE) as bar:
        try:
            for first in range(0, nsim, DRAWS):
                size = min(DRAWS, nsim - first)
                ratios.append(draw(size))
                bar.add(size)
        except KeyboardInterrupt:
            if not ratios:
                raise
            warn(
                f"the exact test was interrupted: {bar.done} of {nsim} ratios are drawn, and its p-value "
                "rests on these.",
                DataWarning,
            )
    return ratios


def _distinct(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the distinct positive eigenvalues and how often each occurs."""
    ordered = np.sort(values[values > EQUAL])
    group = np.cumsum(np.diff(ordered, prepend=ordered[:1]) > EQUAL)
    counts = np.bincount(group).astype(np.float64)
    return np.bincount(group, ordered) / counts, counts


def _highest(heights: FloatArray) -> FloatArray:
    """Return the maximum of each row of values on an even grid, between its points by a parabola."""
    best = np.clip(heights.argmax(axis=1), 1, heights.shape[1] - 2)
    rows = np.arange(len(heights))
    left, middle, right = (heights[rows, best + k] for k in (-1, 0, 1))
    slope, bend = 0.5 * (right - left), left - 2.0 * middle + right
    inner = (bend < 0.0) & (np.abs(slope) <= -bend)
    vertex = middle - np.where(inner, slope**2 / (2.0 * np.where(inner, bend, 1.0)), 0.0)
    return np.asarray(np.maximum(vertex, heights.max(axis=1)))
