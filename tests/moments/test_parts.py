"""A generalized model fitted to rows on disk, some levels at a time, is the one fitted to all of them."""

import pickle
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.errors import DataError, NotAvailableError
from mixedmodels.models.parted import PartedGeneralizedLinearMixedModel
from tests.moments.equality import EQUAL, cut
from tests.moments.test_counts import a_table

# Where the search in memory ends, in standard errors: a step beyond gains nothing in the likelihood. Here one
# Newton step follows it.
SEARCH = 1e-5


def a_number_each(n=300, seed=5):
    """Return rows of which hardly two are equal."""
    d = a_table(n, seed)
    rng = np.random.default_rng(seed)
    k, inner = rng.integers(0, 12, len(d)), rng.integers(0, 3, len(d))
    names = [f"{place} in {level}" for level, place in zip(k, inner, strict=True)]
    return d.assign(c=rng.normal(10.0, 2.0, len(d)), k=k, inner=names)


MODELS = {
    "a factor": ("answer ~ c + h * t + (1 | g)", mm.binomial(link="probit"), {}),
    "cbind with weights": ("cbind(y, failures) ~ c + (1 | g)", "binomial", {"weights": "w"}),
    "slopes far from zero": ("y ~ scale(c) + x + (c | g)", "binomial", {}),
    "an offset": ("count ~ poly(c, 2) + offset(log(o + 1)) + (1 | g:h)", "poisson", {"offset": "o / 2"}),
    "quadrature": ("count ~ c + (0 + x | g)", "poisson", {"nAGQ": 7, "subset": "o < 1"}),
    "negative binomial": ("many ~ c + (1 | g)", "nbinom2", {}),
    "nested factors": ("count ~ c + (1 | h / g)", "poisson", {}),
    "factors nested by their levels": ("y ~ c + (x | k) + (1 | inner)", "binomial", {"subset": "o < 1"}),
    "terms of one factor": ("count ~ c + (1 | g) + (0 + x | g)", "poisson", {"weights": "w"}),
    "expected information": ("size ~ c + I(2 * c) + (1 | g)", mm.Gamma(link="log"), {"hessian": "expected"}),
}


@pytest.fixture(autouse=True)
def _on_disk(monkeypatch):
    """Hold next to nothing in memory, and begin the search with few levels."""
    monkeypatch.setattr(import_module("mixedmodels.formula.design.counted_rows"), "MOST_BYTES", 100)
    monkeypatch.setattr(import_module("mixedmodels.engines.generalized.parts_fit"), "SAMPLE_ROWS", 200)
    # Room for some of the parts.
    monkeypatch.setattr(import_module("mixedmodels.engines.generalized.parts"), "SHARE_HELD", 2**22)


def parted(formula, data, family, **options):
    found = mm.glmer(formula, data, family, **options)
    assert isinstance(found, PartedGeneralizedLinearMixedModel)
    return found


def assert_equal(found, whole, tolerance=SEARCH):
    errors = whole._standard_errors()
    np.testing.assert_allclose(found.loglik(), whole.loglik(), rtol=EQUAL)
    assert found.loglik() > whole.loglik() - EQUAL
    assert (found.nobs(), found.df_residual(), found.ngrps()) == (
        whole.nobs(), whole.df_residual(), whole.ngrps(),
    )  # fmt: skip
    assert list(found.fixef().index) == list(whole.fixef().index)
    np.testing.assert_allclose((found.beta - whole.beta) / errors, 0.0, atol=tolerance)
    np.testing.assert_allclose(found._standard_errors(), errors, rtol=tolerance)
    for own, their in ((found.theta_values, whole.theta_values), (found.phi, whole.phi)):
        np.testing.assert_allclose(own, their, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(found.deviance(), whole.deviance(), rtol=tolerance)
    for one, other in zip(found.random, whole.random, strict=True):
        assert (one.label, one.levels, one.columns) == (other.label, other.levels, other.columns)
    for one, other in zip(found.b, whole.b, strict=True):
        np.testing.assert_allclose(one, other, atol=10 * tolerance)
    for one, other in zip(found._conditional_covariances(), whole._conditional_covariances(), strict=True):
        np.testing.assert_allclose(one, other, atol=10 * tolerance)


@pytest.mark.filterwarnings("ignore::mixedmodels.errors.DataWarning")
@pytest.mark.parametrize("name", MODELS)
def test_parts_give_the_fit_to_all_rows(name):
    formula, family, options = MODELS[name]
    d = a_number_each()
    whole = mm.glmer(formula, d, family, **options)
    found = parted(formula, cut(d, 7, np.random.default_rng(1)), family, **options)
    assert_equal(found, whole)
    assert found.convergence().verdict == whole.convergence().verdict
    printed = [str(m.summary()).partition("Random effects:")[2] for m in (found, whole)]
    ours, theirs = (text.partition("optimizer (")[0] for text in printed)
    assert ours == theirs


@settings(max_examples=2, deadline=None, phases=[Phase.generate])
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 200), max_size=5), st.integers(1, 40))
def test_any_partition_gives_the_same_fit(seed, cuts, n_files):
    d = a_number_each(200)
    rows = np.split(np.random.default_rng(seed).permutation(len(d)), sorted(cuts))
    formula = "count ~ c + (1 | g)"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("mixedmodels.fits.spilled_levels"), "FILES", n_files)
        found = parted(formula, [d.iloc[part] for part in rows], "poisson")
    one = parted(formula, [d], "poisson")
    # The last step is Newton's: nothing is left of the way there but the errors of differences.
    assert_equal(found, one, 1e-7)


def test_equal_rows_are_fitted_once(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(import_module("mixedmodels.glmer_of_parts"), "MANY_ROWS", 100)
    d = a_table(2100)
    for formula, family, options in (
        ("y ~ x + t + (1 | g)", "binomial", {"weights": "w"}),
        ("count ~ t + offset(log(o + 1)) + (1 | g)", "poisson", {"subset": "o < 1"}),
    ):
        found = parted(formula, cut(d, 7, np.random.default_rng(1)), family, **options)
        assert_equal(found, mm.glmer(formula, d, family, **options))
    assert not isinstance(
        mm.glmer("count ~ x + (1 | g) + (1 | h)", [d], "poisson"), PartedGeneralizedLinearMixedModel
    )


def test_what_is_said_without_rows():
    d = a_number_each().dropna().reset_index(drop=True)
    formula, parts = "y ~ c + (1 | g)", [d[:100], d[100:]]
    found, whole = parted(formula, parts, "binomial"), mm.glmer(formula, d, "binomial")
    np.testing.assert_allclose(
        found.predict(d[:9], type="response"), whole.predict(d[:9], type="response"), atol=1e-6
    )
    np.testing.assert_allclose(
        np.concatenate([t[".resid"] for t in found.residuals(parts)]), whole.residuals(), atol=1e-6
    )
    ours, theirs = (m.confint("beta_", method="wald") for m in (found, whole))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert "one pass an evaluation" in str(found.factorization)
    again = pickle.loads(pickle.dumps(found))
    assert again.loglik() == found.loglik()
    for call in (found.fitted, found.simulate, lambda: found.refit(d.y), lambda: found.problem):
        with pytest.raises(NotAvailableError, match="needs the rows"):
            call()


def test_a_predictor_that_tells_the_responses_apart_is_no_optimum():
    d = a_number_each().assign(s=lambda d: (d.y == 1) & (d.index % 4 == 0))
    with pytest.warns(mm.ConvergenceWarning, match="do not determine all fixed effects"):
        found = parted("y ~ c + s + (1 | g)", [d], "binomial")
    assert found.convergence().verdict == "not converged"


def test_a_response_that_varies_within_no_level_has_no_variance():
    d = a_number_each().assign(y=lambda d: (pd.factorize(d.g)[0] % 2).astype(int))
    with pytest.warns(mm.ConvergenceWarning, match="no finite estimate"):
        parted("y ~ 1 + (1 | g)", [d.assign(z=d.c)], "binomial", subset="c > 0")


def test_a_variance_of_zero():
    d = a_number_each().assign(k=lambda d: np.arange(len(d)) % 40, few=lambda d: np.arange(len(d)) // 40 % 3)
    whole = mm.glmer("few ~ c + (1 | k)", d, "poisson")
    assert whole.is_singular()
    found = parted("few ~ c + (1 | k)", cut(d, 3), "poisson")
    assert found.is_singular()
    assert_equal(found, whole)


def test_a_start():
    d = a_number_each()
    found = parted("y ~ c + (1 | g)", [d], "binomial", start={"theta": 0.7})
    assert_equal(found, mm.glmer("y ~ c + (1 | g)", d, "binomial"))


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("y ~ c + (1 | g) + (1 | k)", {}, "of g, k none has all others nested in it: leave one of them out"),
        ("y ~ c + (1 | k / inner)", {"nAGQ": 5}, "for nAGQ=1 alone"),
        ("y ~ c + (1 | g)", {"nAGQ": 0}, "not with nAGQ=0"),
        ("y ~ c + (1 | g)", {"nAGQ": "auto"}, "not with nAGQ='auto'"),
    ],
)
def test_what_cannot_be_divided_is_refused(formula, options, message):
    d = a_number_each()
    with pytest.raises(DataError, match=message):
        mm.glmer(formula, [d], "binomial", **options)
    with pytest.raises(DataError, match="read only once"):
        mm.glmer("y ~ c + (1 | g)", iter([d]), "binomial")
