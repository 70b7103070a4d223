"""A cell without a finite coefficient is named in every part of every family, and costs no long search."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cells():
    d = pd.read_csv(HERE / "cells.csv")
    return d.astype({"a": "category", "g": "category"})


@pytest.fixture(scope="module")
def flowers():
    d = pd.read_csv(HERE / "data.csv")
    return d.astype({"pop": "category", "morph": "category", "blk": "category"})


def _fit(function, formula, data, family, **options):
    """Return the fit and the messages about the data."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = function(formula, data, family=family, **options)
    assert {w.category for w in caught} <= {mm.DataWarning}
    return fit, [str(w.message) for w in caught]


def test_counts_of_one_take_a_truncated_poisson_to_minus_infinity(flowers):
    fit, told = _fit(mm.glmer, "y ~ pop * morph + (1 | blk)", flowers, mm.truncated_poisson())
    assert told == ["pop1 and pop1:morph1 have no finite estimates: there is no count above one in pop = 1."]
    assert fit.convergence().verdict == "not converged"


def test_infinite_theta_beside_a_separated_cell_is_found_at_once(flowers):
    fit, told = _fit(mm.glmer, "y ~ pop + (1 | blk)", flowers, mm.truncated_nbinom2())
    assert told == ["pop1 has no finite estimate: there is no count above one in pop = 1."]
    # glmmTMB with the cell left out, whose likelihood tends to one.
    assert -2.0 * fit.loglik() == pytest.approx(321.1146, abs=1e-4)
    assert fit.family_parameters()["theta"] > 1e6
    assert fit.fixef()["pop1"] < -15.0
    assert fit.optimization.n_evaluations < 150
    reasons = fit.convergence().reasons
    assert any("theta runs to infinity" in reason for reason in reasons)


@pytest.mark.parametrize(
    "family",
    [
        mm.poisson(), mm.poisson(zi=True), mm.nbinom1(), mm.nbinom2(), mm.nbinom1(zi=True),
        mm.nbinom2(zi=True), mm.poisson(link="inverse"),
    ],
    ids=lambda family: f"{family.name} {family.link.name}",
)  # fmt: skip
def test_all_zero_cell_of_counts(cells, family):
    fit, told = _fit(mm.glm, "c ~ a + x", cells, family)
    assert told == ["ac has no finite estimate: all counts are zero in a = c."]
    assert fit.convergence().verdict == "not converged"


@pytest.mark.parametrize("link", ["logit", "probit", "cloglog", "loglog", "cauchit"])
def test_cell_without_success(cells, link):
    _, told = _fit(mm.glmer, "y ~ a + x + (1 | g)", cells, mm.binomial(link=link))
    assert told == ["ac has no finite estimate: there is no success in a = c."]


def test_log_link_of_a_binomial_fits_what_is_left_without_the_cell(cells):
    # The observed information of this link is zero for a success, and the search meets means of one.
    options = {"hessian": "expected"}
    fit, told = _fit(mm.glmer, "y ~ a + (1 | g)", cells, mm.binomial(link="log"), **options)
    with pytest.warns(mm.ApproximationWarning, match="coarse"):
        rest = mm.glmer("y ~ a + (1 | g)", cells, mm.binomial(link="log"), subset="a != 'c'", **options)
    assert told == ["ac has no finite estimate: there is no success in a = c."]
    assert fit.loglik() == pytest.approx(rest.loglik(), abs=1e-6)


def test_hurdle_cell_without_a_positive_count_is_not_identified(cells):
    fit, told = _fit(mm.glmer, "c ~ a + x + (1 | g)", cells, mm.truncated_poisson(zi=True))
    assert told == ["ac is not identified: there is no count above zero in a = c."]
    assert fit.convergence().verdict == "not identified"


def test_hurdle_cell_of_zeros_and_ones(cells):
    rng = np.random.default_rng(3)
    count = np.where(cells["a"] == "c", rng.integers(0, 2, len(cells)), cells["c"])
    _, told = _fit(mm.glm, "c ~ a", cells.assign(c=count), mm.truncated_nbinom2(zi=True))
    assert told == ["ac has no finite estimate: there is no count above one in a = c."]


@pytest.mark.parametrize("family", [mm.betabinomial(), mm.quasibinomial(), mm.binomial()])
def test_cell_without_failure_of_trials(cells, family):
    s = np.where(cells["a"] == "c", 6, 1 + cells["c"] % 5)
    _, told = _fit(mm.glm, "cbind(s, f) ~ a", cells.assign(s=s, f=6 - s), family)
    assert told == ["ac has no finite estimate: there is no failure in a = c."]


def test_rows_of_weight_zero_leave_a_coefficient_unidentified(cells):
    data = cells.assign(w=(cells["a"] != "d").astype(float), c=cells["c"] + 1)
    fit, told = _fit(mm.glm, "c ~ a", data, "poisson", weights="w")
    assert told == ["ad is not identified: there is no row of positive weight in a = d."]
    assert fit.convergence().verdict == "not identified"


def test_mean_below_zero_takes_a_log_link_to_minus_infinity(cells):
    y = np.linspace(-2.0, 1.9, len(cells))
    fit, told = _fit(mm.glm, "y ~ 1", cells.assign(y=y), mm.gaussian(link="log"))
    assert told == [
        "(Intercept) has no finite estimate: the fitted mean runs to zero, where the response averages -0.05."
    ]
    assert fit.convergence().verdict == "not converged"


def test_penalized_quasi_likelihood_names_the_cell(cells):
    with pytest.raises(
        mm.ConvergenceError, match=r"ac has no finite estimate: there is no success in a = c\."
    ):
        mm.glmer("y ~ a + (1 | g)", cells, "binomial", method="pql")


def test_ordered_cells_are_named(cells):
    data = cells.assign(a=cells["a"].cat.as_ordered())
    _, told = _fit(mm.glm, "c ~ a", data, "poisson")
    assert len(told) == 1
    assert told[0].endswith("have no finite estimates: all counts are zero in a = c.")


def test_identity_link_of_a_mixed_model_names_the_cell(cells):
    fit, told = _fit(mm.glmer, "c ~ a + (1 | g)", cells, mm.poisson(link="identity"))
    assert len(told) == 1
    assert told[0].startswith("ac is at the end of its range: all counts are zero in a = c")
    assert fit.convergence().verdict == "not converged"


def test_square_root_link_turns_back_at_zero(cells):
    fit, told = _fit(mm.glm, "c ~ a", cells, mm.poisson(link="sqrt"))
    assert len(told) == 1
    assert fit.fixef()["ac"] == pytest.approx(-fit.fixef()["(Intercept)"], abs=1e-6)
    assert fit.convergence().verdict == "boundary"
