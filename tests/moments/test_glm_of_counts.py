"""A generalized linear model of a source is that of its rows, equal ones counted."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.errors import FamilyError, NotAvailableError
from tests.moments.equality import cut

# Where Fisher scoring ends, relative to the estimates.
SEARCH = 1e-7

MODELS = {
    "an interaction": ("y ~ x * t", "binomial", {}),
    "cbind with weights": ("cbind(y, f) ~ x + t", "binomial", {"weights": "w"}),
    "an offset and a subset": ("c ~ x + t + offset(o)", "poisson", {"subset": "o < 1"}),
    "a quasi family": ("c ~ x + t", "quasipoisson", {}),
    "what is learnt from all rows": ("y ~ scale(x) + t", "quasibinomial", {"weights": "w"}),
    "a parameter": ("c ~ poly(x, 2)", "nbinom2", {}),
}


@pytest.fixture(scope="module")
def data():
    n, rng = 500, np.random.default_rng(4)
    d = pd.DataFrame({"x": rng.integers(0, 4, n), "t": rng.choice(["a", "b"], n), "w": rng.integers(1, 3, n)})
    d["o"], d["f"] = rng.integers(0, 2, n) / 2, rng.integers(1, 4, n)
    d["y"] = (rng.random(n) < 0.3 + 0.1 * d.x).astype(int)
    d["c"] = rng.poisson(np.exp(0.2 * d.x) * rng.gamma(1.5, 1 / 1.5, n))
    return d.assign(x=d.x.where(d.index != 3))


@pytest.mark.parametrize("name", MODELS)
def test_the_fit_to_batches_is_that_to_all_rows(data, name):
    formula, family, options = MODELS[name]
    whole = mm.glm(formula, data, family, **options)
    found = mm.glm(formula, cut(data, 5, np.random.default_rng(1)), family, **options)
    np.testing.assert_allclose(found.fixef(), whole.fixef(), rtol=SEARCH)
    np.testing.assert_allclose(found.vcov(), whole.vcov(), rtol=SEARCH)
    asked = ["deviance", "nobs", "df_residual", "dispersion"]
    asked += [] if "quasi" in family else ["loglik", "aic", "bic"]
    for ask in asked:
        assert getattr(found, ask)() == pytest.approx(getattr(whole, ask)(), rel=1e-8), ask
    ours, theirs = (str(m.summary()).partition("Coefficients:")[2] for m in (found, whole))
    assert ours == theirs
    np.testing.assert_allclose(mm.anova(found, type=2), mm.anova(whole, type=2), rtol=1e-6)
    rows = (data[data.o < 1] if "subset" in options else data).dropna()
    for ask in ("residuals", "fitted"):
        batches = getattr(found, ask)([rows[:100], rows[100:]])
        ours = np.concatenate([np.ravel(batch) for batch in batches])
        np.testing.assert_allclose(ours, getattr(whole, ask)(), atol=1e-7)
    if "t" in formula.split():
        ours, theirs = (mm.emmeans(m, "t").to_frame()["emmean"] for m in (found, whole))
        np.testing.assert_allclose(ours, theirs, rtol=SEARCH)


def test_what_needs_rows_says_so(data):
    found = mm.glm("y ~ x + t", [data[:200], data[200:]], "binomial")
    whole = mm.glm("y ~ x + t", data, "binomial")
    np.testing.assert_allclose(mm.drop1(found), mm.drop1(whole), rtol=1e-6)
    for ask in (found.fitted, found.residuals, found.cooks_distance, lambda: found.refit(data.y)):
        with pytest.raises(NotAvailableError, match="needs the rows"):
            ask()
    for family, advice in (("gaussian", "take lm"), ("Gamma", "read_parquet")):
        with pytest.raises(FamilyError, match=advice):
            mm.glm("w ~ x", [data], family)


def test_separation_is_told(data):
    d = data.assign(s=(data.y == 1) & (data.index % 3 == 0))
    with pytest.warns(mm.errors.DataWarning, match="sTRUE has no finite estimate"):
        found = mm.glm("y ~ t + s", [d[:200], d[200:]], "binomial")
    assert found.convergence().verdict != "converged"
