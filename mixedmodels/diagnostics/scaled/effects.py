"""The linear predictor that responses are drawn around: effects at their estimates, or drawn once.

Residuals about estimates are too small: the estimates have followed the response. Effects drawn from their
distribution given the response, ``N(estimates, sigma^2 M^-1)`` with M the matrix of Henderson's mixed-model
equations, and the response given them, are one draw of both from the model if the model is right. So
residuals about such effects have the distribution of errors, each row apart from the others (Waagepetersen
2006, Scand. J. Stat. 33; Thygesen et al. 2017, Environ. Ecol. Stat. 24). Of a linear model that is exact
for a known variance: the errors of the estimates add just the ``sigma^2 H`` that the residuals lack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.mixed_model_equations import joint_system
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.formula.design.model_terms import random_effects_matrix
from mixedmodels.inference.resampling import fixed_part, random_part


def kept_terms(fit: Fit, masks: Sequence[BoolArray]) -> tuple[RandomTerm, ...]:
    """Return the random-effects terms with the columns that are kept, zeros in place of the others."""
    return tuple(replace(term, Z=term.Z * mask) for term, mask in zip(fit.random, masks, strict=True))


def kept_predictor(fit: Fit, masks: Sequence[BoolArray]) -> FloatArray:
    """Return the linear predictor at the estimates, random effects that are not kept at zero, shape (n,)."""
    eta = fixed_part(fit)
    if not any(mask.any() for mask in masks):
        return eta
    return np.asarray(eta + random_part(kept_terms(fit, masks), [b[:, :, None] for b in fit.b])[:, 0])


def drawn_errors(fit: Fit, masks: Sequence[BoolArray], rng: np.random.Generator) -> FloatArray:
    """Draw the error of :func:`kept_predictor` from its distribution given the response, shape (n,)."""
    X = fit.design.X
    if not isinstance(fit, MixedFit):
        values, vectors = np.linalg.eigh(fit._fixed_covariance())
        z = rng.standard_normal(len(values))
        return np.asarray(X @ (vectors @ (np.sqrt(np.maximum(values, 0.0)) * z)))
    # Observed information may be negative in a row; such rows are taken to say nothing.
    information = np.maximum(fit.row_information, 0.0)
    system = joint_system(X, fit.random, fit.theta_values, information)
    q = system.Lambda.shape[0]
    fixed = sparse.csc_array(X)
    rows = sparse.hstack([random_effects_matrix(fit.random, len(X)) @ system.Lambda, fixed], format="csc")
    # The solution of M x = r has the covariance M^-1 where r has the covariance M.
    r = rows.T @ (np.sqrt(information) * rng.standard_normal(len(X)))
    r[:q] += rng.standard_normal(q)
    options = {"SymmetricMode": True}
    x = splu(sparse.csc_matrix(system.matrix), permc_spec="MMD_AT_PLUS_A", options=options).solve(r)
    kept = random_effects_matrix(kept_terms(fit, masks), len(X)) @ (system.Lambda @ x[:q])
    return np.asarray(fit.random_scale * (kept + X @ x[q:]))
