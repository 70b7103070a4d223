"""The variance that the distribution of the response adds on the scale of the linear predictor.

For a response with mean m and variance V(m), and linear predictor g(m) (Nakagawa, Johnson & Schielzeth 2017,
J. R. Soc. Interface 14, 20170213, and its supplement):

    theoretical   variance of the latent variable of a binomial: pi^2/3 logit, 1 probit, pi^2/6 cloglog
    delta         V(m) g'(m)^2, by which the observation-level variance of a binomial logit is 1 / (p (1 - p))
    lognormal     log(1 + V(m) / m^2), log link; of a Poisson log(1 + 1/m)
    trigamma      psi_1(m^2 / V(m)), log link; of a beta logit psi_1(a) + psi_1(b), which is exact
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import polygamma

from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.families.family import Family
from mixedmodels.families.response import TRIALS_FAMILIES
from mixedmodels.fits.family_quantities import response_mean, response_slope

VarianceMethod = Literal["theoretical", "delta", "lognormal", "trigamma"]
#: Variances of the latent variables whose distribution functions are the inverse links.
LATENT = {"logit": np.pi**2 / 3.0, "probit": 1.0, "cloglog": np.pi**2 / 6.0, "loglog": np.pi**2 / 6.0}


def variance_methods(family: Family) -> tuple[VarianceMethod, ...]:
    """Return the methods that a family and link have, the default first."""
    if family.name in TRIALS_FAMILIES and family.link.name in LATENT:
        return "theoretical", "delta"
    if family.link.name == "log":
        return "lognormal", "trigamma", "delta"
    return ("delta", "trigamma") if _is_beta_logit(family) else ("delta",)


def chosen_method(family: Family, method: VarianceMethod | None) -> VarianceMethod:
    """Return the method asked for, or the default.

    Raises
    ------
    ControlError
        If family and link do not have it.
    """
    methods = variance_methods(family)
    if method is None:
        return methods[0]
    one_of(
        "variance",
        method,
        methods,
        f"; the model is of the {family.name} family with link {family.link.name!r}",
    )
    return method


def distribution_variance(family: Family, mu: float, phi: FloatArray, method: VarianceMethod) -> float:
    """Return the variance of one response of unit weight on the scale of the linear predictor.

    Parameters
    ----------
    family : Family
        Distribution and link.
    mu : float
        Mean of the counts before any zero part; not used by ``"theoretical"``.
    phi : ndarray
        Parameters of the family.
    method : {"theoretical", "delta", "lognormal", "trigamma"}
        Which variance.
    """
    if method == "theoretical":
        return float(LATENT[family.link.name])
    at = np.array([mu])
    variance = float(family.variance(at, phi)[0])
    if method == "delta":
        return variance / _slope(family, mu, phi) ** 2
    if _is_beta_logit(family):
        return float(polygamma(1, mu * phi[0]) + polygamma(1, (1.0 - mu) * phi[0]))
    mean = float(response_mean(family, family.link.link(at), phi)[0])
    ratio = variance / mean**2
    return float(np.log1p(ratio) if method == "lognormal" else polygamma(1, 1.0 / ratio))


def trial_dispersion(family: Family, mu: float, phi: FloatArray) -> float:
    """Return the variance between rows that correlated trials amount to, as an effect of each row would.

    Probabilities of rows have the variance ``rho mu (1 - mu)``, rho the correlation of two trials; zero for
    families of independent trials.
    """
    if family.name not in TRIALS_FAMILIES:
        return 0.0
    rho = correlation_of_trials(family, phi)
    return rho * mu * (1.0 - mu) / _slope(family, mu, phi) ** 2 if rho else 0.0


def correlation_of_trials(family: Family, phi: FloatArray) -> float:
    """Return the correlation of two trials of a row: what a second one adds to the variance."""
    return float(family.variance_inflation(np.array([2.0]), phi)[0]) - 1.0


def _slope(family: Family, mu: float, phi: FloatArray) -> float:
    """Return dE(y) / d eta."""
    return float(response_slope(family, family.link.link(np.array([mu])), phi)[0])


def _is_beta_logit(family: Family) -> bool:
    return family.name == "beta" and family.link.name == "logit"
