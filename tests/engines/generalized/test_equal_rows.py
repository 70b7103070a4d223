"""Equal rows fitted once: nothing but the time may change."""

import numpy as np
import pytest

from mixedmodels import families
from mixedmodels.engines.generalized import equal_rows as collapse
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.problem_from_data import generalized_problem, vcov_hessian
from tests.engines.generalized.generalized_models import random_term

# The same likelihood in another order of summation, optimised to a decrement of 5e-11.
OBJECTIVE_TOLERANCE = 1e-8


def repeated_rows(family, seed=1):
    rng = np.random.default_rng(seed)
    n = 3000
    groups, x = rng.integers(0, 20, n), rng.integers(0, 4, n).astype(float)
    weights = rng.integers(1, 4, n).astype(float)
    eta = 0.3 - 0.2 * x + 0.7 * rng.normal(size=20)[groups]
    if family.name == "binomial":
        y = rng.binomial(weights.astype(int), 1.0 / (1.0 + np.exp(-eta))) / weights
    else:
        y = rng.poisson(np.exp(eta)).astype(float)
    Z = np.column_stack([np.ones(n), x])
    return y, weights, Z, [random_term("g", groups, Z)], 0.5 * (x > 1.0), family


@pytest.mark.parametrize("nAGQ", [1, 4])
@pytest.mark.parametrize(
    "family", [families.binomial(link="probit"), families.poisson()], ids=lambda family: family.name
)
def test_the_fit_does_not_change(family, nAGQ, monkeypatch):
    problem = generalized_problem(*repeated_rows(family))
    monkeypatch.setattr(collapse, "FEWEST_ROWS", 10**9)
    plain = generalized_problem(*repeated_rows(family))
    assert len(problem.y) == 80
    assert len(plain.y) == 3000
    found, expected = fit_generalized(problem, nAGQ), fit_generalized(plain, nAGQ)
    assert found.objective == pytest.approx(expected.objective, abs=OBJECTIVE_TOLERANCE)
    np.testing.assert_allclose(found.beta, expected.beta, rtol=1e-4)
    np.testing.assert_allclose(found.eta, expected.eta, atol=1e-4)
    np.testing.assert_allclose(
        vcov_hessian(problem, found), vcov_hessian(plain, expected), rtol=1e-3, atol=1e-7
    )
    assert "the 3000 rows are 80 distinct ones" in found.optimization.message


def test_another_response_is_collapsed_alike():
    problem = generalized_problem(*repeated_rows(families.poisson()))
    other = repeated_rows(families.poisson(), seed=1)
    y = other[0] + 1.0
    changed = problem.with_response(y, problem.family.log_constant(y, other[1]))
    afresh = generalized_problem(y, *other[1:])
    np.testing.assert_allclose(changed.y, afresh.y)
    np.testing.assert_allclose(changed.constant, afresh.constant)


def test_distinct_rows_and_other_families_are_left_alone():
    y, weights, Z, terms, offset, family = repeated_rows(families.poisson())
    distinct = np.linspace(0.0, 1.0, len(y))
    assert generalized_problem(y, weights, Z, terms, distinct, family).row_origin.equal is None
    assert generalized_problem(y, weights, Z, terms, offset, families.nbinom2()).row_origin.equal is None
