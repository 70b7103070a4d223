"""Every family with every link it can have, and responses to evaluate it at."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mixedmodels import families as mf
from mixedmodels.families.links import LINK_NAMES

UNIT_LINKS = ("logit", "probit", "cloglog", "loglog", "cauchit", "log", "identity")
POSITIVE_LINKS = ("log", "identity", "sqrt", "inverse", "1/mu^2", "mu^0.333")
GAUSSIAN_LINKS = (*LINK_NAMES, "mu^0.333")

WEIGHTS = np.array([1.0, 2.5, 1.0, 0.5, 3.0])
TRIALS = np.array([1.0, 4.0, 2.0, 10.0, 3.0])
PROPORTIONS = np.array([0.0, 0.25, 0.5, 1.0, 1.0 / 3.0])
FRACTIONS = np.array([0.01, 0.3, 0.5, 0.9, 0.999])
COUNTS = np.array([0.0, 1.0, 2.0, 7.0, 40.0])
POSITIVE = np.array([0.01, 0.3, 1.0, 5.0, 100.0])
REAL = np.array([-1.0, 0.2, 0.5, 3.0, 10.0])
NONE = np.empty(0)


class Case(NamedTuple):
    """A family with a response, weights and parameters to evaluate it at."""

    family: mf.Family
    y: np.ndarray
    weights: np.ndarray
    phi: np.ndarray

    def __repr__(self):
        return f"{self.family.name} {self.family.link.name} {self.phi}"


def _counts(link):
    yield Case(mf.poisson(link), COUNTS, WEIGHTS, NONE)
    for theta in (0.3, 20.0, 1e7):
        yield Case(mf.negative_binomial(theta, link), COUNTS, WEIGHTS, NONE)
        yield Case(mf.nbinom2(link), COUNTS, WEIGHTS, np.array([theta]))
    for alpha in (3.0, 0.01, 1e-7):
        yield Case(mf.nbinom1(link), COUNTS, WEIGHTS, np.array([alpha]))
    yield Case(mf.poisson(link, zi=True), COUNTS, WEIGHTS, np.array([0.2]))
    yield Case(mf.nbinom2(link, zi=True), COUNTS, WEIGHTS, np.array([2.0, 0.2]))
    yield Case(mf.nbinom1(link, zi=True), COUNTS, WEIGHTS, np.array([2.0, 0.2]))
    yield Case(mf.truncated_poisson(link, zi=True), COUNTS, WEIGHTS, np.array([0.2]))
    yield Case(mf.truncated_nbinom2(link, zi=True), COUNTS, WEIGHTS, np.array([2.0, 0.2]))
    yield Case(mf.truncated_nbinom1(link, zi=True), COUNTS, WEIGHTS, np.array([2.0, 0.2]))
    yield Case(mf.truncated_nbinom1(link), COUNTS[1:], WEIGHTS[1:], np.array([2.0]))


def _cases():
    for link in UNIT_LINKS:
        yield Case(mf.binomial(link), PROPORTIONS, TRIALS, NONE)
        yield Case(mf.betabinomial(link), PROPORTIONS, TRIALS, np.array([2.3]))
        yield Case(mf.beta(link), FRACTIONS, WEIGHTS, np.array([3.7]))
    for link in POSITIVE_LINKS:
        yield from _counts(link)
        yield Case(mf.Gamma(link), POSITIVE, WEIGHTS, np.array([0.4]))
        yield Case(mf.inverse_gaussian(link), POSITIVE, WEIGHTS, np.array([0.4]))
    for link in GAUSSIAN_LINKS:
        yield Case(mf.gaussian(link), REAL, WEIGHTS, np.array([0.7]))


CASES = tuple(_cases())
