"""The compiled rows of the beta-binomial with the logit equal the family's own formulas."""

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.families import beta_binomial
from mixedmodels.kernels import family_rows

pytestmark = pytest.mark.skipif(
    family_rows.beta_binomial_rows is family_rows.beta_binomial_rows_numpy, reason="nothing is compiled"
)

# Sixty terms of a sum, against numbers of the size of a trial.
ROUNDING = 1e-11
PARTS = ("loglik", "d1", "d2", "information", "d3", "d_information")
PHI_PARTS = ("loglik", "d1", "d2", "information")


def rows_of(phi, seed=0, n=400):
    """Return response, predictor and trials, with rows of none, one and the most trials."""
    rng = np.random.default_rng(seed)
    trials = np.concatenate([[0.0, 1.0, 64.0, 49.0], rng.integers(0, 65, size=n - 4)])
    successes = np.minimum(rng.binomial(64, 0.3, size=n), trials)
    y = np.divide(successes, trials, out=np.zeros(n), where=trials > 0.0)
    return y, 5.0 * rng.normal(size=n), trials, np.array([phi])


@pytest.mark.parametrize("phi", [1e-3, 0.7, 12.0, 1e5])
def test_rows_equal_the_formulas(phi, monkeypatch):
    rows, family = rows_of(phi), mm.betabinomial()
    assert family._logit_rows(*rows, in_phi=True) is not None
    found = family.evaluate(*rows, order=3), family.phi_derivatives(*rows)
    monkeypatch.setattr(beta_binomial, "beta_binomial_rows", family_rows.beta_binomial_rows_numpy)
    expected = family.evaluate(*rows, order=3), family.phi_derivatives(*rows)
    for mine, right, parts in zip(found, expected, (PARTS, PHI_PARTS), strict=True):
        for part in parts:
            np.testing.assert_allclose(
                getattr(mine, part), getattr(right, part), rtol=ROUNDING, atol=ROUNDING
            )


@pytest.mark.parametrize(
    "change", ["many trials", "no whole count", "far predictor", "not a number", "vanishing precision"]
)
def test_rows_out_of_the_ordinary_are_left_to_the_formulas(change):
    y, eta, trials, phi = rows_of(2.0)
    if change == "many trials":
        trials[5] = 65.0
    elif change == "no whole count":
        y[2] = 0.51
    elif change == "vanishing precision":
        phi = np.array([1e-60])
    else:
        eta[5] = 300.0 if change == "far predictor" else np.nan
    assert mm.betabinomial()._logit_rows(y, eta, trials, phi, in_phi=False) is None


@pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 1025])
def test_rows_do_not_depend_on_those_beside_them(n):
    y, eta, trials, phi = rows_of(3.0, seed=n, n=max(n, 4))
    y, eta, trials, family = y[:n], eta[:n], trials[:n], mm.betabinomial()
    whole = family.evaluate(y, eta, trials, phi, order=3)
    for i in range(0, n, 97):
        alone = family.evaluate(y[i : i + 1], eta[i : i + 1], trials[i : i + 1], phi, order=3)
        for part in PARTS:
            np.testing.assert_allclose(getattr(whole, part)[i], getattr(alone, part)[0], rtol=1e-13)


def test_nodes_of_quadrature_are_rows_too():
    y, eta, trials, phi = rows_of(3.0)
    nodes, family = np.stack([eta - 0.5, eta, eta + 0.7]), mm.betabinomial()
    many = (np.broadcast_to(y, nodes.shape), nodes, np.broadcast_to(trials, nodes.shape), phi)
    assert family._logit_rows(*many, in_phi=False) is not None
    found = family.evaluate(*many, order=3, constant=np.zeros(nodes.shape))
    for k, node in enumerate(nodes):
        alone = family.evaluate(y, node, trials, phi, order=3, constant=np.zeros(len(y)))
        for part in PARTS:
            np.testing.assert_array_equal(getattr(found, part)[k], getattr(alone, part))
