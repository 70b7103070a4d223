"""A generalized model fitted to counted rows is the one fitted to all of them."""

import contextlib
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.families import get_family
from tests.conformance.references import run_reference
from tests.conformance.shared import WHY_ABSENT, find_shared
from tests.moments.equality import EQUAL, SINGULAR, cut

# The search ends where steps gain nothing in the likelihood; the way there decides on digits beyond these.
OTHER_PATH = 1e-5


def a_table(n=600, seed=5):
    """Return rows of few kinds with responses of several families."""
    rng = np.random.default_rng(seed)
    g = rng.integers(0, 25, n)
    x = rng.integers(0, 4, n) * 1.0
    eta = -0.2 + 0.3 * x + 0.7 * rng.standard_normal(25)[g]
    d = pd.DataFrame(
        {
            "y": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int),
            "count": rng.poisson(np.exp(eta)),
            "size": np.round(rng.gamma(2.0, np.exp(eta) / 2.0), 1) + 0.1,
            "x": x,
            "g": g,
            "h": pd.Categorical(rng.choice(["u", "v", "w"], n), ["w", "u", "v"]),
            "t": rng.choice(["no", "yes"], n),
            "w": rng.integers(1, 3, n),
            "o": rng.integers(0, 3, n) / 2,
        }
    )
    d["answer"] = pd.Categorical(np.where(d.y == 1, "yes", "no"))
    d["many"] = rng.poisson(np.exp(eta) * rng.gamma(1.0, 1.0, n))
    d["failures"] = rng.integers(1, 4, n)
    d.loc[[3, 70], "x"] = np.nan
    d.loc[11, "t"] = None
    return d


MODELS = {
    "Bernoulli": ("y ~ x + t + (1 | g)", "binomial", {}),
    "slopes": ("y ~ x + h + (x | g)", "binomial", {}),
    "a factor": ("answer ~ h * t + (1 | g)", mm.binomial(link="probit"), {}),
    "cbind with weights": ("cbind(y, failures) ~ x + (1 | g)", "binomial", {"weights": "w"}),
    "what is learnt of all rows": ("y ~ poly(x, 2) + scale(o) + (scale(x) | g)", "binomial", {}),
    "crossed": ("count ~ x + (1 | g) + (1 | h)", "poisson", {"subset": "o < 1"}),
    "an offset": ("count ~ t + offset(log(o + 1)) + (1 | g:h)", "poisson", {"offset": "o / 2"}),
    "quadrature": ("count ~ x + (1 | g)", "poisson", {"nAGQ": 7, "weights": "w"}),
    "negative binomial": ("many ~ x + (1 | g)", "nbinom2", {}),
    "known theta": ("count ~ x + (1 | g)", mm.negative_binomial(1.5), {}),
    "Gamma": ("size ~ x + (1 | g)", mm.Gamma(link="log"), {}),
}


def assert_equal(found, whole):
    """Check objective, estimates, standard errors, criteria, names and random effects."""
    # Negative binomial rows are searched with weights, where in memory each is by itself: another path.
    other_way = len(found.problem.y) < len(whole.problem.y)
    tolerance = OTHER_PATH if other_way else SINGULAR if whole.is_singular() else EQUAL
    np.testing.assert_allclose(found.loglik(), whole.loglik(), rtol=EQUAL)
    near = {"rtol": tolerance, "atol": tolerance}
    errors = whole._standard_errors()
    assert (found.nobs(), found.df_residual()) == (whole.nobs(), whole.df_residual())
    assert list(found.fixef().index) == list(whole.fixef().index)
    assert found.ngrps() == whole.ngrps()
    np.testing.assert_allclose(found.bic(), whole.bic(), **near)
    np.testing.assert_allclose(found.deviance(), whole.deviance(), **near)
    np.testing.assert_allclose((found.beta - whole.beta) / errors, 0.0, atol=tolerance)
    np.testing.assert_allclose(found.theta_values, whole.theta_values, **near)
    np.testing.assert_allclose(found.phi, whole.phi, **near)
    for one, other in zip(found.random, whole.random, strict=True):
        assert (one.label, one.levels, one.columns) == (other.label, other.levels, other.columns)
    for one, other in zip(found.b, whole.b, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e2 * tolerance, atol=1e2 * tolerance)
    # From differences of gradients.
    np.testing.assert_allclose(found._standard_errors(), errors, rtol=max(1e-8, tolerance))


#: Few rows are fitted one by one, many by their kinds.
SIZES = ((600, 3), (2400, 7))
CASES = [(name, *SIZES[k % 2]) for k, name in enumerate(MODELS)] + [
    ("Bernoulli", 2400, 7),
    ("an offset", 2400, 1),
]


@pytest.mark.parametrize(("name", "n", "pieces"), CASES)
def test_pieces_in_any_order_give_the_fit_to_all_rows(name, n, pieces):
    formula, family, options = MODELS[name]
    d = a_table(n)
    parts = cut(d, pieces, np.random.default_rng(pieces))
    assert_equal(mm.glmer(formula, parts, family, **options), mm.glmer(formula, d, family, **options))


def test_rows_one_by_one():
    d, formula = mm.load_dataset("cbpp"), "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    found = mm.glmer(formula, cut(d, len(d), np.random.default_rng(0)), "binomial")
    assert_equal(found, mm.glmer(formula, d, "binomial"))
    assert -2.0 * found.loglik() == pytest.approx(184.0526, abs=1e-4)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 600), max_size=5))
def test_any_partition_gives_the_same_fit(seed, cuts):
    d = a_table()
    rows = np.split(np.random.default_rng(seed).permutation(len(d)), sorted(cuts))
    parts = [d.iloc[part] for part in rows]
    formula = "count ~ x + (1 | g)"
    assert_equal(mm.glmer(formula, parts, "poisson"), mm.glmer(formula, d, "poisson"))


@pytest.mark.parametrize("family", ["poisson", "binomial", "nbinom2", "nbinom1", "beta", "truncated_poisson"])
def test_a_weight_is_as_many_equal_rows(family):
    known = get_family(family)
    y = np.array([0.25, 0.5]) if family == "beta" else np.array([1.0, 1.0])
    eta, phi = np.array([0.3, -0.4]), np.full(len(known.phi_names), 1.7)
    one = known.evaluate(y, eta, np.ones(2), phi, 3, constant=known.log_constant(y, np.ones(2)))
    constant = 3.0 * known.log_constant(y, np.ones(2))
    three = known.evaluate(y, eta, np.full(2, 3.0), phi, 3, constant=constant)
    for part in ("loglik", "d1", "d2", "information", "d3", "d_information"):
        np.testing.assert_allclose(getattr(three, part), 3.0 * getattr(one, part), rtol=1e-12)


def test_rows_of_a_source_are_gone_through_in_batches(tmp_path):
    d = a_table().dropna().reset_index(drop=True)
    formula = "cbind(y, failures) ~ x + (1 | g)"
    whole, parts = mm.glmer(formula, d, "binomial", weights="w"), [d[:200], d[200:]]
    found = mm.glmer(formula, parts, "binomial", weights="w")
    for own, right in (
        (found.fitted(parts), whole.fitted()),
        (found.residuals(parts), whole.residuals()),
        (found.predict(parts, type="response"), whole.predict(d, type="response")),
    ):
        np.testing.assert_allclose(np.concatenate([t.to_numpy()[:, 0] for t in own]), right, atol=1e-12)
    assert found.augment(parts, to=tmp_path / "rows.parquet") == len(d)
    error = whole.predict(d, se_fit=True)
    pd.testing.assert_frame_equal(found.predict(d, se_fit=True), error, rtol=1e-7)
    for call in (found.fitted, found.predict, found.simulate, lambda: found.refit(d.y), found.hatvalues):
        with pytest.raises(mm.errors.NotAvailableError, match="needs the rows"):
            call()


def test_what_is_said_of_the_model_is_said_of_all_rows():
    d = a_table()
    formula = "y ~ x + (1 | g)"
    found, whole = (mm.glmer(formula, data, "binomial") for data in ([d[:300], d[300:]], d))
    assert str(found) == str(whole)
    assert "2 observations deleted due to missingness" in str(found)
    less = mm.glmer("y ~ 1 + (1 | g)", [d.dropna(subset="x")], "binomial")
    known = d.dropna(subset="x")
    right = whole.anova(mm.glmer("y ~ 1 + (1 | g)", known, "binomial"))
    np.testing.assert_allclose(found.anova(less).to_numpy(float), right.to_numpy(float))
    assert "598 rows of" in str(found.factorization)


def test_a_reader_that_comes_once_and_a_parquet_file(tmp_path):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    d = a_table()
    table = pa.Table.from_pandas(d)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=100)
    whole = mm.glmer("y ~ scale(x) + t + h + (1 | g)", d, "binomial")
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=70))
    for source in (reader, tmp_path / "rows.parquet", iter([d[:50], d[50:]])):
        assert_equal(mm.glmer("y ~ scale(x) + t + h + (1 | g)", source, "binomial"), whole)


def test_the_gaussian_family_goes_to_sums():
    d = mm.load_dataset("sleepstudy")
    found = mm.glmer("Reaction ~ Days + (1 | Subject)", [d[:90], d[90:]], "gaussian")
    assert found.REMLcrit() == pytest.approx(mm.lmer("Reaction ~ Days + (1 | Subject)", d).REMLcrit())


@pytest.mark.parametrize(
    ("formula", "options", "message"),
    [
        ("y ~ x", {}, "no random effects"),
        ("y ~ x + (1 | g)", {"method": "pql"}, "rows in memory"),
        ("y ~ x + (1 | g)", {"dispersion": "~ x"}, "rows in memory"),
        ("y ~ z + (1 | g)", {}, "no column 'z'"),
        ("w ~ x + (1 | g)", {}, "different rows of the source"),
        ("y ~ x + (1 | g)", {"weights": np.ones(600)}, "weights must be the name of a column"),
    ],
)
def test_what_cannot_be_is_refused(formula, options, message):
    d = a_table()
    with pytest.raises(mm.errors.MixedModelsError, match=message):
        mm.glmer(formula, [d[:300], d[300:]], "binomial", **options)


#: Of the models of shared references every so many is fitted here.
EVERY = 17


class _Asked(Exception):
    """A fit that is not wanted: what it was asked for is."""


def _models_of_references():
    """Return (formula, data, family, options) of the generalized mixed models of the shared references."""
    found = {}

    def recording(formula, data=None, family=None, nAGQ=1, **options):
        strings = all(isinstance(options.get(k), str | None) for k in ("weights", "offset", "subset"))
        plain = all(options.get(name) is None for name in ("dispersion", "relmat", "start"))
        if (
            plain
            and strings
            and nAGQ not in (0, "auto")
            and isinstance(data, pd.DataFrame)
            and len(data) < 700
        ):
            found[formula, len(data), repr(family), nAGQ] = (formula, data, family, nAGQ, options)
        raise _Asked

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mm, "glmer", recording)
        for path in sorted((find_shared() / "reference").glob("*.json")):
            reference = json.loads(path.read_text(encoding="utf-8"))
            if reference.get("engine") in ("lme4::glmer", "glmmTMB::glmmTMB"):
                with contextlib.suppress(_Asked):
                    run_reference(reference)
    return list(found.values())


@pytest.mark.skipif(find_shared() is None, reason=WHY_ABSENT)
@pytest.mark.filterwarnings("ignore")
def test_models_of_shared_references_in_seven_pieces():
    models = _models_of_references()
    assert len(models) > 30
    for formula, data, family, nAGQ, options in models[::EVERY]:
        kept = ("weights", "offset", "subset", "na_action", "contrasts", "env", "hessian")
        own = {name: options[name] for name in kept if options.get(name) is not None}
        whole = mm.glmer(formula, data, family, nAGQ, **own)
        found = mm.glmer(formula, cut(data, 7, np.random.default_rng(1)), family, nAGQ, **own)
        assert_equal(found, whole)
