"""Quasi-likelihood information criteria of marginal models: ``qic(m1, m2)``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import xlogy

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.engines.gee.correlation.independence import Independence
from mixedmodels.engines.gee.covariance import gee_scores
from mixedmodels.engines.gee.fit import solve_gee
from mixedmodels.engines.gee.variance import model_name
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.gee import GeeFit
from mixedmodels.inference.anova import check_models, check_same_response, row_names

COLUMNS = ("QIC", "QICu", "Quasi Lik", "CIC", "params", "QICC")
Quasi = Callable[[FloatArray, FloatArray], FloatArray]
#: Quasi-log-likelihood of a row at scale 1, without terms free of the mean (McCullagh & Nelder, table 9.1).
QUASI_LIKELIHOODS: Mapping[str, Quasi] = {
    "gaussian": lambda y, mu: np.asarray(-0.5 * (y - mu) ** 2),
    "binomial": lambda y, mu: np.asarray(xlogy(y, mu) + xlogy(1.0 - y, 1.0 - mu)),
    "poisson": lambda y, mu: np.asarray(xlogy(y, mu) - mu),
    "Gamma": lambda y, mu: np.asarray(-y / mu - np.log(mu)),
    "inverse.gaussian": lambda y, mu: np.asarray(-0.5 * y / mu**2 + 1.0 / mu),
}


@advises
def qic(
    *models: Fit, model_names: Sequence[str] | None = None, divide_by_scale: bool = False
) -> pd.DataFrame:
    """Return the quasi-likelihood information criteria of marginal models.

    Parameters
    ----------
    *models : GeeModel
        Models of the same response at the same rows, as :func:`mixedmodels.gee` returns them.
    model_names : sequence of str, optional
        Names of the rows, by default MODEL1, MODEL2, ...
    divide_by_scale : bool
        Whether quasi-likelihoods are divided by the scale of the model with most coefficients, as Pan does.
        By default they are not, as in geepack; of gaussian models that makes their sizes depend on units.

    Returns
    -------
    DataFrame
        One row a model: QIC (the least is best; it may choose the working correlation), QICu (penalty 2 p, to
        choose among terms), the quasi-likelihood, CIC (the penalty, to choose the working correlation alone),
        the number of coefficients, and QICC, which corrects QIC for few groups.

    Raises
    ------
    NotAvailableError
        If a model has a likelihood, and with it AIC.
    DataError
        If the models are of different responses.

    References
    ----------
    Pan (2001), Biometrics 57, 120-125. Hin & Wang (2009), Statist. Med. 28, 642-658, for CIC.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.load_dataset("ohio")
    >>> models = [
    ...     mm.gee("resp ~ age * smoke", data, groups="id", family="binomial", corr=corr)
    ...     for corr in ("independence", "exchangeable")
    ... ]
    >>> mm.qic(*models)["CIC"].round(3).tolist()
    [5.435, 5.435]
    """
    check_models(models, "qic")
    one_of("divide_by_scale", divide_by_scale, (True, False))
    fits = []
    for model in models:
        if not isinstance(model, GeeFit):
            raise NotAvailableError(
                "qic() is of models fitted by gee(); a model with a likelihood has aic()."
            )
        fits.append(model)
    names = row_names(models, model_names)
    check_same_response(models)
    scale = max(fits, key=lambda m: len(m.beta)).solution.phi if divide_by_scale else 1.0
    return pd.DataFrame([_criteria(m, scale) for m in fits], index=names, columns=list(COLUMNS))


def _criteria(fit: GeeFit, scale: float) -> list[float]:
    """Return the criteria of a fit, in the order of the columns."""
    problem, p = fit.problem, len(fit.beta)
    value = QUASI_LIKELIHOODS[model_name(problem.family)]
    quasi = float(problem.weights @ value(problem.y, fit.scores.point.mu)) / scale
    # The information under independence, at the coefficients and scale of a fit under independence.
    alone = solve_gee(problem, Independence(), fit.beta, fit.fixed_scale)
    bread = gee_scores(problem, Independence(), alone).bread
    cic = float(np.trace(np.linalg.solve(bread, fit.scores.robust())))
    k = p + len(fit.solution.alpha)
    first = -2.0 * (quasi - cic)
    left = fit.n_groups - k - 1
    corrected = first + 2.0 * k * (k + 1) / left if left > 0 else np.nan
    return [first, -2.0 * (quasi - p), quasi, cic, float(p), corrected]
