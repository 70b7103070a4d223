"""Whether the residual variance changes with the fitted values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc

from mixedmodels.advice import advises
from mixedmodels.diagnostics.checks.record import SIGNIFICANT, Check, fine, p_text
from mixedmodels.diagnostics.required import a_fit
from mixedmodels.errors import NotAvailableError

#: Fitted values whose spread relative to their size is below this do not vary.
CONSTANT = 1e-10


@dataclass(frozen=True, slots=True, repr=False)
class HeteroscedasticityCheck(Check):
    """Breusch and Pagan's test of squared residuals against fitted values.

    Attributes
    ----------
    statistic : float
        Chi-squared on one degree of freedom; NaN where the fitted values do not vary.
    p_value : float
        Probability of a larger one.
    """

    statistic: float
    p_value: float

    @property
    def is_fine(self) -> bool | None:
        """Whether the test does not reject a constant variance."""
        return fine(self.p_value)

    @property
    def sentence(self) -> str:
        """What was found."""
        if np.isnan(self.p_value):
            return "Heteroscedasticity cannot be checked: the fitted values, or the residuals, do not vary."
        found = f"Breusch-Pagan test: chi-squared {self.statistic:.3g} on 1 df, {p_text(self.p_value)}."
        if self.p_value < SIGNIFICANT:
            return f"The residual variance changes with the fitted values (heteroscedasticity). {found}"
        return f"The residual variance does not visibly change with the fitted values. {found}"


@advises
def check_heteroscedasticity(model: Any) -> HeteroscedasticityCheck:
    """Check whether the residual variance of a linear model changes with the fitted values.

    Parameters
    ----------
    model : fitted linear model
        With or without random effects.

    Returns
    -------
    HeteroscedasticityCheck
        Breusch and Pagan's (1979) test of the squared residuals, each times its prior weight, on the fitted
        values, as R's performance.

    Raises
    ------
    NotAvailableError
        If the model is not linear.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.check_heteroscedasticity(m).is_fine
    False
    """
    fit = a_fit(model, "check_heteroscedasticity")
    if fit.family() is not None:
        raise NotAvailableError(
            "check_heteroscedasticity() is for linear models: in a generalized model the variance changes "
            "with the mean by its family; check_overdispersion(m) is for counts."
        )
    used = fit.prior_weights > 0.0
    fitted = fit.mean[used]
    squares = fit._raw_residuals("pearson")[used] ** 2
    scale = fit.df_residual() * fit.sigma() ** 2 / len(squares)
    about = fitted - fitted.mean()
    sxx = float(about @ about)
    if scale <= 0.0 or sxx <= len(fitted) * (CONSTANT * np.abs(fitted).max()) ** 2:
        return HeteroscedasticityCheck(np.nan, np.nan)
    statistic = float((about @ squares / scale) ** 2 / sxx / 2.0)
    return HeteroscedasticityCheck(statistic, float(chdtrc(1, statistic)))
