"""A linear model fitted to sums is the one fitted to the rows."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from tests.moments.equality import cut


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("Reaction ~ Days * f", {}),
        ("Reaction ~ poly(Days, 2) + offset(o)", {"weights": "w", "subset": "Days > 0"}),
        ("Reaction ~ 0 + f + Days", {"offset": "o"}),
        ("Reaction ~ 1", {}),
    ],
)
def test_the_fit_to_pieces_is_that_to_all_rows(formula, options):
    d = mm.load_dataset("sleepstudy")
    n = np.arange(len(d))
    d = d.assign(f=pd.Categorical(np.where(d.Days > 4, "l", "e")), w=n % 3 * 1.0, o=np.sin(n))
    d.loc[3, "Reaction"] = np.nan
    whole = mm.lm(formula, d, **options)
    found = mm.lm(formula, cut(d, 5, np.random.default_rng(1)), **options)
    np.testing.assert_allclose(found.fixef(), whole.fixef(), rtol=1e-10)
    for name in ("loglik", "sigma", "nobs", "df_residual", "r_squared", "deviance", "aic", "bic"):
        assert getattr(found, name)() == pytest.approx(getattr(whole, name)(), rel=1e-10), name
    np.testing.assert_allclose(found.vcov(), whole.vcov(), rtol=1e-9)
    np.testing.assert_allclose(mm.anova(found).astype(float), mm.anova(whole).astype(float), rtol=1e-8)
    np.testing.assert_allclose(found.confint(), whole.confint(), rtol=1e-9)
    ours, theirs = (str(m.summary()).partition("Coefficients:")[2] for m in (found, whole))
    assert ours == theirs
    np.testing.assert_allclose(found.predict(d[:9]), whole.predict(d[:9]), rtol=1e-10)
    batches = list(found.predict([d[:9], d[9:20]]))
    assert [len(batch) for batch in batches] == [9, 11]
    n_rows = d.dropna() if "subset" not in options else d[d.Days > 0].dropna()
    for name in ("fitted", "residuals"):
        ours = np.concatenate([np.ravel(t) for t in getattr(found, name)([n_rows[:50], n_rows[50:]])])
        np.testing.assert_allclose(ours, getattr(whole, name)(), rtol=1e-9, atol=1e-9)
    again = mm.lm(mm.moments(formula, cut(d, 2), **options))
    assert again.loglik() == pytest.approx(whole.loglik(), rel=1e-10)
    with pytest.raises(mm.errors.NotAvailableError, match="needs the rows"):
        found.residuals()


def test_what_is_refused():
    d = mm.load_dataset("sleepstudy")
    with pytest.raises(mm.errors.MixedModelsError, match="lmer"):
        mm.lm("Reaction ~ Days + (1 | Subject)", [d])
    with pytest.raises(mm.errors.DataError, match="fit the response exactly"):
        mm.lm("Reaction ~ Days", [d[:2]])
