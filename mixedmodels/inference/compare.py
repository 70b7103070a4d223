"""Several models in one table: information criteria, weights of evidence, likelihood-ratio tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from mixedmodels.absent_rows import NO_ROWS, AbsentRows
from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.criteria import akaike_small_sample, akaike_weights
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.nonlinear import CurveFit, refuse_nonlinear
from mixedmodels.inference.anova import (
    AnovaTable,
    check_models,
    check_same_response,
    comparable,
    make_table,
    no_likelihood,
    row_names,
)
from mixedmodels.inference.comparability import described
from mixedmodels.inference.comparison import chi_square_tail
from mixedmodels.inference.conditional_aic import conditional_aic
from mixedmodels.inference.nested import is_nested
from mixedmodels.inference.nested_curves import has_curves_of

Criterion = Literal["AIC", "AICc", "BIC", "cAIC"]
#: What the penalty of the conditional AIC of a generalized mixed model takes theta for.
Penalty = Literal["known theta", "refits"]
PENALTIES: Mapping[Penalty, str] = {
    "known theta": "(cAIC of generalized models takes theta as known)",
    "refits": "(cAIC of generalized models by refits, theta estimated in each)",
}
COLUMNS = (
    "npar", "logLik", "AIC", "AICc", "BIC", "cAIC", "edf", "delta", "weight", "Chisq", "Df", "Pr(>Chisq)",
)  # fmt: skip


@advises
def compare(
    *models: Fit,
    criterion: Criterion = "AIC",
    refit: bool = True,
    model_names: Sequence[str] | None = None,
    caic: Penalty = "known theta",
) -> AnovaTable:
    """Compare fitted models by information criteria, and those that are nested by likelihood ratios.

    Parameters
    ----------
    *models : fitted models
        Fits to the same response at the same rows.
    criterion : {"AIC", "AICc", "BIC", "cAIC"}
        What `delta` and `weight` are made of. AIC is about new groups; the conditional AIC about new
        observations of the groups in the data: it counts random effects by what they contribute to the fit.
    refit : bool
        Whether models fitted by REML are first refitted by maximum likelihood, which is said on stderr.
    model_names : sequence of str, optional
        Names of the rows; by default MODEL1, MODEL2, ... in the order given.
    caic : {"known theta", "refits"}
        Penalty of the conditional AIC of generalized mixed models. That of linear ones counts that theta is
        estimated; of generalized ones this takes a fit for each distinct row, and there is an unbiased
        penalty for Poisson models and for responses of zeros and ones. The printed table says which it is.

    Returns
    -------
    AnovaTable
        One row a model, by number of parameters: npar, logLik, AIC, AICc, BIC, cAIC with its effective
        degrees of freedom edf, the difference of the criterion from the best model (delta), Akaike weights,
        and the likelihood-ratio test against the row above where that model is nested in this one.

    Raises
    ------
    DataError
        If the models were not fitted to the same response at the same rows.
    ControlError
        If the likelihoods are different approximations (nAGQ, hessian), or `criterion` is none of these.
    NotAvailableError
        If a model has no likelihood.

    References
    ----------
    Burnham & Anderson (2002), Model Selection and Multimodel Inference, 2nd ed. Greven & Kneib (2010),
    Biometrika 97, 773-789. Saefken, Kneib, van Waveren & Greven (2014), Electron. J. Statist. 8, 201-225.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> data = mm.load_dataset("sleepstudy")
    >>> m0 = mm.lmer("Reaction ~ Days + (1 | Subject)", data, REML=False)
    >>> m1 = mm.lmer("Reaction ~ Days + (Days | Subject)", data, REML=False)
    >>> mm.compare(m0, m1)["weight"].round(3).tolist()
    [0.0, 1.0]
    """
    check_models(models, "compare")
    one_of("criterion", criterion, ("AIC", "AICc", "BIC", "cAIC"))
    one_of("caic", caic, get_args(Penalty))
    if any(m.is_quasi or not m.has_likelihood for m in models):
        raise no_likelihood(models)
    if criterion == "cAIC":
        for m in models:
            refuse_nonlinear(m, "the conditional AIC")
            if isinstance(m.data, AbsentRows) and isinstance(m, MixedFit):
                raise NotAvailableError(f"the conditional AIC of {m.formula()}: {NO_ROWS}")
    names = row_names(models, model_names)
    check_same_response(models)
    fits = comparable(models, names, refit)
    order = sorted(range(len(fits)), key=lambda i: fits[i].npar)
    fits, names = [fits[i] for i in order], [names[i] for i in order]
    criteria = np.array([_criteria(m, caic == "refits") for m in fits])
    chosen = criteria[:, COLUMNS.index(criterion)]
    values = np.column_stack(
        [criteria, chosen - np.nanmin(chosen), akaike_weights(chosen), _likelihood_ratios(fits)]
    )
    heading = ["Comparison of models", ""]
    heading += [f"{name}: {described(m)}" for name, m in zip(names, fits, strict=True)]
    heading += [f"(delta and weight by {criterion})"]
    if any(isinstance(m, MixedFit) and m.family() is not None for m in fits):
        heading.append(PENALTIES[caic])
    heading.append("")
    return make_table(values, names, COLUMNS, heading)


def _criteria(m: Fit, by_refits: bool) -> list[float]:
    """Return npar, logLik, AIC, AICc, BIC, cAIC and edf of a model."""
    corrected = akaike_small_sample(m.loglik(), m.npar, m.nobs())
    plain = [m.npar, m.loglik(), m.aic(), corrected, m.bic()]
    if isinstance(m, CurveFit):  # whose conditional AIC nobody has defined
        return [*plain, np.nan, np.nan]
    conditional = conditional_aic(m, by_refits)
    return [*plain, conditional.caic, conditional.edf]


def _likelihood_ratios(fits: Sequence[Fit]) -> FloatArray:
    """Return chi-square, degrees of freedom and p-value of each model against the one before it, or NaN."""
    table = np.full((len(fits), 3), np.nan)
    for i in range(1, len(fits)):
        small, large = fits[i - 1], fits[i]
        curves = isinstance(small, CurveFit) or isinstance(large, CurveFit)
        nested = has_curves_of if curves else is_nested
        if large.npar > small.npar and nested(small, large):
            table[i, 0] = max(2.0 * (large.loglik() - small.loglik()), 0.0)
            table[i, 1] = large.npar - small.npar
    table[:, 2] = chi_square_tail(table[:, 0], table[:, 1])
    return table
