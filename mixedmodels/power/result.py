"""The result of a power study: how often a test rejected, and how surely that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy import special

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.inference.wald import check_level
from mixedmodels.power.decisions import Decisions
from mixedmodels.reports.html import Table
from mixedmodels.reports.page import Page, html_of
from mixedmodels.reports.printed_frame import PrintedFrame

Interval = Literal["wilson", "clopper-pearson"]
INTERVALS = {"wilson": "Wilson", "clopper-pearson": "Clopper-Pearson"}


def binomial_interval(successes: int, n: int, level: float, method: Interval) -> tuple[float, float]:
    """Return confidence limits of a probability.

    Parameters
    ----------
    successes, n : int
        What was observed.
    level : float
        Confidence level.
    method : {"wilson", "clopper-pearson"}
        The inverted score test, which covers at its level on average; or the exact one, which covers at no
        less than its level.

    Raises
    ------
    ControlError
        If `level` or `method` is none.

    References
    ----------
    Brown, Cai & DasGupta (2001), Stat. Sci. 16.

    Examples
    --------
    >>> [round(x, 4) for x in binomial_interval(80, 100, 0.95, "wilson")]
    [0.7112, 0.8666]
    >>> [round(x, 4) for x in binomial_interval(80, 100, 0.95, "clopper-pearson")]
    [0.7082, 0.8733]
    """
    check_level(level)
    one_of("interval", method, get_args(Interval))
    if n == 0:
        return np.nan, np.nan
    tail = (1.0 - level) / 2.0
    if method == "clopper-pearson":
        lower = special.betaincinv(successes, n - successes + 1, tail) if successes else 0.0
        upper = special.betaincinv(successes + 1, n - successes, 1.0 - tail) if successes < n else 1.0
        return float(lower), float(upper)
    z = special.ndtri(1.0 - tail)
    p = successes / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At the ends of the range one limit is the end itself, which rounding would miss.
    return (
        0.0 if successes == 0 else float(centre - half),
        1.0 if successes == n else float(centre + half),
    )


class Power:
    """The power of a test, simulated: what :func:`mixedmodels.power` returns.

    Attributes
    ----------
    test, method : str
        What was tested, and how.
    formula : str
        The model.
    effects : dict
        Value of each coefficient tested in the simulations.
    alpha : float
        Level of the test.
    p_values : ndarray, shape (nsim,)
        NaN where a fit failed.
    n_doubtful : int
        Fits that stopped before their optimum; their p-values count.
    reasons : dict
        By number of the simulation, why a fit failed.
    n_rows : int
        Rows of the data.
    n_levels : dict
        Levels of each grouping factor.
    interval, level
        Kind and level of the confidence interval.
    """

    def __init__(
        self, test: str, method: str, formula: str, effects: Mapping[str, float], alpha: float,
        decisions: Decisions, requested: int, n_rows: int, n_levels: Mapping[str, int],
        interval: Interval, level: float,
    ) -> None:  # fmt: skip
        self.test, self.method, self.formula, self.effects = test, method, formula, dict(effects)
        self.alpha, self.p_values, self.reasons = alpha, decisions.p_values, decisions.reasons
        self.n_doubtful = int(decisions.doubtful.sum())
        self.requested, self.n_rows, self.n_levels = requested, n_rows, dict(n_levels)
        self.interval, self.level = interval, level

    @property
    def nsim(self) -> int:
        """Number of simulations, those that failed included."""
        return len(self.p_values)

    @property
    def n_significant(self) -> int:
        """Number of p-values below alpha."""
        return int(np.count_nonzero(self.p_values < self.alpha))

    @property
    def n_failed(self) -> int:
        """Number of simulations without a p-value; they count as not significant."""
        return int(np.isnan(self.p_values).sum())

    @property
    def power(self) -> float:
        """Share of all simulations with a p-value below alpha."""
        return self.n_significant / self.nsim if self.nsim else np.nan

    def confint(self, level: float | None = None, interval: Interval | None = None) -> pd.Series:
        """Return confidence limits of the power, which say how many simulations there were.

        Parameters
        ----------
        level : float, optional
            Confidence level.
        interval : {"wilson", "clopper-pearson"}, optional
            Kind of interval.

        Raises
        ------
        ControlError
            If either is none.
        """
        kind = self.interval if interval is None else interval
        limits = binomial_interval(
            self.n_significant, self.nsim, self.level if level is None else level, kind
        )
        return pd.Series(limits, index=["lower", "upper"], name="power")

    def to_frame(self) -> pd.DataFrame:
        """Return one row: numbers of levels and rows, simulations, power with its limits, failures."""
        limits = self.confint()
        row = {
            **self.n_levels, "rows": self.n_rows, "nsim": self.nsim, "significant": self.n_significant,
            "power": self.power, "lower": limits["lower"], "upper": limits["upper"], "failed": self.n_failed,
            "doubtful": self.n_doubtful,
        }  # fmt: skip
        return pd.DataFrame([row])

    def __repr__(self) -> str:
        lower, upper = self.confint()
        kind = f"{100 * self.level:g}% {INTERVALS[self.interval]} interval"
        levels = "".join(f", {n} {group}" for group, n in self.n_levels.items())
        done = str(self.nsim) if self.nsim == self.requested else f"{self.nsim} of {self.requested}"
        lines = [
            f"Power of the test of {self.test}: {100 * self.power:.1f}% ({kind} {100 * lower:.1f}% to "
            f"{100 * upper:.1f}%)",
            f"Model: {self.formula}",
            f"Test: {self.method}, alpha = {self.alpha:g}",
        ]
        if self.effects:
            lines.append(
                f"Effect: {', '.join(f'{name} = {value:.5g}' for name, value in self.effects.items())}"
            )
        failed = f"{self.n_failed} failed" + (" (not significant)" if self.n_failed else "")
        doubtful = f", {self.n_doubtful} stopped before their optimum" if self.n_doubtful else ""
        lines.append(f"Data: {self.n_rows} rows{levels}; {done} simulations, {failed}{doubtful}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_of(repr(self))


advises(Power)


class PowerCurve(PrintedFrame):
    """Power at several sizes, a DataFrame; ``.results`` has the :class:`Power` of each."""

    _metadata = ["heading", "results"]  # noqa: RUF012 (pandas reads this class attribute)
    heading: tuple[str, ...]
    results: tuple[Power, ...]

    def __repr__(self) -> str:
        frame = pd.DataFrame(self).copy()
        for name in ("power", "lower", "upper"):
            frame[name] = [f"{share:.1%}" for share in frame[name]]
        cells = tuple(tuple(map(str, row)) for row in frame.itertuples(index=False))
        text = frame.to_string(index=False)
        return Page([*self.heading, Table(text, cells, ("",) * len(cells), tuple(map(str, frame.columns)))])


def power_curve_of(results: tuple[Power, ...], sizes: FloatArray, size: str) -> PowerCurve:
    """Return the table of power studies of one test, by a size that differs between them."""
    rows = pd.concat([result.to_frame() for result in results], ignore_index=True)
    if size not in rows.columns:
        rows.insert(0, size, sizes)
    table = PowerCurve(rows)
    first = results[0]
    effects = ", ".join(f"{name} = {value:.5g}" for name, value in first.effects.items())
    table.heading = (
        f"Power of the test of {first.test}, {first.method}, alpha = {first.alpha:g}"
        + (f"; effect: {effects}" if effects else ""),
        f"Model: {first.formula}; limits: {100 * first.level:g}% {INTERVALS[first.interval]} intervals",
    )
    table.results = results
    return table
