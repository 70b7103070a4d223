"""Where nlme stopped short of the optimum, the likelihood by dense algebra says so."""

from typing import Any

import numpy as np
import pytest

from tests.conformance.shared import WHY_ABSENT, find_shared, second_reference_fits
from tests.conformance.structured import NOT_AT_OPTIMUM, fitted_call, reference_data

pytestmark = pytest.mark.skipif(find_shared() is None, reason=WHY_ABSENT)


def restricted_loglik(y, X, blocks):
    """Return the REML log-likelihood from rows and covariance matrix of each group."""
    n, p = X.shape
    log_det, XVX, XVy, yVy = 0.0, np.zeros((p, p)), np.zeros(p), 0.0
    for rows, V in blocks:
        solved = np.linalg.solve(V, np.column_stack([X[rows], y[rows]]))
        log_det += np.linalg.slogdet(V)[1]
        XVX += X[rows].T @ solved[:, :p]
        XVy += X[rows].T @ solved[:, p]
        yVy += y[rows] @ solved[:, p]
    rss = yVy - XVy @ np.linalg.solve(XVX, XVy)
    return -0.5 * ((n - p) * np.log(2 * np.pi) + log_det + np.linalg.slogdet(XVX)[1] + rss)


def lines_of(time):
    return np.column_stack([np.ones(len(time)), time])


# Covariance of the rows of a group: parameters are D (random effects), sigma and those of the structure.


def growing(rows, at):
    Z = lines_of(rows["Time"])
    return Z @ at["D"] @ Z.T + at["sigma"] ** 2 * np.diag(np.exp(2 * at["rho"][0] * rows["Time"]))


def autoregressive(rows, at):
    time = rows["Time"].to_numpy(float)
    Z, lags = lines_of(time), np.abs(np.subtract.outer(time, time))
    return Z @ at["D"] @ Z.T + at["sigma"] ** 2 * at["rho"][0] ** lags


def symmetric(rows, at):
    C = np.eye(4)
    C[np.triu_indices(4, 1)] = at["rho"]
    visits = rows["visit"].to_numpy(int) - 1
    return at["sigma"] ** 2 * np.maximum(C, C.T)[np.ix_(visits, visits)]


COVARIANCES = {
    "nlme_chick_varexp": ("Chick", growing),
    "nlme_dietox_ar1_pddiag": ("Pig", autoregressive),
    "nlme_gls_btheb_symm": ("subject", symmetric),
}


def theirs(results):
    structures = results["structures"]
    natural = (structures.get("corStruct") or structures["varStruct"])["natural"]
    blocks = structures.get("reStruct", {"cov": {"none": {"values": 0.0}}})["cov"]
    (D,) = (np.array(block["values"]) for block in blocks.values())
    return {"sigma": results["sigma"], "rho": natural["values"], "D": D}


def ours(fit):
    at: dict[str, Any] = {"sigma": fit.sigma(), "rho": list(fit.residual_parameters[1]), "D": 0.0}
    if hasattr(fit, "ranef"):
        frame = fit.VarCorr().to_frame()
        random = frame[frame["grp"] != "Residual"]
        D = np.diag(random.loc[random["var2"].isna(), "vcov"].to_numpy())
        if (random["var2"].notna()).any():
            D[0, 1] = D[1, 0] = random.loc[random["var2"].notna(), "vcov"].item()
        at["D"] = D
    return at


@pytest.mark.filterwarnings("ignore::mixedmodels.MixedModelsWarning")
@pytest.mark.parametrize("name", NOT_AT_OPTIMUM)
def test_dense_likelihoods_of_both(name):
    reference = next(r for r in second_reference_fits() if r["id"] == name)
    data = reference_data(reference)
    fit = fitted_call(reference, data)
    group, covariance = COVARIANCES[name]
    y, X = np.asarray(fit.y), fit.model_matrix().to_numpy()
    rows = data.groupby(group, observed=True, sort=False).indices

    def at(parameters):
        return restricted_loglik(y, X, [(i, covariance(data.iloc[i], parameters)) for i in rows.values()])

    known = reference["results"]["logLik"]
    assert at(theirs(reference["results"])) == pytest.approx(known, rel=1e-9)
    assert at(ours(fit)) == pytest.approx(fit.loglik(), rel=1e-12)
    assert at(ours(fit)) > at(theirs(reference["results"]))
