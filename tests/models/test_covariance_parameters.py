"""Covariance parameters as SAS prints them: names, order, values, standard errors and limits."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import mixedmodels as mm
from mixedmodels.certification.fits import fit_mmrm, run_named

STRUCTURES = {
    "us": ["UN(1,1)", "UN(2,1)", "UN(2,2)", "UN(3,1)", "UN(3,2)", "UN(3,3)"],
    "cs": ["CS", "Residual"],
    "csh": ["Var(1)", "Var(2)", "Var(3)", "CSH"],
    "ar1": ["AR(1)", "Residual"],
    "ar1h": ["Var(1)", "Var(2)", "Var(3)", "ARH(1)"],
    "toep": ["TOEP(2)", "TOEP(3)", "Residual"],
    "toeph": ["Var(1)", "Var(2)", "Var(3)", "TOEPH(1)", "TOEPH(2)"],
    "adh": ["Var(1)", "Var(2)", "Var(3)", "Rho(1)", "Rho(2)"],
}


def trial(n=60, seed=4):
    rng = np.random.default_rng(seed)
    g, visit = np.divmod(np.arange(3 * n), 3)
    data = pd.DataFrame(
        {"g": g, "visit": visit + 1, "arm": np.where(g % 2, "a", "b"), "x": rng.normal(size=3 * n)}
    )
    shared = np.repeat(rng.normal(size=n), 3)
    data["y"] = data["x"] + 1.5 * shared + rng.normal(size=3 * n) * (1.0 + 0.3 * visit)
    return data[rng.random(3 * n) < 0.9]


@pytest.mark.parametrize("structure", STRUCTURES)
def test_names_are_those_of_sas_in_its_order_and_by_arm(structure):
    table = mm.mmrm(f"y ~ x + {structure}(visit | g)", trial()).covariance_parameters()
    assert list(table.index) == STRUCTURES[structure]
    by_arm = mm.mmrm(f"y ~ x + {structure}(visit | arm / g)", trial()).covariance_parameters()
    assert by_arm["group"].value_counts().to_dict() == dict.fromkeys(("arm a", "arm b"), len(table))
    assert set(by_arm.index) == {name.replace("Residual", "Variance") for name in table.index}


@pytest.mark.parametrize("structure", ["us", "cs", "toep"])
def test_the_values_are_those_of_the_covariance_of_a_complete_subject(structure):
    data = trial()
    m = mm.mmrm(f"y ~ x + {structure}(visit | g)", data)
    residual = m.design.residual
    whole = np.bincount(residual.codes).argmax()
    rows = residual.in_order()[residual.codes[residual.in_order()] == whole]
    V = m.sigma() ** 2 * m.residual_covariance(m.prior_weights, rows)
    at = m.covariance_parameters()["estimate"]
    found = {
        "us": lambda: [V[0, 0], V[1, 0], V[1, 1], V[2, 0], V[2, 1], V[2, 2]],
        "cs": lambda: [V[1, 0], V[0, 0] - V[1, 0]],
        "toep": lambda: [V[1, 0], V[2, 0], V[0, 0]],
    }[structure]()
    np.testing.assert_allclose(at, found, rtol=1e-10)


def test_standard_errors_are_those_of_the_observed_information_by_another_route():
    # A saturated mean in complete data: variances and covariances have those of Wishart's distribution.
    rng = np.random.default_rng(0)
    Y = rng.multivariate_normal(np.zeros(3), [[2.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 1.5]], size=40)
    data = pd.DataFrame(Y).stack().rename_axis(["g", "visit"]).rename("y").reset_index()
    m = mm.mmrm("y ~ factor(visit) + us(visit | g)", data)
    S = np.cov(Y.T)
    table = m.covariance_parameters()
    places = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    np.testing.assert_allclose(table["estimate"], [S[i, j] for i, j in places], rtol=1e-7)
    expected = [np.sqrt((S[i, i] * S[j, j] + S[i, j] ** 2) / 39) for i, j in places]
    np.testing.assert_allclose(table["std.error"], expected, rtol=1e-6)


def test_limits_are_of_chi_square_for_variances_and_normal_for_covariances():
    table = mm.mmrm("y ~ x + cs(visit | g)", trial()).covariance_parameters(level=0.9)
    cs, residual = table.loc["CS"], table.loc["Residual"]
    assert cs["upper"] - cs["estimate"] == pytest.approx(stats.norm.isf(0.05) * cs["std.error"])
    df = 2.0 * (residual["estimate"] / residual["std.error"]) ** 2
    assert residual["lower"] == pytest.approx(df * residual["estimate"] / stats.chi2.isf(0.05, df))


def test_a_model_with_random_effects_has_theirs_first_and_residual_variances_by_level():
    data = trial()
    m = mm.lmer("y ~ x + (1 | g)", data, dispersion="ident(visit)")
    table = m.covariance_parameters()
    assert list(table.index) == ["Var((Intercept))", "Residual", "Residual", "Residual"]
    assert list(table["group"]) == ["g", "1", "2", "3"]
    ratios = m.estimates.parameters.delta[0] if hasattr(m.estimates, "parameters") else None
    assert ratios is None or np.allclose(table["estimate"].iloc[2:], m.sigma() ** 2 * ratios**2)


def test_sas_printed_these_limits():
    table = fit_mmrm(run_named("fev_cs_reml_bw_empirical_arm")).covariance_parameters()
    printed = run_named("fev_cs_reml_bw_empirical_arm").expected["covariance"]
    for row in printed:
        own = table.loc[row["name"]]
        assert [round(own[name], 2) for name in ("estimate", "lower", "upper")] == [
            round(float(row[name]), 2) for name in ("estimate", "lower", "upper")
        ]
