"""Every variance function: its derivatives and its coordinates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.covariance.residual.structure import VarianceColumns
from mixedmodels.covariance.residual.variance import (
    ConstantPower,
    Exponential,
    Fixed,
    Ident,
    LogLinear,
    Power,
)
from mixedmodels.differences import jacobian

# Central differences of step 1e-6.
DIFFERENCES = 1e-6

FUNCTIONS = [
    Ident(("a", "b", "c")),
    Power(),
    Power(("a", "b", "c")),
    Exponential(),
    Exponential(("a", "b", "c")),
    ConstantPower(),
    ConstantPower(("a", "b", "c"), 3.7),
    Fixed(),
    LogLinear(("x", "z")),
]


def columns_of(function, rng, n=12):
    n_strata = len(function.levels) if isinstance(function, Ident) else len(function.strata)
    strata = rng.integers(0, n_strata, n)
    if isinstance(function, Ident):
        return VarianceColumns(np.zeros((n, 0)), strata)
    k = len(function.columns) if isinstance(function, LogLinear) else 1
    return VarianceColumns(rng.uniform(0.1, 4.0, (n, k)), strata)


@given(st.sampled_from(FUNCTIONS), st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_pullbacks_are_derivatives(function, seed):
    rng = np.random.default_rng(seed)
    columns = columns_of(function, rng)
    delta = function.start() + rng.uniform(-0.4, 0.4, function.n_parameters)
    dlog_sd = rng.normal(size=12)
    assert len(function.parameter_names()) == function.n_parameters
    if function.n_parameters == 0:
        assert function.pullback(delta, columns, dlog_sd).shape == (0,)
        return
    expected = jacobian(lambda x: dlog_sd @ function.log_sd(x, columns), delta, np.full(len(delta), 1e-6))
    np.testing.assert_allclose(function.pullback(delta, columns, dlog_sd), expected, atol=DIFFERENCES)
    free = function.to_free(delta)
    np.testing.assert_allclose(function.from_free(free), delta, rtol=1e-14)
    expected = jacobian(lambda z: delta @ function.from_free(z), free, np.full(len(free), 1e-6))
    np.testing.assert_allclose(function.free_pullback(free, delta), expected, atol=DIFFERENCES)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_search_begins_at_equal_standard_deviations(function):
    columns = columns_of(function, np.random.default_rng(3))
    log_sd = function.log_sd(function.start(), columns)
    if not isinstance(function, (Fixed, ConstantPower)):
        assert np.ptp(log_sd) == 0.0


def test_constant_plus_power_takes_zeros():
    columns = VarianceColumns(np.array([[0.0], [2.0]]), np.zeros(2, dtype=int))
    sd = np.exp(ConstantPower().log_sd(np.array([0.5, 1.5]), columns))
    np.testing.assert_allclose(sd, [0.5, 0.5 + 2.0**1.5])


def test_ends_of_ranges_are_told():
    assert Ident(("a", "b")).bounds_reached(np.array([1e-7])) == (("b", 1e-7),)
    assert ConstantPower().bounds_reached(np.array([1e-7, 1.0])) == (("const", 1e-7),)
    assert ConstantPower(typical=10.0).bounds_reached(np.array([1e7, 1.0])) == (("const", 1e7),)
    assert Power().bounds_reached(np.array([3.0])) == ()
