"""Parameters that the data cannot tell apart, and residual variances that are small or zero."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.linear.small_residual import fit_separated
from mixedmodels.optimization.identification import unidentified

HERE = Path(__file__).parent


def groups(*names):
    """Return a reader of a CSV file with these columns as factors."""
    return lambda path: pd.read_csv(HERE / path).astype(dict.fromkeys(names, "category"))


def sleepstudy():
    """Return sleepstudy with copies of its variables and predictors constant in a subject."""
    data = mm.load_dataset("sleepstudy").assign(S2=lambda d: d.Subject, D2=lambda d: d.Days)
    number = data.Subject.cat.codes
    return data.assign(
        two=(number % 2).astype(float),
        half=data.Days < 5,
        three=(number % 3).astype(float),
        year=data.Days + 2000.0,
    )


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (
            "(1 | Subject) + (1 | S2)",
            r"\(1 \| Subject\) and .* in \(1 \| S2\) cannot be told apart: only their sum",
        ),
        ("(1 | Subject) + (Days | Subject)", r"\(1 \| Subject\) and .* \(Days \| Subject\)"),
        ("(Days + D2 || Subject)", "variance of Days .* variance of D2"),
        ("(Days + D2 | Subject)", r"variances and covariances in \(Days \+ D2 \| Subject\)"),
        ("(two | Subject)", r"covariance of \(Intercept\) and two .* variance of two"),
        ("factor(Subject) + (1 | Subject)", r"from the fixed effects of factor\(Subject\)"),
        ("cs(0 + factor(Days) | Subject, hom = TRUE)", "residual variance"),
        ("diag(0 + factor(Days) | Subject)", "residual variance"),
        ("(1 | Subject) + cs(0 + factor(Days) | Subject, hom = TRUE)", "cannot be told apart"),
    ],
)
def test_what_the_data_cannot_tell_apart_is_named(terms, words):
    with pytest.warns(mm.IdentificationWarning, match=f"not identified.*{words}"):
        model = mm.lmer(f"Reaction ~ Days + {terms}", sleepstudy())
    assert model.convergence().verdict == "not identified"
    assert model.convergence().is_optimum


@pytest.mark.parametrize(
    "terms",
    [
        "(three | Subject)",
        "(year | Subject)",
        "(year || Subject)",
        "(1 | Subject) + (0 + Days | Subject)",
        "(1 | Subject) + (1 | Subject:half)",
        "ar1(0 + factor(Days) | Subject)",
        "cs(0 + factor(Days) | Subject)",
    ],
)
def test_identified_models_raise_no_alarm(terms):
    assert mm.lmer(f"Reaction ~ Days + {terms}", sleepstudy()).convergence().verdict != "not identified"


@pytest.mark.parametrize("seed", range(12))
def test_the_verdict_agrees_with_the_dense_variance_matrices(seed):
    """Compare random crossed designs with the rank of the matrices themselves."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(12, 200))
    a, b = rng.integers(0, 6, n), rng.integers(0, rng.integers(2, 6), n)
    copy = rng.permutation(6)[a]
    x = rng.normal(size=n) if seed % 3 else (a % 2).astype(float)
    data = pd.DataFrame(
        {"y": rng.normal(size=n), "x": x, "a": a, "b": b, "c": copy if seed % 2 else a * 9 + b}
    )
    formula = "y ~ x + (x | a) + (1 | b) + (1 | c)"
    design = mm.model_terms(formula, data.astype({"a": "category", "b": "category", "c": "category"})).design
    theta = np.concatenate([term.structure.start() for term in design.random])
    matrices = [np.eye(n)]
    for term in design.random:
        same = np.equal.outer(term.codes, term.codes)
        for i in range(term.size):
            for j in range(i + 1):
                product = np.multiply.outer(term.Z[:, i], term.Z[:, j])
                matrices.append(same * (product + product.T))
    P = np.eye(n) - design.X @ np.linalg.pinv(design.X)
    flat = np.array([(P @ V @ P).ravel() / np.linalg.norm(V) for V in matrices])
    values = np.linalg.svd(flat, compute_uv=False)
    dependent = bool(values[-1] < 1e-8 * values[0])
    labels = design.x_names
    found = unidentified(design.random, theta, design.X, lambda: labels, residual=True)
    assert bool(found) == dependent
    assert dependent == (seed % 2 == 1 or seed % 3 == 0)


def test_a_generalized_model_is_judged_alike():
    cbpp = mm.load_dataset("cbpp").assign(flock=lambda d: d.herd)
    with pytest.warns(mm.IdentificationWarning, match="herd.*flock"):
        model = mm.glmer(
            "cbind(incidence, size - incidence) ~ period + (1 | herd) + (1 | flock)", cbpp, family="binomial"
        )
    assert model.convergence().verdict == "not identified"


def test_a_term_written_twice_is_taken_once():
    pastes = mm.load_dataset("Pastes")
    right = mm.lmer("strength ~ 1 + (1 | batch/cask)", pastes)
    with pytest.warns(mm.FormulaWarning, match=r"\(1 \| batch\) twice"):
        model = mm.lmer("strength ~ 1 + (1 | batch) + (1 | batch/cask)", pastes)
    assert model.REMLcrit() == pytest.approx(right.REMLcrit(), abs=1e-9)
    assert len(model.theta()) == 2
    np.testing.assert_allclose(model.predict(pastes), model.fitted())


@pytest.mark.parametrize("design", ["(1 | g)", "w + (1 | g)", "(1 | a) + (1 | g)", "w + (w | a) + (1 | g)"])
@pytest.mark.parametrize("seed", range(4))
def test_a_response_constant_in_its_groups_is_an_error(design, seed):
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(20), 4)
    data = pd.DataFrame({"y": rng.normal(3, 1, 20)[g], "x": rng.normal(size=20)[g], "w": rng.normal(size=80)})
    data = data.assign(g=pd.Categorical(g), a=pd.Categorical(g // 4))
    with pytest.raises(mm.DataError, match=r"does not vary within the levels of .*g"):
        mm.lmer(f"y ~ x + {design}", data)
    for family in ("Gamma", "inverse.gaussian", mm.gaussian(link="log")):
        with pytest.raises(mm.DataError, match="does not vary within the levels of g"):
            mm.glmer(f"y ~ x + {design}", data.assign(y=np.exp(data.y)), family)


def test_a_small_residual_gives_the_limit():
    data = groups("a", "b")("response-constant-in-groups/nested_1e-07.csv")
    model = mm.lmer("y ~ x + (1 | a) + (1 | b)", data)
    means = data.groupby("b", observed=True).agg({"y": "mean", "x": "mean", "a": "first"})
    limit = mm.lmer("y ~ x + (1 | a)", means)
    np.testing.assert_allclose(model.fixef(), limit.fixef(), rtol=1e-6)
    np.testing.assert_allclose(model.vcov(), limit.vcov(), rtol=1e-5)
    assert model.convergence().verdict == "converged"


@pytest.mark.parametrize("REML", [True, False])
def test_both_algorithms_agree_where_both_can(REML):
    pastes = mm.load_dataset("Pastes")
    model = mm.lmer("strength ~ 1 + (1 | batch/cask)", pastes, REML=REML)
    found = fit_separated(model.problem, model.y, REML, np.ones(2), 1.0)
    np.testing.assert_allclose(found.theta, model.theta(), rtol=1e-4)
    rows, usual = found.solution, model.estimates.solution
    assert rows.objective == pytest.approx(usual.objective, abs=1e-7)
    for name in ("beta", "sigma", "unscaled_vcov", "log_det_L2", "log_det_RX2", "pwrss"):
        np.testing.assert_allclose(getattr(rows, name), getattr(usual, name), rtol=1e-4, err_msg=name)
    for ours, theirs in zip(rows.u, usual.u, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_an_autoregression_over_single_rows_takes_the_residual_variance():
    data = groups("rep", "gen")("ar1-slow/data.csv").assign(rf=lambda d: pd.Categorical(d.row))
    model = mm.lmer("yield ~ rep + (1 | gen) + ar1(0 + rf | rep)", data)
    report = model.convergence()
    assert report.verdict == "boundary"
    assert "residual variance is zero" in report.reasons[0]
    assert "rf | rep" in report.reasons[0]
    assert model.REMLcrit() == pytest.approx(81.93818, abs=1e-4)
    assert model.optimization.n_evaluations < 60


@pytest.mark.parametrize("REML", [True, False])
def test_nearly_collinear_slopes_reach_the_optimum_of_the_model_in_their_difference(REML):
    data = groups("g")("near-collinear-slopes/d_1e-08.csv").assign(z=lambda d: (d.x2 - d.x1) / 1e-8)
    model = mm.lmer("y ~ x1 + (x1 + x2 | g)", data, REML=REML)
    same = mm.lmer("y ~ x1 + (x1 + z | g)", data, REML=REML)
    assert model.estimates.solution.objective == pytest.approx(same.estimates.solution.objective, abs=1e-4)
    np.testing.assert_allclose(model.fixef(), same.fixef(), rtol=1e-5)
    np.testing.assert_allclose(model.vcov(), same.vcov(), rtol=1e-4)
    if REML:  # lme4 on x1 and z, the best of all optimisers
        assert model.REMLcrit() == pytest.approx(1824.1858, abs=1e-4)


def test_means_at_the_end_of_a_link_are_not_converged():
    y = np.random.default_rng(2).normal(size=60)
    data = pd.DataFrame({"y": y - y.mean(), "g": pd.Categorical(np.repeat(np.arange(15), 4))})
    with pytest.warns(mm.DataWarning, match="no finite estimate"):
        model = mm.glmer("y ~ 1 + (1 | g)", data, mm.gaussian(link="log"))
    assert model.convergence().verdict == "not converged"
