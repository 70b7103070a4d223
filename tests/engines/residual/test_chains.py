"""Long groups, whitened row by row, against the same groups with their matrices."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.residual import problem as engine_problem


def series(n=150, groups=2, seed=1):
    """Return series with gaps, in random order."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"t": np.tile(np.arange(n), groups), "g": np.repeat(np.arange(groups), n)})
    data = data[rng.random(len(data)) > 0.2]
    e = np.zeros(len(data))
    for i in range(1, len(e)):
        e[i] = 0.6 * e[i - 1] + rng.normal()
    data["x"], data["z"] = rng.normal(size=len(data)), rng.uniform(1.0, 2.0, len(data))
    data["y"] = 2.0 + data["x"] + e * data["z"]
    data["w"] = rng.uniform(0.5, 2.0, len(data))
    return data.sample(frac=1.0, random_state=seed)


@pytest.mark.parametrize("residual", ["ar1(t | g)", "car1(t | g)", "exp(t | g)", "arma(t | g, p = 1, q = 1)"])
def test_whitening_row_by_row_gives_what_matrices_give(residual, monkeypatch):
    data, arguments = series(), {"residual": residual, "dispersion": "power(z)", "weights": "w"}
    chained = mm.gls("y ~ x + t", data, **arguments)
    monkeypatch.setattr(engine_problem, "LONG", 10**9)
    dense = mm.gls("y ~ x + t", data, **arguments)
    assert len(chained.problem.chains) > 0
    assert len(dense.problem.chains) == 0
    assert chained.loglik() == pytest.approx(dense.loglik(), abs=1e-9)
    np.testing.assert_allclose(chained.standard_errors(), dense.standard_errors(), rtol=1e-6)
    np.testing.assert_allclose(chained.residuals("normalized"), dense.residuals("normalized"), atol=1e-5)
    np.testing.assert_allclose(chained.simulate(1, seed=1), dense.simulate(1, seed=1), atol=1e-5)
    df, expected = (m.summary(ddf="satterthwaite").coefficients["df"] for m in (chained, dense))
    np.testing.assert_allclose(df, expected, rtol=1e-5)
    np.testing.assert_allclose(chained.confint(), dense.confint(), rtol=1e-4)


def test_a_series_that_is_one_group_of_two_thousand_rows_is_fitted():
    data = series(2500, 1, seed=3)
    m = mm.gls("y ~ x", data, residual="ar1(t)", dispersion="power(z)")
    assert m.convergence().verdict == "converged"
    assert m.estimates.parameters.rho[0] == pytest.approx(0.6, abs=0.1)
    assert m.estimates.parameters.delta[0][0] == pytest.approx(1.0, abs=0.2)
    with pytest.raises(mm.NotAvailableError, match="satterthwaite"):
        m.summary(ddf="kenward-roger")


def test_the_decay_over_a_long_time_does_not_run_off_its_scale():
    # A correlation that is gone at a typical distance still has its gradient.
    data = series(400, 1, seed=5)
    car1, ar1 = (mm.gls("y ~ x", data, residual=f"{name}(t)") for name in ("car1", "ar1"))
    assert car1.loglik() == pytest.approx(ar1.loglik(), abs=1e-7)
    assert car1.convergence().verdict == "converged"


def test_clusters_that_would_fill_the_memory_are_refused_before_they_do():
    data = pd.DataFrame({"y": np.arange(7000.0) % 5, "t": np.arange(7000)})
    with pytest.raises(mm.NotAvailableError, match="7,000 rows"):
        mm.gls("y ~ 1", data, residual="gau(t)")
