"""A printed number beside ours, and how far apart they may be.

SAS stops at a relative criterion of 1e-8 and prints what it has there: measured against optima of independent
Newton fits, its -2 log-likelihood is up to 1.3e-5 too high, its estimates are up to 0.0025 standard errors
off, standard errors up to 1.2e-4, degrees of freedom up to 4e-4 and covariances up to 0.5 % of their value.
`SAS` has these distances, rounded up; `SPSS`, which prints eight decimals, those of its last ones. Half a
unit of the last printed digit is added to all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
from scipy import stats

from mixedmodels.arrays import FloatArray

#: What a minimum may be above a printed one: the last digit of eight, twice.
ABOVE = 1e-8
#: Rounding of our own numbers, relative to them: a printed number may end in a five.
OWN_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Slack:
    """How far a program stops from the optimum that it prints.

    Attributes
    ----------
    loglik : float
        -2 log-likelihood, above.
    estimate : float
        Estimates, in standard errors.
    se, df, covariance : float
        Standard errors, degrees of freedom, covariance parameters, relative; parameters below 1 absolutely.
    """

    loglik: float = 0.0
    estimate: float = 0.0
    se: float = 0.0
    df: float = 0.0
    covariance: float = 0.0

    def of_covariance(self, value: float) -> float:
        """Return that of a covariance parameter."""
        return self.covariance * max(1.0, abs(value))

    def of_t(self, t: float) -> float:
        """Return that of a t statistic."""
        return self.estimate + self.se * abs(t)

    def of_f(self, f: float) -> float:
        """Return that of an F or chi-square statistic over its degrees of freedom."""
        return 2.0 * self.estimate * math.sqrt(abs(f)) + 2.0 * self.se * abs(f)


SAS = Slack(2e-5, 0.003, 2e-4, 5e-4, 0.006)
SPSS = Slack(se=2e-7, df=2e-5)


@dataclass(frozen=True, slots=True)
class Number:
    """One printed number beside ours.

    Attributes
    ----------
    quantity : str
        What it is.
    printed : str
        As printed: ``"<.0001"`` is a bound.
    ours : float
        Ours.
    below, above : float
        How far ours may be below and above.
    reason : str
        Why it differs, where that is known; it then counts as named.
    count, beyond : int
        How many printed numbers this one, the worst of a column, stands for, and how many of the others are
        beyond their tolerance too.
    """

    quantity: str
    printed: str
    ours: float
    below: float
    above: float
    reason: str = ""
    count: int = 1
    beyond: int = 0

    @property
    def difference(self) -> float:
        """Ours minus the printed number; 0 within a bound."""
        if self.printed.startswith("<"):
            return max(self.ours - float(self.printed[1:]), 0.0)
        return self.ours - float(self.printed)

    @property
    def holds(self) -> bool:
        """Whether ours is within the tolerance."""
        own = OWN_ROUNDING * self.above
        return -self.below - own <= self.difference <= self.above + own

    @property
    def verdict(self) -> str:
        """``ok``, ``named`` or ``MISSED``."""
        return "ok" if self.holds else "named" if self.reason else "MISSED"


def half_unit(printed: str) -> float:
    """Return half a unit of the last printed digit.

    Examples
    --------
    >>> half_unit("41.9576"), half_unit("161"), half_unit("3.468E-9")
    (5e-05, 0.5, 5e-13)
    """
    exponent = Decimal(printed).as_tuple().exponent
    return float(Decimal(5).scaleb(int(exponent) - 1))


def number(quantity: str, printed: Any, ours: float, slack: float = 0.0) -> list[Number]:
    """Return a comparison, or none where the program printed a blank (``"."``)."""
    text = str(printed)
    if text == ".":
        return []
    own = slack if text.startswith("<") else half_unit(text) + slack
    return [Number(quantity, text, float(ours), own, own)]


def loglikelihood(quantity: str, printed: str, ours: float, slack: Slack) -> list[Number]:
    """Return the comparison of -2 log-likelihoods: ours may be lower by what a program stops above."""
    half = max(half_unit(printed), ABOVE)
    return [Number(quantity, printed, ours, half + slack.loglik, half)]


def column(quantity: str, printed: list[str], ours: FloatArray, slack: FloatArray) -> list[Number]:
    """Return the worst of a column of printed numbers, blanks left out, that stands for all."""
    rows = [
        replace(each, quantity=f"{quantity}, row {place + 1}")
        for place, (text, value, own) in enumerate(zip(printed, ours.tolist(), slack.tolist(), strict=True))
        if text
        for each in number(quantity, text, value, own)
    ]
    worst = max(rows, key=lambda each: abs(each.difference) / each.above)
    others = sum(not row.holds for row in rows) - (not worst.holds)
    quantity = f"{worst.quantity} (worst of {len(rows)})"
    return [replace(worst, quantity=quantity, count=len(rows), beyond=others)]


def test_row(label: str, printed: Mapping[str, Any], ours: Mapping[str, float], slack: Slack) -> list[Number]:
    """Return the comparisons of an estimate, its standard error, test and limits.

    Parameters
    ----------
    label : str
        What is estimated.
    printed : mapping
        Any of estimate, se, df, t, p, lower, upper.
    ours : mapping
        All of them.
    slack : Slack
        Of the program.
    """
    se, t = ours["se"], abs(ours["t"])
    density = 2.0 * float(stats.t.pdf(t, ours["df"]))
    half_length = 0.5 * (ours["upper"] - ours["lower"])
    slacks = {
        "estimate": slack.estimate * se,
        "se": slack.se * se,
        "df": slack.df * ours["df"],
        "t": slack.of_t(t),
        "p": density * slack.of_t(t),
        "lower": slack.estimate * se + slack.se * half_length,
        "upper": slack.estimate * se + slack.se * half_length,
    }
    return [
        each
        for name, own in slacks.items()
        if name in printed
        for each in number(f"{label} {name}", printed[name], ours[name], own)
    ]


def f_row(label: str, printed: Mapping[str, Any], ours: Mapping[str, float], slack: Slack) -> list[Number]:
    """Return the comparisons of an F test: num_df, den_df, f, p_f, and chisq, p_chisq."""
    f, df1, df2 = ours["f"], ours["num_df"], ours["den_df"]
    own = slack.of_f(f)
    slacks = {
        "num_df": 0.0,
        "den_df": slack.df * df2,
        "f": own,
        "p_f": float(stats.f.pdf(f, df1, df2)) * own if own else 0.0,
        "chisq": df1 * own,
        "p_chisq": float(stats.chi2.pdf(f * df1, df1)) * df1 * own if own else 0.0,
    }
    values = {**ours, "chisq": f * df1, "p_chisq": float(stats.chi2.sf(f * df1, df1))}
    return [
        each
        for name, allowed in slacks.items()
        if name in printed
        for each in number(f"{label} {name}", printed[name], values[name], allowed)
    ]


def matrix(label: str, printed: list[list[str]], ours: FloatArray, slack: Slack) -> list[Number]:
    """Return the comparisons of the lower triangle of a covariance or correlation matrix."""
    i, j = np.tril_indices(len(printed))
    return [
        each
        for a, b in zip(i.tolist(), j.tolist(), strict=True)
        for each in number(
            f"{label}({a + 1},{b + 1})", printed[a][b], ours[a, b], slack.of_covariance(float(ours[a, b]))
        )
    ]
