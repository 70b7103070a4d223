"""Predictions from rank-deficient fits: a warning at rows that the data do not determine, and only there."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

IGNORE = {"check_rank": "ignore"}


def crossed(missing_cell=True, seed=1):
    rng = np.random.default_rng(seed)
    table = [
        (a, b, g)
        for a in "pqr"
        for b in "uv"
        for g in range(8)
        if not (missing_cell and (a, b) == ("r", "v"))
    ]
    data = pd.DataFrame(table, columns=["a", "b", "g"]).astype({"a": "category", "b": "category"})
    data["y"] = rng.normal(size=len(data)) + rng.normal(size=8)[data["g"]]
    data["x"] = rng.normal(size=len(data))
    data["g"] = data["g"].astype("category")
    return data


def fit(kind, formula, data):
    if kind == "lmer":
        return mm.lmer(f"{formula} + (1 | g)", data, control=IGNORE)
    with pytest.warns(mm.DataWarning, match="rank deficient"):
        return mm.lm(formula, data) if kind == "lm" else mm.glm(formula, data, "gaussian")


@pytest.mark.parametrize("kind", ["lmer", "lm", "glm"])
def test_an_empty_cell(kind):
    data = crossed()
    model = fit(kind, "y ~ a * b", data)
    cells = pd.DataFrame([(a, b, 1) for a in "pqr" for b in "uv"], columns=["a", "b", "g"])
    with pytest.warns(mm.DataWarning, match=r"1 of the 6 new rows \(row 5, .*dropped \(ar:bv\)") as caught:
        everything = model.predict(cells)
    assert caught[0].filename == __file__
    rest = model.predict(cells.iloc[:5])  # no warning: the suite would fail
    np.testing.assert_allclose(everything.iloc[:5], rest)
    model.predict()
    model.predict(data)


def test_collinear_predictors():
    data = crossed()
    data["twice"] = 2 * data["x"] + 3
    model = fit("lmer", "y ~ x + twice", data)
    good = pd.DataFrame({"x": [0.5, -7.0], "twice": [4.0, -11.0], "g": [1, 2]})
    assert np.isfinite(model.predict(good, se_fit=True)).all(axis=None)
    assert np.isnan(model.predict(good.assign(x=np.nan), re_form=mm.NA)).all()
    with pytest.warns(mm.DataWarning, match="2 of the 2 new rows"):
        model.predict(good.assign(twice=1.0))
    with pytest.warns(mm.DataWarning, match="not determine the mean"):
        model.simulate(newdata=good.assign(twice=1.0), seed=1)
    model.predict(good.assign(twice=1.0), random_only=True)


def test_a_fit_of_full_rank_never_warns():
    model = mm.lmer("y ~ a * b + (1 | g)", crossed(missing_cell=False))
    model.predict(pd.DataFrame([("r", "v", 1)], columns=["a", "b", "g"]))


@pytest.mark.parametrize("seed", range(10))
def test_a_row_is_estimable_where_the_choice_of_columns_does_not_matter(seed):
    """The mean of an estimable row is the same whichever of the dependent columns are kept."""
    rng = np.random.default_rng(seed)
    n, names = 30, list("abcd")
    base = rng.normal(size=(n, 3)) * 10.0 ** rng.integers(-3, 4, 3)
    mix = rng.integers(-2, 3, size=(3, 1)).astype(float)
    table = pd.DataFrame(np.hstack([base, base @ mix]), columns=names)
    table["y"] = rng.normal(size=n)
    new = pd.DataFrame(np.hstack([base[:3], base[:3] @ mix]), columns=names)
    new.loc[1, "d"] += 0.01 * table["d"].abs().max() + 0.01  # breaks the dependence
    if not mix.any():
        new.loc[1, "d"] = 1.0
    means = []
    for order in (names, names[::-1]):
        model = fit("lm", f"y ~ {' + '.join(order)}", table)
        with pytest.warns(mm.DataWarning, match=r"1 of the 3 new rows \(row 1,"):
            means.append(model.predict(new).to_numpy())
    if mix.any():
        np.testing.assert_allclose(means[0][[0, 2]], means[1][[0, 2]], rtol=1e-7)
        assert abs(means[0][1] - means[1][1]) > 1e-9


@pytest.mark.parametrize("kind", ["lmer", "lm", "glm"])
def test_model_matrices_of_new_rows(kind):
    data = crossed(missing_cell=False)
    formula = "y ~ poly(x, 2) * a + b"
    model = mm.lmer(f"{formula} + (x | g)", data) if kind == "lmer" else getattr(mm, kind)(formula, data)
    rows = data.iloc[[4, 30]]
    X = model.model_matrix(newdata=rows)
    pd.testing.assert_frame_equal(X, model.model_matrix().iloc[[4, 30]])
    np.testing.assert_allclose(
        X @ model.fixef(), model.predict(rows, **({"re_form": mm.NA} if kind == "lmer" else {}))
    )
    with pytest.raises(mm.ControlError, match="new rows are newdata="):
        model.model_matrix(rows)
    with pytest.raises(mm.DataError, match="'b'"):
        model.model_matrix(newdata=rows.drop(columns="b"))


def test_random_effects_matrices_of_new_rows():
    data = crossed(missing_cell=False)
    model = mm.lmer("y ~ a + (x | g)", data)
    rows = data.iloc[[3, 11, 40]]
    Z = model.model_matrix("random", newdata=rows)
    np.testing.assert_allclose(Z.toarray(), model.model_matrix("random").toarray()[[3, 11, 40]])
    eta = model.model_matrix(newdata=rows) @ model.fixef() + Z @ model.getME("b")
    np.testing.assert_allclose(eta, model.predict(rows))
    with pytest.raises(mm.DataError, match="new levels"):
        model.model_matrix("random", newdata=rows.assign(g=99))
