"""The verdict and its words."""

import numpy as np

from mixedmodels.optimization.convergence import boundary_reasons, judge
from tests.factorization.random_models import random_term


def _term(size):
    rng = np.random.default_rng(0)
    return random_term(rng.normal(size=(30, size)), np.arange(30) % 6, "g")


def test_an_interior_optimum_has_no_reasons():
    report = judge([_term(1)], np.array([0.5]), 1e-10, 100.0, np.zeros(1), "stopped")
    assert (report.verdict, report.reasons, report.is_optimum) == ("converged", (), True)


def test_a_large_decrement_names_the_parameter_that_moves():
    report = judge([_term(2)], np.array([0.5, 0.1, 0.2]), 1e-3, 100.0, np.array([0.0, 0.0, 0.04]), "stopped")
    assert report.verdict == "not converged"
    assert not report.is_optimum
    assert report.reasons[0].startswith("The parameter x1 of (x0 + x1 | g) still moves")
    assert report.reasons[1] == "stopped"


def test_each_zero_is_named_by_term_and_coefficient():
    zero_variance = boundary_reasons([_term(2)], np.array([0.0, 0.0, 0.4]))
    assert zero_variance == ("The variance of x0 in (x0 + x1 | g) is zero.",)
    dependent = boundary_reasons([_term(2)], np.array([0.7, 0.3, 0.0]))
    assert dependent == ("The effects of x1 in (x0 + x1 | g) follow from those of x0.",)


def test_the_tolerance_grows_with_the_rounding_of_the_objective():
    assert judge([_term(1)], np.array([0.5]), 5e-7, 1e6, np.zeros(1), "").verdict == "converged"
    assert judge([_term(1)], np.array([0.5]), 5e-7, 1e3, np.zeros(1), "").verdict == "not converged"
