"""What predictions from the residuals of a group owe to their covariance being estimated.

The coefficients ``A = R_mo R_oo^-1`` move with the covariance parameters, whose estimates have covariance W:

    g = sum_kl W_kl dA_k V_oo dA_l'

is variance that the estimated covariance leaves out of a prediction, and what it gives falls short of its
value by as much again (Prasad & Rao 1990, J. Am. Stat. Assoc. 85, 163-171; Harville & Jeske 1992, ibid. 87,
724-731). SAS adds 2g under ``ddfm=kr``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.residual.model import Parameters
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.prediction.structured import joint_correlations, new_relative_sd

#: Half the distance of the points of differences in free coordinates, which are of order one.
STEP = 1e-5


def estimation_variance(
    model: StructuredResiduals, newdata: Any, mean: FloatArray, weights: FloatArray
) -> FloatArray:
    """Return the variance 2g of predictions of new rows from their groups, shape (m,).

    Parameters
    ----------
    model : StructuredResiduals
        The fit.
    newdata : table
        New rows.
    mean, weights : ndarray, shape (m,)
        Their means and prior weights.
    """
    information, free = model.observed_covariance_information, model.residual_estimates.free
    moving = np.flatnonzero(information.moving)
    W = information.W[: len(moving), : len(moving)]  # sigma, which comes last, is in none of the coefficients
    ends = []
    for k in moving.tolist():
        step = np.zeros(len(free))
        step[k] = STEP
        ends.append([_coefficients(model, newdata, mean, weights, free + sign * step) for sign in (1, -1)])
    found = np.zeros(len(mean))
    own_sd = model.sigma() * _known_sd(model, model.residual_estimates.parameters)
    rho = model.residual_estimates.parameters.rho
    for place, (new, known, C) in enumerate(joint_correlations(model, newdata, rho)):
        o = len(known)
        V = C[:o, :o] * np.multiply.outer(own_sd[known], own_sd[known])
        dA = np.array([(up[place] - down[place]) / (2.0 * STEP) for up, down in ends])
        found[new] = 2.0 * np.einsum("kl,kmo,lmo->m", W, dA @ V, dA)
    return found


def _coefficients(
    model: StructuredResiduals, newdata: Any, mean: FloatArray, weights: FloatArray, free: FloatArray
) -> list[FloatArray]:
    """Return ``R_mo R_oo^-1`` of each group at covariance parameters."""
    at = model.residual_problem.model.natural(free)
    sd, own_sd = new_relative_sd(model, newdata, mean, at.delta) / np.sqrt(weights), _known_sd(model, at)
    found = []
    for new, known, C in joint_correlations(model, newdata, at.rho):
        o = len(known)
        A = np.linalg.solve(C[:o, :o], C[:o, o:]).T
        found.append(np.asarray(A * (sd[new][:, None] / own_sd[known])))
    return found


def _known_sd(model: StructuredResiduals, at: Parameters) -> FloatArray:
    """Return residual standard deviations of the rows of the fit over sigma, prior weights in, shape (n,)."""
    problem = model.residual_problem
    log_sd = np.zeros(problem.n)
    for f, delta, columns in zip(problem.model.variances, at.delta, problem.rows.columns, strict=True):
        log_sd += f.log_sd(delta, columns)
    found = np.ones(len(model.y))
    found[problem.kept] = np.exp(log_sd) / problem.root_weights
    return found
