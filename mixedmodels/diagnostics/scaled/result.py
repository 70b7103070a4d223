"""Scaled residuals in the user's hand, and their tests."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.special import chdtr, chdtrc, ndtr, ndtri

from mixedmodels.advice import advises, shown
from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.control import one_of
from mixedmodels.diagnostics.checks.overdispersion import check_overdispersion
from mixedmodels.diagnostics.scaled import autocorrelation, outliers
from mixedmodels.diagnostics.scaled import quantiles as trends
from mixedmodels.diagnostics.scaled.arguments import checked_distances, checked_quantiles, scaled_ranks
from mixedmodels.diagnostics.scaled.draws import ResponseDraws
from mixedmodels.diagnostics.scaled.place import Ranked
from mixedmodels.diagnostics.scaled.quantiles import QuantileTest
from mixedmodels.diagnostics.scaled.ranks import ranks_of_all
from mixedmodels.diagnostics.scaled.record import (
    Alternative,
    ResidualTest,
    check_alternative,
    one_or_two_sided,
    simulated_p_value,
)
from mixedmodels.diagnostics.scaled.refitted import RefittedResiduals
from mixedmodels.diagnostics.scaled.rows import ResidualRows
from mixedmodels.diagnostics.scaled.uniformity import HYPOTHESES, STATISTICS, ks_p_value, ks_statistic
from mixedmodels.errors import ControlError, DataError, NotAvailableError
from mixedmodels.fits.family_quantities import response_mean
from mixedmodels.inference.resampling import fixed_part
from mixedmodels.reports.html import Table
from mixedmodels.reports.page import Page, html_of

#: Numbers that are ranked together where residuals depend on each other: a gigabyte.
MOST_NUMBERS = 2**27
DispersionType = Literal["simulated", "Pearson"]
OutlierType = Literal["binomial", "bootstrap"]
Margin = Literal["both", "upper", "lower"]
MARKS = {True: "ok", False: "look", None: "?"}


def _spreads(expected: FloatArray, Y: FloatArray) -> FloatArray:
    """Return the variance of the deviations of each column."""
    return np.asarray((Y - expected[:, None]).var(axis=0, ddof=1))


def _zeros(Y: FloatArray) -> FloatArray:
    return np.asarray(np.count_nonzero(Y == 0.0, axis=0), dtype=np.float64)


def _applied(function: Callable[[FloatArray], float], Y: FloatArray) -> FloatArray:
    """Return what a function makes of each column; all are numbers, or an error says so."""
    try:
        return np.array([float(function(y)) for y in Y.T])
    except (TypeError, ValueError) as error:
        raise ControlError(f"function must turn an array of responses into one number: {error}.") from error


@advises
class ScaledResiduals:
    """Scaled residuals of a model: what :func:`mixedmodels.scaled_residuals` returns.

    Where residuals depend on each other, with random effects drawn afresh (``re_form="0"``) or refits,
    p-values come from what a statistic is in the simulations themselves, in place of formulas for
    independent residuals.
    Simulations that would fill memory are drawn again from their seed where a test needs them.
    """

    def __init__(
        self, rows: ResidualRows, draws: ResponseDraws, refitted: RefittedResiduals | None, ranked: Ranked
    ) -> None:
        self._rows, self._draws, self._refitted, self._ranked = rows, draws, refitted, ranked

    # What was found.

    @property
    def nsim(self) -> int:
        """Number of simulations."""
        return self._ranked.source.nsim

    @property
    def residuals(self) -> pd.Series:
        """Scaled residuals, in (0, 1); NaN at rows without weight."""
        return self._rows.series(self._u, "scaled_residuals")

    def normal(self) -> pd.Series:
        """Return the residuals as normal ones, for normal QQ plots."""
        return self._rows.series(ndtri(self._u), "normal_residuals")

    @property
    def fitted(self) -> pd.Series:
        """Fitted means by the fixed effects alone; sums of groups, numbers of successes."""
        return self._rows.series(self._fitted, "fitted")

    @property
    def observed(self) -> pd.Series:
        """Responses; sums of groups, numbers of successes."""
        return self._rows.series(self._draws.observed, "observed")

    @property
    def outliers(self) -> pd.Series:
        """Whether a response lies outside all of the simulations."""
        below, above = outliers.outlying(self._ranked.below, self._ranked.equal, self.nsim)
        return self._rows.series((below | above).astype(np.float64), "outlier").astype(bool)

    def simulated(self) -> pd.DataFrame:
        """Return the simulated responses, one a column, drawn again from the seed."""
        Y = np.hstack(list(self._draws.map(np.asarray)))
        columns = [f"sim_{i + 1}" for i in range(Y.shape[1])]
        return pd.concat([self._rows.series(y, c) for y, c in zip(Y.T, columns, strict=True)], axis=1)

    @property
    def is_independent(self) -> bool:
        """Whether residuals of different rows are independent under the right model."""
        return self._refitted is None and not self._draws.redrawn

    # Tests.

    def test_uniformity(self, alternative: Alternative = "two.sided") -> ResidualTest:
        """Test whether the residuals are uniform, by Kolmogorov and Smirnov's statistic.

        Parameters
        ----------
        alternative : {"two.sided", "greater", "less"}
            Whether their distribution function differs from that of the uniform, lies above or below.

        Raises
        ------
        ControlError
            If `alternative` is none of these.
        """
        check_alternative(alternative)
        D = float(ks_statistic(self._u, alternative))
        method = "Kolmogorov-Smirnov test of scaled residuals"
        if self.is_independent:
            method, p = f"Exact one-sample {method}", ks_p_value(D, len(self._u), alternative)
        else:
            method, p = self._by_simulation(
                method, D, partial(ks_statistic, alternative=alternative), "greater"
            )
        return ResidualTest(method, {STATISTICS[alternative]: D}, p, HYPOTHESES[alternative])

    def test_dispersion(
        self, alternative: Alternative = "two.sided", type: DispersionType = "simulated"
    ) -> ResidualTest:
        """Test whether responses vary more, or less, about their means than simulated ones.

        Parameters
        ----------
        alternative : {"two.sided", "greater", "less"}
            Greater is overdispersion.
        type : {"simulated", "Pearson"}
            The variance of the deviations from the means over that of the simulations (of refits, the sum of
            squared Pearson residuals), or Pearson's chi-squared over its degrees of freedom.

        Raises
        ------
        ControlError
            If an argument is unknown.
        NotAvailableError
            If Pearson's is asked of a response that is no count, or of groups.
        """
        check_alternative(alternative)
        one_of("type", type, get_args(DispersionType))
        if type == "Pearson":
            return self._pearson(alternative)
        if self._refitted is not None:
            observed, simulated = self._refitted.chisq, self._refitted.simulated_chisq
            method = "Dispersion test by squared Pearson residuals, fitted vs. refitted to simulations"
        else:
            expected = self._draws.expected
            (observed,) = _spreads(expected, self._draws.observed[:, None])
            simulated = np.concatenate(list(self._draws.map(partial(_spreads, expected))))
            method = "Dispersion test by the variance of deviations, observed vs. simulated"
        p = simulated_p_value(observed, simulated, alternative)
        return ResidualTest(method, {"dispersion": _ratio(observed, simulated)}, p, alternative)

    def test_outliers(
        self,
        alternative: Alternative = "two.sided",
        margin: Margin = "both",
        type: OutlierType | None = None,
    ) -> ResidualTest:
        """Test whether more responses lie outside all of their simulations than should.

        Parameters
        ----------
        alternative : {"two.sided", "greater", "less"}
            Greater is too many.
        margin : {"both", "upper", "lower"}
            Above the simulations, below, or either.
        type : {"binomial", "bootstrap"}, optional
            The exact binomial test, right where no two simulations are equal, or the number of outliers that
            each simulation has among the others; by default whichever is right.

        Raises
        ------
        ControlError
            If an argument is unknown.
        """
        check_alternative(alternative)
        one_of("margin", margin, get_args(Margin))
        one_of("type", type, (*get_args(OutlierType), None))
        below, above = outliers.outlying(self._ranked.below, self._ranked.equal, self.nsim)
        k, m = _of_margin(int(below.sum()), int(above.sum()), margin), len(self._u)
        values = {"outliers": float(k), "observations": float(m)}
        if type == "bootstrap" or (type is None and (self._has_ties or not self.is_independent)):
            simulated = self._simulated_outliers(margin)
            values["expected"] = float(simulated.mean())
            p = simulated_p_value(float(k), simulated, alternative)
            return ResidualTest("Outlier test by simulation", values, p, alternative)
        share = (2.0 if margin == "both" else 1.0) / (self.nsim + 1.0)
        values["expected"] = m * share
        two_sided, greater, less = outliers.binomial_p_values(k, m, share)
        p = {"two.sided": two_sided, "greater": greater, "less": less}[alternative]
        return ResidualTest("Outlier test, exact binomial", values, p, alternative)

    def test_zero_inflation(self, alternative: Alternative = "two.sided") -> ResidualTest:
        """Test whether the response has more, or fewer, zeros than simulated ones.

        Parameters
        ----------
        alternative : {"two.sided", "greater", "less"}
            Greater is zero inflation.

        Raises
        ------
        NotAvailableError
            If the response is no whole number.
        """
        check_alternative(alternative)
        if not self._ranked.is_discrete:
            raise NotAvailableError("test_zero_inflation() is for counts and numbers of successes.")
        (observed,) = _zeros(self._draws.observed[:, None])
        simulated = np.concatenate(list(self._draws.map(_zeros)))
        values = {
            "ratio": _ratio(observed, simulated),
            "zeros": observed,
            "expected": float(simulated.mean()),
        }
        p = simulated_p_value(observed, simulated, alternative)
        return ResidualTest("Zero-inflation test, observed vs. simulated zeros", values, p, alternative)

    def test_statistic(
        self, function: Callable[[FloatArray], float], alternative: Alternative = "two.sided"
    ) -> ResidualTest:
        """Test any number that a function computes from the responses against what it is in simulations.

        Parameters
        ----------
        function : callable
            From the responses, shape (m,), to a number.
        alternative : {"two.sided", "greater", "less"}
            Greater is a larger number than simulated.

        Raises
        ------
        ControlError
            If `function` cannot be called, or gives no number.
        """
        check_alternative(alternative)
        if not callable(function):
            raise ControlError(
                f"function must be one that turns responses into a number, not {shown(function)}."
            )
        (observed,) = _applied(function, self._draws.observed[:, None])
        simulated = np.concatenate(list(self._draws.map(partial(_applied, function))))
        values = {
            "ratio": _ratio(observed, simulated),
            "observed": observed,
            "expected": float(simulated.mean()),
        }
        p = simulated_p_value(observed, simulated, alternative)
        return ResidualTest("Test of a statistic, observed vs. simulated", values, p, alternative)

    def test_quantiles(
        self, predictor: Any = None, quantiles: Sequence[float] = (0.25, 0.5, 0.75), rank: bool = True
    ) -> QuantileTest:
        """Test whether quantiles of the residuals depend on a predictor.

        Parameters
        ----------
        predictor : str or array_like, optional
            A column of the data, or a value for each row, by default ``.fitted``; a natural spline of
            numbers, each level of a factor.
        quantiles : sequence of float
            Which.
        rank : bool
            Whether numbers are replaced by their ranks.

        Returns
        -------
        QuantileTest
            The smallest of the adjusted p-values; ``.p_values`` has each, ``.curves()`` the quantiles along
            the predictor.

        Raises
        ------
        ControlError, DataError
            If quantiles are not between 0 and 1, or there is no such predictor.
        """
        taus = checked_quantiles(quantiles)
        name = "fitted" if predictor is None else predictor if isinstance(predictor, str) else "predictor"
        given = self._fitted if predictor is None else predictor
        if predictor is None:
            numbers, values = given, given
        else:
            numbers, values = self._rows.numbers_or_codes(given, "predictor")
        if numbers is None:
            basis = trends.group_basis(np.unique(values.astype(str), return_inverse=True)[1])
        else:
            values = scaled_ranks(numbers) if rank else numbers
            basis = trends.trend_basis(values)
        each = trends.adjusted(trends.score_p_values(self._u[:, None], basis, taus))[:, 0]
        p, method = float(each.min()), f"Quantile test of scaled residuals against {name}"
        if not self.is_independent:
            smallest = partial(_smallest_p, basis, taus)
            method, p = self._by_simulation(method, p, smallest, "less")
        return QuantileTest(
            method, {"df": float(basis.shape[1])}, p, "some quantile is not constant",
            pd.Series(each, index=pd.Index(taus, name="quantile"), name="p_value"), values, self._u, basis,
        )  # fmt: skip

    def test_temporal(
        self, time: Any, alternative: Alternative = "two.sided", series: Any = None
    ) -> ResidualTest:
        """Test whether residuals close in time are alike, by Durbin and Watson's statistic.

        Parameters
        ----------
        time : str or array_like
            A column of the data, or a time for each residual; no two of a series are equal.
        alternative : {"two.sided", "greater", "less"}
            Greater is positive correlation, statistics below 2.
        series : str or array_like, optional
            Series that time runs in apart from the others, such as subjects; by default there is one.

        Raises
        ------
        ControlError, DataError
            If there is no such column, or times are missing or equal.
        """
        check_alternative(alternative)
        times = self._rows.numbers(time, "time")
        codes = np.zeros(len(times), dtype=np.intp)
        if series is not None:
            labels = self._rows.numbers_or_codes(series, "series")[1]
            codes = np.unique(labels.astype(str), return_inverse=True)[1]
        order = np.lexsort((times, codes))
        codes, times = codes[order], times[order]
        if ((np.diff(times) == 0.0) & (np.diff(codes) == 0)).any():
            raise DataError(
                "time has the same value at several residuals: name the series they belong to, "
                "series='subject', or take residuals of sums, scaled_residuals(m, by='time')."
            )
        statistic = partial(_of_rows, order, partial(autocorrelation.durbin_watson, series=codes))
        dw, method = float(statistic(self._u)), "Durbin-Watson test of scaled residuals"
        if self.is_independent:
            p = one_or_two_sided(*autocorrelation.durbin_watson_p_values(dw, codes), alternative)
        else:
            method, p = self._by_simulation(method, dw, statistic, _OPPOSITE[alternative])
        return ResidualTest(method, {"DW": dw}, p, _CORRELATION[alternative])

    def test_spatial(
        self, x: Any = None, y: Any = None, alternative: Alternative = "two.sided", distances: Any = None
    ) -> ResidualTest:
        """Test whether residuals close in space are alike, by Moran's I with inverse distances as weights.

        Parameters
        ----------
        x, y : str or array_like
            Coordinates: columns of the data, or a number for each residual; `y` may be left out.
        alternative : {"two.sided", "greater", "less"}
            Greater is positive correlation.
        distances : array_like of shape (m, m), optional
            Distances of all residuals from each other, in place of coordinates.

        Raises
        ------
        ControlError, DataError
            If there are no such columns, or two residuals are at one place.
        """
        check_alternative(alternative)
        near = self._neighbours(x, y, distances)
        statistic = partial(autocorrelation.morans_i, near=near)
        found, method = float(statistic(self._u)), "Moran's I test of scaled residuals"
        mean, sd = autocorrelation.moran_moments(self._u, near)
        if self.is_independent:
            z = (found - mean) / sd
            p = one_or_two_sided(float(ndtr(-z)), float(ndtr(z)), alternative)
        else:
            method, p = self._by_simulation(method, found, statistic, alternative)
        return ResidualTest(
            method, {"observed": found, "expected": mean, "sd": sd}, p, _CORRELATION[alternative]
        )

    def tests(self) -> dict[str, ResidualTest]:
        """Return the tests that need no further argument, by name."""
        found = {"uniformity": self.test_uniformity(), "dispersion": self.test_dispersion()}
        found["outliers"] = self.test_outliers()
        if self._ranked.is_discrete and (self.observed == 0.0).any():
            found["zero inflation"] = self.test_zero_inflation()
        found["quantiles"] = self.test_quantiles()
        return found

    def __repr__(self) -> str:
        what = f"{self.nsim} {'simulations' if self._refitted is None else 'refits to simulations'}"
        kept = "with random effects drawn afresh" if self._draws.redrawn else "given all effects"
        cells = tuple((MARKS[test.is_fine], name, test.line) for name, test in self.tests().items())
        lines = "\n".join(f"{mark:<6}{name:<16}{line}" for mark, name, line in cells)
        table = Table(lines, cells, ("",) * len(cells), ("", "Test", "Result"))
        return Page([f"Scaled residuals of {len(self._u)} responses among {what} {kept}", "", table])

    def _repr_html_(self) -> str:
        return html_of(repr(self))

    # What the tests share.

    @property
    def _u(self) -> FloatArray:
        return self._ranked.residuals

    @property
    def _fitted(self) -> FloatArray:
        fit = self._rows.fit
        family, eta = fit.family(), fixed_part(fit)
        return self._draws.sums(eta if family is None else response_mean(family, eta, fit.phi))

    @property
    def _has_ties(self) -> bool:
        return bool(self._ranked.equal.any())

    def _by_simulation(
        self, method: str, observed: float, statistic: Callable[[FloatArray], FloatArray],
        alternative: Alternative,
    ) -> tuple[str, float]:  # fmt: skip
        """Return the name of a test and its p-value, from what the statistic is in each simulation."""
        source = self._ranked.source
        if len(self._u) * (source.nsim + 1) > MOST_NUMBERS:
            raise NotAvailableError(
                f"residuals of {len(self._u)} rows that depend on each other are tested by ranking all "
                f"{source.nsim} simulations together, which needs more than a gigabyte: take a smaller nsim, "
                "groups (by=), or re_form=None, whose residuals are independent."
            )
        values = np.column_stack([self._ranked.observed, *source.map(np.asarray)])
        ranks = ranks_of_all(values, copy.deepcopy(self._ranked.ties))[:, 1:]
        return f"{method}, by simulation", simulated_p_value(observed, statistic(ranks), alternative)

    def _simulated_outliers(self, margin: Margin) -> FloatArray:
        """Return how many outliers each simulation has among the others and the response, shape (nsim,)."""
        source = self._ranked.source
        found = outliers.extremes(self._ranked.observed[:, None])
        for other in source.map(outliers.extremes):
            found.take_in(other)
        counts = [_of_margin(*pair, margin) for pair in source.map(found.lone)]
        return np.concatenate(counts).astype(np.float64)

    def _pearson(self, alternative: Alternative) -> ResidualTest:
        if self._rows.groups is not None:
            raise NotAvailableError(
                "type='Pearson' is a test of single rows; leave out by=, or take 'simulated'."
            )
        check = check_overdispersion(self._rows.fit)
        greater, less = float(chdtrc(check.df, check.chisq)), float(chdtr(check.df, check.chisq))
        values = {"dispersion": check.ratio, "df": float(check.df)}
        p = one_or_two_sided(greater, less, alternative)
        return ResidualTest("Dispersion test, Pearson's chi-squared", values, p, alternative)

    def _neighbours(self, x: Any, y: Any, distances: Any) -> autocorrelation.Neighbours:
        m, none = len(self._u), np.empty((0, 0))
        if (x is None) == (distances is None):
            raise ControlError("test_spatial() needs coordinates, x= and y=, or distances=, and not both.")
        if m <= FEWEST_POINTS:
            raise DataError(f"Moran's I needs more than {FEWEST_POINTS} residuals, not {m}.")
        if distances is None:
            given = {"x": x} if y is None else {"x": x, "y": y}
            points = np.column_stack([self._rows.numbers(v, name) for name, v in given.items()])
            near = autocorrelation.neighbours(points, none)
        else:
            near = autocorrelation.neighbours(none, checked_distances(distances, m))
        if not np.isfinite(near.totals).all():
            raise DataError(
                "two residuals are at one place, and their distance is zero: take residuals of the sums at "
                "each place, scaled_residuals(m, by='place')."
            )
        return near


#: Residuals up to which the standard deviation of Moran's I is not defined.
FEWEST_POINTS = 3
_OPPOSITE: dict[Alternative, Alternative] = {"two.sided": "two.sided", "greater": "less", "less": "greater"}
_CORRELATION: dict[Alternative, str] = {
    "two.sided": "the autocorrelation is not 0",
    "greater": "the autocorrelation is greater than 0",
    "less": "the autocorrelation is less than 0",
}


def _of_margin(below: Any, above: Any, margin: Margin) -> Any:
    return below + above if margin == "both" else above if margin == "upper" else below


def _ratio(observed: float, simulated: FloatArray) -> float:
    """Return the observed number over the mean of the simulated ones; NaN where that is zero."""
    mean = float(simulated.mean())
    return float(observed) / mean if mean != 0.0 else np.nan


def _smallest_p(basis: FloatArray, taus: tuple[float, ...], U: FloatArray) -> FloatArray:
    return np.asarray(trends.adjusted(trends.score_p_values(U, basis, taus)).min(axis=0))


def _of_rows(order: IntArray, statistic: Callable[[FloatArray], FloatArray], U: FloatArray) -> FloatArray:
    return statistic(U[order])
