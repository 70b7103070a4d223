"""Draws at new rows have the correlation of residuals; type="disp" has the dispersion of each row."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import ControlError, DataError, NotAvailableError
from tests.engines.residual.test_objective import table

#: Draws, and the error of a correlation of so many with a margin.
DRAWS, ERROR = 6000, 0.06


@pytest.mark.parametrize("group", [3, 99], ids=["known", "new"])
@pytest.mark.parametrize(
    "residual",
    [
        "ar1(visit | g)",
        "us(visit | g)",
        "cs(visit | arm / g)",
        "exp(visit | g)",
        "ar1h(visit | g)",
        "toep(visit | g)",
    ],
)
def test_draws_at_new_rows_have_the_correlation_of_their_group(residual, group):
    m = mm.gls("y ~ x", table(7, 40), residual=residual)
    new = pd.DataFrame(
        {"g": [group] * 3 + [100], "visit": [4, 0, 1, 0], "x": [0.0, 1.0, -1.0, 0.5], "arm": "b"}
    )
    drawn = m.simulate(DRAWS, seed=1, newdata=new).to_numpy()
    groups = m.data["g"].value_counts()
    whole = int(groups[(groups == 5) & (groups.index % 2 == 1)].index[0])  # an odd one is of arm b
    shown = m.covariance(f"b:{whole}" if "arm" in residual else whole)
    assert drawn.mean(axis=1) == pytest.approx(m.predict(new).to_numpy(), abs=0.1)
    found = np.cov(drawn)
    sd = np.sqrt(found.diagonal())
    assert np.abs(found[:3, 3] / (sd[:3] * sd[3])).max() < ERROR
    V = shown.to_numpy()[np.ix_([4, 0, 1], [4, 0, 1])]
    assert found[:3, :3] == pytest.approx(V, abs=2.0 * ERROR * V.diagonal().max())


def test_draws_beside_random_effects_have_the_covariance_of_both():
    m = mm.lmer("y ~ x + (1 | g)", table(7, 40), residual="ar1(visit | g)")
    new = pd.DataFrame({"g": [3, 3, 3], "visit": [0, 1, 3], "x": 0.0})
    found = np.cov(m.simulate(DRAWS, seed=2, newdata=new).to_numpy())
    phi = m.residual_parameters[1][0]
    lag = np.abs(np.subtract.outer([0, 1, 3], [0, 1, 3]))
    V = m.sigma() ** 2 * (m.theta_values[0] ** 2 + phi**lag)
    assert found == pytest.approx(V, abs=3.0 * ERROR * V.max())


def test_rows_of_one_group_at_one_time_cannot_be_drawn():
    m = mm.gls("y ~ x", table(7, 40), residual="ar1(visit | g)")
    with pytest.raises(DataError, match="one place"):
        m.simulate(1, seed=1, newdata=pd.DataFrame({"g": [3, 3], "visit": [1, 1], "x": 0.0}))


def test_dispersions_are_a_type_of_prediction():
    epil = mm.load_dataset("epil")
    m = mm.glmer("y ~ base + trt + (1 | subject)", epil, "nbinom2", dispersion="~ trt + period")
    new = epil.iloc[[0, 3, 9]]
    assert m.predict(type="disp").to_numpy() == pytest.approx(m.row_dispersions().to_numpy(), rel=1e-14)
    found = m.predict(new, type="disp")
    assert list(found.index) == list(new.index)
    assert found.to_numpy() == pytest.approx(m.row_dispersions(new).to_numpy(), rel=1e-14)
    with pytest.raises(ControlError, match="disp"):
        m.predict(new, type="disp", se_fit=True)
    with pytest.raises(ControlError, match="disp"):
        m.predict(new, type="disp", re_form="average")


def test_models_of_one_dispersion_have_none_by_row():
    m = mm.lmer("Reaction ~ Days + (1 | Subject)", mm.load_dataset("sleepstudy"))
    with pytest.raises(NotAvailableError, match="dispersion="):
        m.predict(type="disp")
