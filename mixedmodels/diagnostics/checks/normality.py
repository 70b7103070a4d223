"""Whether residuals, and random effects, are normal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.diagnostics.checks.record import SIGNIFICANT, Check, fine, p_text
from mixedmodels.diagnostics.leverage import leverages_of
from mixedmodels.diagnostics.required import a_fit, a_mixed_fit
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit

#: Values up to which Shapiro and Wilk's test is defined; more are compared with the normal distribution.
MOST_VALUES = 5000
FEWEST_VALUES = 3
#: A spread relative to the largest value below which values are all the same.
EQUAL = 1e-10
#: A leverage closer to 1 leaves no residual to standardize.
FULL_LEVERAGE = 1e-10


@dataclass(frozen=True, slots=True, repr=False)
class NormalityCheck(Check):
    """Tests of normality.

    Attributes
    ----------
    table : DataFrame
        What is tested (index): ``"residuals"``, or ``"Subject: Days"``; columns statistic, p_value and n. NaN
        where values are fewer than three, or all the same.
    effects : {"residuals", "random"}
        Which.
    """

    table: pd.DataFrame
    effects: str

    @property
    def is_fine(self) -> bool | None:
        """Whether no test rejects."""
        known = self.table["p_value"].dropna()
        return fine(float(known.min())) if len(known) else None

    @property
    def sentence(self) -> str:
        """What was found."""
        parts = []
        for name, p in self.table["p_value"].items():
            if np.isnan(p):
                parts.append(f"normality of {name} cannot be checked: too few values that differ")
            else:
                verb = "differ from" if p < SIGNIFICANT else "are compatible with"
                what = name if self.effects == "residuals" else f"random effects {name}"
                parts.append(f"{what} {verb} a normal distribution ({p_text(p)})")
        text = "; ".join(parts) + "."
        return text[0].upper() + text[1:]


@advises
def check_normality(model: Any, *, effects: Literal["residuals", "random"] = "residuals") -> NormalityCheck:
    """Check whether the residuals of a linear model, or the random effects of a mixed one, are normal.

    Parameters
    ----------
    model : fitted model
        Linear for residuals, mixed for random effects.
    effects : {"residuals", "random"}
        What to test.

    Returns
    -------
    NormalityCheck
        Shapiro and Wilk's test of the standardized residuals, or of the conditional modes of each
        coefficient, as R's performance; from 5,000 values on Kolmogorov and Smirnov's.

    Raises
    ------
    NotAvailableError
        If residuals of a generalized model are asked for, or random effects of a model without.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.check_normality(m, effects="random").is_fine
    True
    """
    one_of("effects", effects, ("residuals", "random"))
    if effects == "residuals":
        samples = {"residuals": standardized_residuals(a_fit(model, "check_normality"))}
    else:
        samples = _modes(a_mixed_fit(model, "check_normality"))
    rows = {name: (*_test(values, effects == "random"), len(values)) for name, values in samples.items()}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["statistic", "p_value", "n"])
    return NormalityCheck(table, effects)


def standardized_residuals(fit: Fit) -> FloatArray:
    """Return ``sqrt(w) (y - mean) / (sigma sqrt(1 - h))`` of the rows of positive weight and h < 1.

    Of a model with structured residuals the normalized ones, which the test may take as independent.
    """
    if fit.family() is not None:
        raise NotAvailableError(
            "residuals of a generalized model are not normal; effects='random' checks its random effects."
        )
    weights = fit.prior_weights
    if fit.has_structured_residuals:
        return fit.normalized()[weights > 0.0]
    h = leverages_of(fit)
    used = (weights > 0.0) & (1.0 - h > FULL_LEVERAGE)
    return np.asarray(fit._raw_residuals("pearson")[used] / (fit.sigma() * np.sqrt(1.0 - h[used])))


def _modes(fit: MixedFit) -> dict[str, FloatArray]:
    """Return the conditional modes of each coefficient."""
    return {
        f"{term.label}: {column}": b[:, j]
        for term, b in zip(fit.random, fit.b, strict=True)
        for j, column in enumerate(term.columns)
    }


def _test(values: FloatArray, scale: bool) -> tuple[float, float]:
    """Return statistic and p-value, of values on any scale or of standardized ones."""
    if len(values) < FEWEST_VALUES or np.ptp(values) <= EQUAL * np.abs(values).max(initial=0.0):
        return np.nan, np.nan
    if len(values) < MOST_VALUES:
        test = scipy.stats.shapiro(values)
        return float(test.statistic), float(test.pvalue)
    distances = scipy.stats.kstest((values - values.mean()) / values.std(ddof=1) if scale else values, "norm")
    return float(distances.statistic), float(distances.pvalue)
