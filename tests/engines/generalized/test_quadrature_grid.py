"""Rules of any number of nodes are exact, with weights too small for a double."""

import numpy as np
import pytest
from scipy.special import factorial2, roots_hermitenorm

import mixedmodels as mm
from mixedmodels.engines.generalized.quadrature_grid import (
    MOST_NODES,
    MOST_POINTS,
    check_grid,
    hermite_rule,
    n_points,
    product_rule,
    quadrature_grid,
)
from mixedmodels.errors import ControlError

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@pytest.mark.parametrize("n", [1, 2, 9, 25, 180, 400, 1000])
def test_moments_of_the_normal_distribution(n):
    nodes, log_weights = hermite_rule(n)
    weights = np.exp(log_weights)
    assert np.isfinite(log_weights).all()
    for power in range(0, min(2 * n, 12), 2):
        expected = factorial2(power - 1) if power else 1.0
        assert weights @ nodes**power == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [9, 180, 1000])
def test_weights_are_scipys_where_those_are_numbers(n):
    weights = roots_hermitenorm(n)[1]
    kept = weights > 1e-290
    np.testing.assert_allclose(
        hermite_rule(n)[1][kept], np.log(weights[kept] / np.sqrt(2.0 * np.pi)), atol=1e-11
    )


def test_far_nodes_count():
    """An integrand four times as wide as the rule, its far nodes beyond the range of a double's weights."""
    nodes, log_weights = hermite_rule(1000)
    assert log_weights.min() < -1900.0
    total = np.exp(log_weights + nodes**2 / 2.0 - nodes**2 / 32.0).sum() * np.sqrt(2.0 * np.pi)
    assert total == pytest.approx(np.sqrt(32.0 * np.pi), rel=1e-11)


def test_points_of_a_rule_are_counted():
    assert len(quadrature_grid(5, 3).nodes) == n_points(5, 3) == 125
    sizes = [tuple(1 + e for e in extra) for extra in np.ndindex(3, 3, 3, 3, 3) if sum(extra) == 2]
    assert sum(len(product_rule(size)[0]) for size in sizes) == n_points(3, 5)


@pytest.mark.parametrize(("n", "dimension"), [(MOST_NODES + 1, 1), (101, 3), (40, 4), (25, 5)])
def test_more_nodes_than_can_be_are_refused(n, dimension):
    with pytest.raises(ControlError, match=f"{MOST_NODES}, not {n}|{MOST_POINTS:,} points.*fewer nodes"):
        check_grid(n, dimension)


@pytest.mark.parametrize("n", [400, 1000])
def test_hundreds_of_nodes(n, data):
    exact = mm.glmer(CBPP, data("cbpp"), family="binomial", nAGQ=25)
    many = mm.glmer(CBPP, data("cbpp"), family="binomial", nAGQ=n)
    assert many.loglik() == pytest.approx(exact.loglik(), abs=1e-7)


def test_the_limit_is_stated(data):
    with pytest.raises(mm.ControlError, match="at most 1000, not 1200; nAGQ='auto'"):
        mm.glmer(CBPP, data("cbpp"), family="binomial", nAGQ=1200)
    random = data("cbpp").assign(x=np.arange(56) % 7, z=np.arange(56) % 5)
    with pytest.raises(mm.ControlError, match=r"3 random effects of a level.*fewer nodes"):
        mm.glmer(f"{CBPP.replace('(1 |', '(x + z |')}", random, family="binomial", nAGQ=200)
