"""Fits to multiply imputed data, combined by Rubin's rules."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.control import real_number
from mixedmodels.errors import ControlError, DataError
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.anova import check_models
from mixedmodels.inference.comparability import described
from mixedmodels.inference.contrasts import quantiles, two_sided
from mixedmodels.inference.fixed_effects import fixed_effects
from mixedmodels.inference.printed_table import PrintedTable

#: Least share of the variance that counts as due to imputation: degrees of freedom divide by its square.
LEAST_SHARE = 1e-4


@advises
def pool(
    fits: Iterable[Fit],
    *,
    dfcom: float | None = None,
) -> PrintedTable:
    """Combine fits of one model to multiply imputed data sets by Rubin's rules.

    Parameters
    ----------
    fits : iterable of fitted models
        The same model fitted to each of m completed data sets.
    dfcom : float, optional
        Degrees of freedom had the data been complete; by default rows less parameters.

    Returns
    -------
    PrintedTable
        A DataFrame, by fixed effect: Estimate, Std. Error, df (Barnard & Rubin 1999), t value, Pr(>|t|),
        2.5 %, 97.5 %, the variances within (ubar), between (b) and in all (t), the relative increase in
        variance (riv), the share due to missing values (lambda) and the fraction of missing information
        (fmi).

    Raises
    ------
    DataError
        If the fits have different fixed effects.
    ControlError
        If there are fewer than two fits.

    References
    ----------
    Rubin (1987), Multiple Imputation for Nonresponse in Surveys; Barnard & Rubin (1999), Biometrika 86.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Yield ~ 1 + (1 | Batch)", mm.load_dataset("Dyestuff"))
    >>> fits = [m.refit(y) for _, y in m.simulate(5, seed=1, use_u=True).items()]
    >>> list(mm.pool(fits).index)
    ['(Intercept)']
    """
    if isinstance(fits, Fit) or not isinstance(fits, Iterable):
        raise ControlError("pool() needs a list of fits of one model, one for each imputed data set.")
    models = list(fits)
    check_models(models, "pool")
    if len(models) < 2:
        raise ControlError("pool() needs two fits or more: one says nothing about the spread of imputations.")
    names = models[0].design.x_names
    for i, model in enumerate(models):
        if model.design.x_names != names:
            raise DataError(
                f"fit {i + 1} has the fixed effects {', '.join(model.design.x_names)}, the first one "
                f"{', '.join(names)}: only fits of one model can be pooled."
            )
        if described(model) != described(models[0]):
            raise DataError(
                f"fit {i + 1} is of {described(model)}, the first one of {described(models[0])}: only fits "
                "of one model can be pooled."
            )
    complete = float(models[0].df_residual()) if dfcom is None else real_number("dfcom", dfcom)
    own = [fixed_effects(model, ddf="z") for model in models]
    return _combined(
        np.array([f.beta for f in own]), np.array([np.diag(f.covariance) for f in own]), complete, names
    )


def _combined(Q: FloatArray, U: FloatArray, dfcom: float, names: tuple[str, ...]) -> PrintedTable:
    """Return the table for estimates and their variances, each (m, p)."""
    m = len(Q)
    estimate, ubar, b = Q.mean(axis=0), U.mean(axis=0), Q.var(axis=0, ddof=1)
    total = ubar + (1.0 + 1.0 / m) * b
    riv = (1.0 + 1.0 / m) * b / ubar
    share = (1.0 + 1.0 / m) * b / total
    df = barnard_rubin(m, share, dfcom)
    se = np.sqrt(total)
    half = quantiles(df, 0.95) * se
    columns: dict[str, Any] = {
        "Estimate": estimate, "Std. Error": se, "df": df, "t value": estimate / se,
        "Pr(>|t|)": two_sided(estimate / se, df), "2.5 %": estimate - half, "97.5 %": estimate + half,
        "ubar": ubar, "b": b, "t": total, "riv": riv, "lambda": share,
        "fmi": (riv + 2.0 / (df + 3.0)) / (riv + 1.0),
    }  # fmt: skip
    return PrintedTable(columns, index=list(names))


def barnard_rubin(m: int, share: FloatArray, dfcom: float) -> FloatArray:
    """Return the degrees of freedom of pooled estimates.

    Parameters
    ----------
    m : int
        Imputations.
    share : ndarray
        Share of the variance that is due to missing values.
    dfcom : float
        Degrees of freedom of complete data, perhaps infinite.
    """
    share = np.maximum(share, LEAST_SHARE)
    old = (m - 1.0) / share**2
    if np.isinf(dfcom):
        return np.asarray(old)
    observed = (dfcom + 1.0) / (dfcom + 3.0) * dfcom * (1.0 - share)
    return np.asarray(old * observed / (old + observed))
