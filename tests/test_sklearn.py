"""The scikit-learn estimators: scikit-learn's own checks, and the numbers of the models inside them."""

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixedmodels.sklearn import MixedModelClassifier, MixedModelRegressor

SLOPES = "~ Days + (Days | Subject)"
# Checks that logistic regression without a penalty does not pass.
EXPECTED_FAILURES = {
    "MixedModelClassifier": {
        "check_sample_weight_equivalence_on_dense_data": (
            "15 rows in 30 columns are separated perfectly: there are no finite estimates, so that "
            "predictions at new rows depend on where the search stops"
        )
    }
}


@parametrize_with_checks(
    [MixedModelRegressor(), MixedModelClassifier()],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES.get(type(estimator).__name__, {}),
)
@pytest.mark.filterwarnings(
    "ignore"
)  # of separated classes and columns that depend on others, made on purpose
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def sleep():
    data = mm.load_dataset("sleepstudy")
    return data[["Days", "Subject"]], data["Reaction"]


@pytest.fixture(scope="module")
def verbagg():
    data = mm.load_dataset("VerbAgg")
    rows = data["id"].isin(data["id"].unique()[:60])
    return data.loc[rows, ["Anger", "situ", "id"]], data.loc[rows, "r2"]


def test_predictions_are_those_of_the_model(sleep):
    X, y = sleep
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", X.assign(Reaction=y))
    for formula in (SLOPES, "Days + (Days | Subject)", "Reaction ~ Days + (Days | Subject)"):
        estimator = MixedModelRegressor(formula).fit(X, y)
        np.testing.assert_allclose(estimator.predict(X), m.fitted(), rtol=1e-7)
        assert list(estimator.feature_names_in_) == ["Days", "Subject"] and estimator.n_features_in_ == 2
    assert estimator.formula_ == "Reaction ~ Days + (Days | Subject)"
    assert estimator.score(X, y) == pytest.approx(
        1 - ((y - m.fitted()) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    )
    population = MixedModelRegressor(SLOPES, re_form="0", REML=False).fit(X, y)
    np.testing.assert_allclose(population.predict(X), m.refitML().predict(X, re_form="0"), rtol=1e-7)
    np.testing.assert_allclose(estimator.model_.ranef()["Subject"], m.ranef()["Subject"], rtol=1e-6)


def test_weights(sleep):
    X, y = sleep
    w = np.tile([1.0, 2.0, 3.0], 60)
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", X.assign(Reaction=y), weights=w)
    found = MixedModelRegressor(SLOPES).fit(X, y, sample_weight=w)
    np.testing.assert_allclose(found.model_.fixef(), m.fixef(), rtol=1e-8)
    # A row of weight zero is as good as absent, and with it a subject.
    kept = (X["Subject"].astype(str) != "308").to_numpy()
    without = MixedModelRegressor(SLOPES).fit(X[kept], y[kept])
    zero = MixedModelRegressor(SLOPES).fit(X, y, sample_weight=kept.astype(float))
    assert zero.model_.ngrps() == {"Subject": 17}
    np.testing.assert_allclose(zero.predict(X), without.predict(X), rtol=1e-6)


def test_new_groups_are_predicted_at_zero(sleep):
    X, y = sleep
    folds = GroupKFold(6)
    found = cross_val_predict(MixedModelRegressor(SLOPES), X, y, groups=X["Subject"], cv=folds)
    for train, test in folds.split(X, y, X["Subject"]):
        m = mm.lmer("y ~ Days + (Days | Subject)", X.iloc[train].assign(y=y.iloc[train]))
        np.testing.assert_allclose(found[test], m.predict(X.iloc[test], re_form="0"), rtol=1e-6)
    strict = MixedModelRegressor(SLOPES, allow_new_levels=False).fit(X.iloc[:50], y.iloc[:50])
    with pytest.raises(mm.DataError, match="level"):
        strict.predict(X)


def test_classes_and_probabilities(verbagg):
    X, y = verbagg
    m = mm.glmer("r2 ~ Anger + situ + (1 | id)", X.assign(r2=(y == "Y").astype(float)), "binomial")
    estimator = MixedModelClassifier("~ Anger + situ + (1 | id)").fit(X, y)
    p = m.fitted().to_numpy()
    assert estimator.classes_.tolist() == ["N", "Y"]
    np.testing.assert_allclose(estimator.predict_proba(X)[:, 1], p, rtol=1e-6)
    np.testing.assert_allclose(np.exp(estimator.predict_log_proba(X)), estimator.predict_proba(X), rtol=1e-12)
    assert (estimator.predict(X) == np.where(p > 0.5, "Y", "N")).all()
    assert estimator.score(X, y) == np.mean((p > 0.5) == (y == "Y"))
    assert cross_val_score(estimator, X, y, groups=X["id"], cv=GroupKFold(3)).min() > 0.5
    with pytest.raises(
        ValueError, match=r"binary classification is supported. .* multiclass, with 3 classes"
    ):
        MixedModelClassifier("~ Anger").fit(X, X["situ"].astype(str).where(X["Anger"] > 15, "third"))


def test_generalized_regressors():
    ticks = mm.load_dataset("grouseticks")
    m = mm.glmer("TICKS ~ YEAR + (1 | BROOD)", ticks, "poisson")
    found = MixedModelRegressor("~ YEAR + (1 | BROOD)", family="poisson").fit(
        ticks[["YEAR", "BROOD"]], ticks["TICKS"]
    )
    np.testing.assert_allclose(found.predict(ticks[["YEAR", "BROOD"]]), m.fitted(), rtol=1e-5)
    plain = MixedModelRegressor("~ YEAR", family="poisson").fit(ticks[["YEAR"]], ticks["TICKS"])
    np.testing.assert_allclose(
        plain.predict(ticks[["YEAR"]]), mm.glm("TICKS ~ YEAR", ticks, "poisson").fitted()
    )


def test_pipelines_hand_on_the_names(sleep):
    X, y = sleep
    scaled = ColumnTransformer(
        [("s", StandardScaler(), ["Days"])], remainder="passthrough", verbose_feature_names_out=False
    )
    pipe = make_pipeline(scaled.set_output(transform="pandas"), MixedModelRegressor(SLOPES))
    np.testing.assert_allclose(
        pipe.fit(X, y).predict(X), MixedModelRegressor(SLOPES).fit(X, y).predict(X), rtol=1e-6
    )
    assert list(pipe[-1].feature_names_in_) == ["Days", "Subject"]
    logged = TransformedTargetRegressor(
        MixedModelRegressor(SLOPES), func=np.log, inverse_func=np.exp, check_inverse=False
    )
    m = mm.lmer("log(Reaction) ~ Days + (Days | Subject)", X.assign(Reaction=y))
    np.testing.assert_allclose(logged.fit(X, y).predict(X), np.exp(m.fitted()), rtol=1e-6)
    assert make_pipeline(FunctionTransformer(), MixedModelRegressor(SLOPES)).fit(X, y).score(X, y) > 0.8


def test_formulas_are_parameters_to_choose_from(sleep):
    X, y = sleep
    grid = {"formula": ["~ Days + (1 | Subject)", SLOPES, "~ (1 | Subject)"], "REML": [True, False]}
    search = GridSearchCV(MixedModelRegressor(SLOPES), grid, cv=3).fit(X, y)
    assert search.best_params_["formula"] != "~ (1 | Subject)"
    estimator = MixedModelRegressor(SLOPES, contrasts={"f": "sum"}, control={})
    again = clone(estimator.set_params(REML=False, nAGQ=3))
    assert again.get_params() == estimator.get_params() and again.get_params()["nAGQ"] == 3
    assert not hasattr(again, "model_")


def test_columns_without_names_and_without_a_formula():
    rng = np.random.default_rng(3)
    X = np.column_stack([rng.normal(size=60), np.repeat(np.arange(10), 6)])
    y = X[:, 0] + rng.normal(size=10)[X[:, 1].astype(int)] + rng.normal(size=60)
    grouped = MixedModelRegressor("~ x0 + (1 | x1)").fit(X, y)
    assert grouped.model_.ngrps() == {"x1": 10} and not hasattr(grouped, "feature_names_in_")
    plain = MixedModelRegressor().fit(X, y)
    assert plain.formula_ == "y ~ x0 + x1"
    design = np.column_stack([np.ones(60), X])
    np.testing.assert_allclose(plain.predict(X), design @ np.linalg.lstsq(design, y)[0], rtol=1e-9)
    named = pd.DataFrame(X, columns=["y", "a b"])
    assert MixedModelRegressor().fit(named, y).formula_ == "y. ~ y + `a b`"
    assert MixedModelRegressor("~ y").fit(named, y).model_.fixef().index.tolist() == ["(Intercept)", "y"]


def test_other_tables(sleep):
    pl = pytest.importorskip("polars")
    X, y = sleep
    frame = pl.DataFrame({"Days": X["Days"].to_numpy(), "Subject": X["Subject"].astype(str).tolist()})
    found = MixedModelRegressor(SLOPES).fit(frame, y.to_numpy()).predict(frame)
    np.testing.assert_allclose(found, MixedModelRegressor(SLOPES).fit(X, y).predict(X), rtol=1e-6)


def test_wrong_input(sleep):
    X, y = sleep
    fitted = MixedModelRegressor(SLOPES).fit(X, y)
    with pytest.raises(mm.ControlError, match="must be a name, which y gets"):
        MixedModelRegressor("log(y) ~ Days").fit(X, y)
    with pytest.raises(mm.DataError, match=r"Reaktion|column"):
        MixedModelRegressor("~ Tage + (1 | Subject)").fit(X, y)
    with pytest.raises(ValueError, match=r"[Mm]issing"):
        MixedModelRegressor(SLOPES).fit(X.assign(Days=X["Days"].where(X["Days"] > 0)), y)
    with pytest.raises(ValueError, match=r"[Mm]issing"):
        fitted.predict(X.assign(Days=X["Days"].where(X["Days"] > 0)))
    with pytest.raises(ValueError, match="contains NaN"):
        MixedModelRegressor(SLOPES).fit(X, y.where(y > 250))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        MixedModelRegressor(SLOPES).fit(X, y[:100])
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(X.rename(columns={"Days": "Tage"}))
    with pytest.raises(mm.FormulaError):
        MixedModelRegressor("~ Days + (1 | Subject").fit(X, y)


def test_scikit_learn_is_loaded_only_when_asked_for(monkeypatch):
    package = Path(mm.__file__).parent
    loading = [p for p in package.rglob("*.py") if re.search(r"(from|import) sklearn", p.read_text("utf-8"))]
    assert loading == [package / "sklearn.py"]
    monkeypatch.delitem(sys.modules, "mixedmodels.sklearn")
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    with pytest.raises(mm.NotAvailableError, match=r"pip install 'mixedmodels\[sklearn\]'"):
        __import__("mixedmodels.sklearn")
    with pytest.raises(AttributeError, match=r"from mixedmodels.sklearn import MixedModelRegressor"):
        mm.MixedModelRegressor  # noqa: B018
