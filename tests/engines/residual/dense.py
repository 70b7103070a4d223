"""The likelihood of a model with structured residuals by dense matrices: the independent route."""

import numpy as np


def minus2loglik(y, X, V, REML):
    """Return -2 log (restricted) likelihood at a covariance of the responses, beta profiled out."""
    n, p = X.shape
    solved = np.linalg.solve(V, X)
    information = X.T @ solved
    beta = np.linalg.solve(information, solved.T @ y)
    e = y - X @ beta
    value = np.linalg.slogdet(V)[1] + e @ np.linalg.solve(V, e)
    if REML:
        return value + np.linalg.slogdet(information)[1] + (n - p) * np.log(2 * np.pi)
    return value + n * np.log(2 * np.pi)


def covariance(rows, sigma, parameters, weights=None, terms=(), theta_factors=()):
    """Return the covariance of the responses from residual rows and natural parameters, row by row."""
    n = len(rows.codes)
    C = np.eye(n)
    if rows.structure is not None:
        for code in np.unique(rows.codes):
            own = np.flatnonzero(rows.codes == code)
            rho = parameters.rho[rows.structure.of_arm(int(rows.arms[own[0]]))]
            C[np.ix_(own, own)] = rows.structure.structure.correlation(rho, rows.positions[own][None])[0]
    log_sd = np.zeros(n)
    for function, delta, columns in zip(rows.variances, parameters.delta, rows.columns, strict=True):
        log_sd += function.log_sd(delta, columns)
    sd = np.exp(log_sd) / (1.0 if weights is None else np.sqrt(weights))
    V = C * np.outer(sd, sd)
    for term, T in zip(terms, theta_factors, strict=True):
        ZT = term.Z @ T
        V += (ZT @ ZT.T) * np.equal.outer(term.codes, term.codes)
    return sigma**2 * V
