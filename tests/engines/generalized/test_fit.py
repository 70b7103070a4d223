"""Where a generalized fit starts makes no difference to where it ends."""

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.engines.generalized.fit import fit_generalized

# Two searches for one optimum, each within 1e-10 of it by its own account.
AGAIN = 1e-7


INCIDENCE = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
SHELLS = "shells ~ prev + offset(log(Area)) + (1 | Site)"
MODELS = {
    "one factor": lambda: mm.glmer(INCIDENCE, mm.load_dataset("cbpp"), family="binomial"),
    "quadrature": lambda: mm.glmer(INCIDENCE, mm.load_dataset("cbpp"), family="binomial", nAGQ=9),
    "at a boundary": lambda: mm.glmer(SHELLS, mm.load_dataset("gopherdat2"), family="poisson"),
    "two factors": lambda: mm.glmer(
        f"{SHELLS} + (1 | year)", mm.load_dataset("gopherdat2"), family="poisson"
    ),
    "a family parameter": lambda: mm.glmer_nb("y ~ base + trt + (1 | subject)", mm.load_dataset("epil")),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_refit_ends_where_a_fit_from_the_data_does(name):
    model = MODELS[name]()
    # Response 19 of the boundary model has a variance that vanishes only for a search that starts at zero.
    responses = model.simulate(20, seed=3)
    for k in (0, 1, 19):
        again = model.refit(responses.iloc[:, k].to_numpy())
        fresh = fit_generalized(again.problem, model.estimates.nAGQ)
        assert again.estimates.objective == pytest.approx(fresh.objective, abs=AGAIN)
        np.testing.assert_allclose(again.estimates.theta, fresh.theta, atol=1e-4)


def test_a_refit_takes_a_response_from_a_table_of_rows():
    model = MODELS["at a boundary"]()
    table = np.ascontiguousarray(model.simulate(3, seed=3).to_numpy())
    by_column = model.refit(table[:, 1])
    assert by_column.loglik() == pytest.approx(model.refit(table[:, 1].copy()).loglik(), abs=AGAIN)


def test_a_refit_to_its_own_response_takes_one_evaluation():
    cbpp = mm.load_dataset("cbpp")
    model = mm.glmer(INCIDENCE, cbpp, family="binomial")
    again = model.refit(cbpp["incidence"].to_numpy())
    assert again.optimization.n_evaluations == 1
    assert again.estimates.objective == pytest.approx(model.estimates.objective, abs=AGAIN)


def test_information_that_is_indefinite_with_the_fixed_effects_is_no_failure():
    rng = np.random.default_rng(4)
    x = rng.normal(size=100)
    mu = np.exp(1.0 + 0.3 * x + rng.normal(size=100))
    data = {"y": rng.wald(mu, 8.0), "x": x, "g": np.arange(100).astype(str)}
    with pytest.warns(mm.ApproximationWarning, match="3.0 standard errors"):  # 1.91 for the likelihood's 1.39
        model = mm.glmer("y ~ x + (1 | g)", data, family=mm.inverse_gaussian("log"))
    assert model.convergence().verdict == "inexact"
    assert (np.linalg.eigvalsh(model.vcov(method="rx")) > 0.0).all()
    assert (np.linalg.eigvalsh(model.vcov()) > 0.0).all()


@pytest.mark.parametrize("term", ["0 + x | g", "x | g", "x || g"])
def test_a_family_with_a_parameter_takes_random_slopes(term):
    rng = np.random.default_rng(6)
    x, g = rng.normal(size=200), rng.integers(0, 20, 200)
    mu = np.exp(1.0 + (0.3 + 0.4 * rng.normal(size=20)[g]) * x)
    data = {"y": rng.negative_binomial(3.0, 3.0 / (3.0 + mu)), "x": x, "g": g.astype(str)}
    model = mm.glmer_nb(f"y ~ x + ({term})", data)
    assert model.convergence().is_optimum
