"""The generalized linear model: maximum likelihood in (beta, phi) for any family."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import solve_triangular

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.glm.edge import climb_along_edge, edge_problem
from mixedmodels.engines.glm.newton import GlmPoint, climb, negative_hessian, starting_point
from mixedmodels.errors import ConvergenceError
from mixedmodels.families.family import Family
from mixedmodels.optimization.report import ConvergenceReport


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class GlmEstimates:
    """Estimates of a generalized linear model.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        Coefficients.
    phi : ndarray, shape (n_phi,)
        Parameters of the family on their natural scale, estimated jointly by maximum likelihood; empty
        for binomial, Poisson and the quasi families.
    eta, mu : ndarray, shape (n,)
        Linear predictor, offset included, and its mean; with a zero part that of the counts before it
        (``family.response_mean`` gives the mean of the response).
    vcov : ndarray, shape (p, p)
        Covariance of beta. Every family of R's ``glm`` and MASS's negative binomial: from the expected
        information, times the dispersion where there is one, as in R. Others (beta, linear variance, zero
        parts): the block of `vcov_hessian`, as glmmTMB.
    vcov_hessian : ndarray, shape (p + n_phi, p + n_phi), or None
        Covariance of (beta, phi) from the observed Hessian of the log-likelihood, phi on its natural
        scale; None for quasi families and where that Hessian is not positive definite.
    loglik : float
        Log-likelihood with its full normalising constant; NaN for quasi families, which have none.
    deviance, null_deviance : float
        Residual deviance, and that of the model with only the intercept (if X has one) and the offset.
    pearson_X2 : float
        Sum of squared Pearson residuals, before division by a dispersion.
    dispersion : float
        ``pearson_X2 / df_residual`` for quasi families and families with a dispersion, whose phi is the
        smaller estimate by maximum likelihood; 1 for others.
    df_residual, df_null : int
        Rows of positive weight, these minus p, and the degrees of freedom of the null deviance.
    n_iterations : int
        Newton or Fisher scoring steps.
    convergence : ConvergenceReport
        The verdict.
    """

    beta: FloatArray
    phi: FloatArray
    eta: FloatArray
    mu: FloatArray
    vcov: FloatArray
    vcov_hessian: FloatArray | None
    loglik: float
    deviance: float
    null_deviance: float
    pearson_X2: float
    dispersion: float
    df_residual: int
    df_null: int
    n_iterations: int
    convergence: ConvergenceReport


def fit_glm(
    y: FloatArray,
    weights: FloatArray,
    X: FloatArray,
    offset: FloatArray | None,
    family: Family,
    constant: FloatArray | None = None,
) -> GlmEstimates:
    """Fit a generalized linear model by maximum likelihood (quasi-likelihood for quasi families).

    Of Gamma, inverse Gaussian and gaussian phi is the maximum likelihood estimate, which the likelihood
    takes as in the mixed models; standard errors take R's ``dispersion``, by moments and with n - p.

    Parameters
    ----------
    y, weights : ndarray, shape (n,)
        Response and prior weights as ``initialize`` returns them.
    X : ndarray, shape (n, p)
        Model matrix of full column rank.
    offset : ndarray, shape (n,), or None
        Known part of the linear predictor.
    family : Family
        Family and link.
    constant : ndarray, shape (n,), optional
        Terms of the log-likelihood without parameters; by default the family's ``log_constant(y, weights)``.

    Returns
    -------
    GlmEstimates

    Raises
    ------
    ConvergenceError
        If no starting value with a finite likelihood exists.

    References
    ----------
    McCullagh & Nelder (1989), Generalized Linear Models, 2nd ed., section 2.5.

    Examples
    --------
    >>> import numpy as np
    >>> from mixedmodels.families import poisson
    >>> fit = fit_glm(np.array([2.0, 4.0, 6.0]), np.ones(3), np.ones((3, 1)), None, poisson())
    >>> round(float(np.exp(fit.beta[0])), 6)
    4.0
    """
    shift = np.zeros(len(y)) if offset is None else offset
    point, n_iterations, convergence = maximize(y, weights, X, shift, family, constant)
    mu = family.link.inverse(point.eta)
    counted = int(np.count_nonzero(weights > 0.0))
    df_residual = counted - X.shape[1]
    X2 = pearson_chi_squared(y, mu, weights, family, point.phi)
    dispersion = _dispersion(family, X2, df_residual)
    joint = None if family.is_quasi else _joint_covariance(y, weights, X, family, point)
    has_intercept = bool(np.any(np.all(X[:1] == X, axis=0) & (X[0] != 0.0))) if len(X) else False
    return GlmEstimates(
        beta=point.beta,
        phi=point.phi,
        eta=point.eta,
        mu=mu,
        vcov=_covariance(X, family, point, joint, dispersion),
        vcov_hessian=joint,
        loglik=float("nan") if family.is_quasi else point.loglik,
        deviance=float(np.sum(family.deviance(y, mu, weights, point.phi))),
        null_deviance=null_deviance(y, weights, shift, family, point.phi, has_intercept),
        pearson_X2=X2,
        dispersion=dispersion,
        df_residual=df_residual,
        df_null=counted - int(has_intercept),
        n_iterations=n_iterations,
        convergence=convergence,
    )


def maximize(
    y: FloatArray,
    weights: FloatArray,
    X: FloatArray,
    offset: FloatArray,
    family: Family,
    constant: FloatArray | None = None,
) -> tuple[GlmPoint, int, ConvergenceReport]:
    """Return the maximum of the log-likelihood in (beta, phi), the number of steps and the verdict.

    The steps are taken in an orthonormal basis of the columns of X, so that their scales do not matter.
    """
    Q, R = _orthonormal(X)
    constant = family.log_constant(y, weights) if constant is None else constant
    start = starting_point(y, weights, Q, offset, family, constant)
    if start is None:
        raise ConvergenceError(
            f"No starting value gives the {family.name} family with link {family.link.name!r} a finite "
            "likelihood; a link whose means stay in range, such as "
            f"{'logit' if family.name == 'binomial' else 'log'!r}, may fit."
        )
    point, n_iterations, convergence = climb(y, weights, Q, offset, family, constant, start)
    edge = None if convergence.is_optimum else edge_problem(y, weights, Q, offset, family, constant)
    if edge is not None:
        point, more, convergence = climb_along_edge(edge, point)
        n_iterations += more
    return replace(point, beta=_beta_of_basis(R, point.beta)), n_iterations, convergence


def pearson_chi_squared(
    y: FloatArray, mu: FloatArray, weights: FloatArray, family: Family, phi: FloatArray
) -> float:
    """Return the sum of w (y - E y)^2 / V, with V before multiplication by a dispersion."""
    unit = np.ones(1) if family.has_dispersion else phi
    residual = y - family.response_mean(mu, phi)
    variance = family.variance(mu, unit) * family.variance_inflation(weights, unit)
    variance = np.maximum(variance, np.finfo(np.float64).tiny)
    return float(np.sum(weights * (residual / variance) * residual))


def null_deviance(
    y: FloatArray,
    weights: FloatArray,
    offset: FloatArray,
    family: Family,
    phi: FloatArray,
    has_intercept: bool,
) -> float:
    """Return the deviance of the model with the offset and, if there is one, the intercept.

    Without an offset the mean of the null model is the weighted mean of y, whatever the link.
    """
    if not has_intercept:
        mu = family.link.inverse(offset)
    elif np.any(offset != 0.0):
        null, _, _ = maximize(y, weights, np.ones((len(y), 1)), offset, family)
        mu, phi = family.link.inverse(null.eta), null.phi
    else:
        mu = np.full(len(y), np.average(y, weights=weights if np.any(weights > 0.0) else None))
    return float(np.sum(family.deviance(y, mu, weights, phi)))


def _dispersion(family: Family, X2: float, df_residual: int) -> float:
    if not (family.is_quasi or family.has_dispersion):
        return 1.0
    return X2 / df_residual if df_residual > 0 else float("nan")


def _orthonormal(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return Q and R of X = Q R, columns scaled first so that their units do not matter."""
    scale = np.sqrt(np.einsum("ij,ij->j", X, X))
    scale[scale == 0.0] = 1.0
    Q, R = np.linalg.qr(X / scale)
    return Q, R * scale


def _beta_of_basis(R: FloatArray, gamma: FloatArray) -> FloatArray:
    """Return beta with R beta = gamma."""
    return np.asarray(solve_triangular(R, gamma)) if len(gamma) else gamma


def _covariance(
    X: FloatArray, family: Family, point: GlmPoint, joint: FloatArray | None, dispersion: float
) -> FloatArray:
    """Return the covariance of beta."""
    p = X.shape[1]
    if family.glm_hessian == "observed" and not family.has_dispersion and joint is not None:
        return joint[:p, :p]
    R = np.linalg.qr(X * np.sqrt(np.maximum(point.rows.information, 0.0))[:, None], mode="r")
    if p == 0 or np.any(np.diagonal(R) == 0.0):
        return np.full((p, p), np.nan)
    inverse = solve_triangular(R, np.eye(p))
    # The information is that at phi, which the dispersion replaces.
    scale = dispersion / point.phi[0] if family.has_dispersion else dispersion
    return np.asarray(scale * (inverse @ inverse.T))


def _joint_covariance(
    y: FloatArray, weights: FloatArray, X: FloatArray, family: Family, point: GlmPoint
) -> FloatArray | None:
    """Return the covariance of (beta, phi) from the observed Hessian, or None if not positive definite."""
    scale = np.sqrt(np.einsum("ij,ij->j", X, X))
    scale[scale == 0.0] = 1.0
    H = negative_hessian(y, weights, X / scale, family, point, -point.rows.d2)
    try:
        L = np.linalg.cholesky(H)
    except np.linalg.LinAlgError:
        return None
    inverse = solve_triangular(L, np.eye(len(H)), lower=True)
    to_natural = np.concatenate([1.0 / scale, family.phi_natural_derivative(point.phi)])
    covariance = inverse.T @ inverse * np.outer(to_natural, to_natural)
    return np.asarray(covariance) if np.all(np.isfinite(covariance)) else None
