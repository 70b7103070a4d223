"""Families on (0, 1) written in A = log mu and B = log(1 - mu): l = P(A) + Q(B)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.families.base import EMPTY
from mixedmodels.families.family import Derivatives, Family
from mixedmodels.families.links import Jet
from mixedmodels.families.saturated import deviance_by_search

UNIT_LINKS = ("logit", "probit", "cloglog", "loglog", "cauchit", "log", "identity")

SMALLEST_SHAPE = 1e-100

Outer: TypeAlias = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
"""A function of A (or B) with its three derivatives in A (or B)."""


def compose(outer: Outer, inner: Jet) -> Jet:
    """Return f(g(eta)) and its three derivatives in eta (Faa di Bruno)."""
    f, f1, f2, f3 = outer
    _, g1, g2, g3 = inner
    # A double exponential (cloglog) outgrows a double when cubed, where f2 and f3 have long vanished.
    h1, h2 = bounded(g1), bounded(g2)
    h11 = h1 * h1
    return f, f1 * g1, f2 * h11 + f1 * g2, f3 * h11 * h1 + 3.0 * f2 * h1 * h2 + f1 * g3


def bounded(values: FloatArray) -> FloatArray:
    """Return values within +-1e100, whose cubes are doubles."""
    return np.asarray(np.clip(values, -1e100, 1e100))


def shape_parameter(log_probability: FloatArray, phi: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a = phi times a probability, at least 1e-100, and how far log(a) lies below that bound.

    Below it Gamma(a) is 1 / a to the last digit, so that the excess, shape (n,) and not positive, is all
    that log Gamma needs.
    """
    log_a = np.log(phi[0]) + np.minimum(log_probability, 0.0)
    floor = np.log(SMALLEST_SHAPE)
    return np.exp(np.maximum(log_a, floor)), np.minimum(log_a - floor, 0.0)


def add(left: Jet, right: Jet) -> Jet:
    """Return the sum of two functions with their derivatives."""
    return left[0] + right[0], left[1] + right[1], left[2] + right[2], left[3] + right[3]


def as_derivatives(
    jet: Jet, information: FloatArray | None, d_information: FloatArray | None, order: int
) -> Derivatives:
    """Pack a log-likelihood jet; without expected information the observed one takes its place."""
    loglik, d1, d2, d3 = jet
    if information is None or d_information is None:
        information, d_information = -d2, -d3
    if order < 3:
        return Derivatives(loglik, d1, d2, information, EMPTY, EMPTY)
    return Derivatives(loglik, d1, d2, information, d3, d_information)


def scaled(jet: Jet, weights: FloatArray) -> Jet:
    """Return the jet times the prior weights."""
    return weights * jet[0], weights * jet[1], weights * jet[2], weights * jet[3]


def slopes_in_log_precision(P: Outer, Q: Outer, a: Jet, b: Jet) -> tuple[FloatArray, FloatArray]:
    """Return the derivatives in log(phi) of l' and l'' in eta, the shapes being phi e^A and phi e^B."""
    d1 = P[2] * a[1] + Q[2] * b[1]
    d2 = P[3] * bounded(a[1]) ** 2 + P[2] * a[2] + Q[3] * bounded(b[1]) ** 2 + Q[2] * b[2]
    return d1, d2


def beta_deviance(
    with_logit: Family, y: FloatArray, mu: FloatArray, weights: FloatArray, phi: FloatArray
) -> FloatArray:
    """Return twice the log-likelihood ratio of each row against its own best mean, sought in logits."""
    p = np.clip(mu, np.finfo(np.float64).tiny, 1.0 - np.finfo(np.float64).eps)
    eta = np.log(p) - np.log1p(-p)
    return deviance_by_search(with_logit, y, eta, weights, phi, -60.0, 60.0)


def beta_draws(rng: np.random.Generator, mu: FloatArray, phi: FloatArray) -> FloatArray:
    """Draw from Beta(mu phi, (1 - mu) phi)."""
    tiny = np.finfo(np.float64).tiny
    return np.asarray(rng.beta(np.maximum(mu * phi[0], tiny), np.maximum((1.0 - mu) * phi[0], tiny)))
