"""Families whose dispersion depends on predictors: glmer(..., dispersion="~ x")."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nbinom, norm

import mixedmodels as mm
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.problem import pack
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.engines.generalized.start import starting_values
from mixedmodels.errors import ControlError, DataError, FamilyError, FormulaError, NotAvailableError
from mixedmodels.families import get_family, initialize
from mixedmodels.fits.family_dispersion import with_dispersion_of
from mixedmodels.formula import build_design
from mixedmodels.formula.language.dispersion import parse_family_dispersion

FAMILIES = {
    "nbinom2": "count",
    "nbinom1": "count",
    "Gamma": "positive",
    "inverse.gaussian": "positive",
    "gaussian": "positive",
    "beta": "share",
    "betabinomial": "cbind(hits, misses)",
    "zero_inflated_nbinom2": "zeros",
    "zero_inflated_nbinom1": "zeros",
    "truncated_nbinom2": "above",
    "truncated_nbinom1": "above",
    "hurdle_nbinom2": "zeros",
}


@pytest.fixture(scope="module")
def data():
    """Return responses of every kind whose dispersion depends on x, on shuffled rows."""
    rng = np.random.default_rng(20)
    n, q = 360, 24
    g, x = rng.integers(0, q, n), rng.normal(size=n)
    b, theta = 0.5 * rng.normal(size=q)[g], np.exp(0.7 + 0.6 * x)
    mu, p = np.exp(1.0 + 0.3 * x + b), 1.0 / (1.0 + np.exp(-0.3 * x - b))
    count = rng.poisson(mu * rng.gamma(theta) / theta)
    pr = np.exp(1.5 + 0.5 * x)
    hits = rng.binomial(20, rng.beta(p * pr, (1 - p) * pr))
    return pd.DataFrame(
        {
            "g": [f"g{k:02d}" for k in g],
            "h": [f"h{k % 6}" for k in g],
            "x": x,
            "year": 2010.0 + rng.integers(0, 8, n),
            "f": rng.choice(list("abc"), n),
            "count": count,
            "positive": mu * rng.gamma(theta + 1.0) / (theta + 1.0) + 0.01,
            "share": np.clip(rng.beta(p * pr, (1 - p) * pr), 1e-4, 1 - 1e-4),
            "hits": hits,
            "misses": 20 - hits,
            "zeros": np.where(rng.random(n) < 0.2, 0, count),
            "above": np.maximum(count, 1),
        }
    )


def family_of(name):
    """Return a family, that of positive responses with the log link."""
    constructors = {"Gamma": mm.Gamma, "gaussian": mm.gaussian, "inverse.gaussian": mm.inverse_gaussian}
    return constructors[name]("log") if name in constructors else name


def fitted(data, name, dispersion, random="(1 | g)", **options):
    """Return a fit of a family to its response."""
    formula = f"{FAMILIES[name]} ~ x + {random}"
    return mm.glmer(formula, data, family_of(name), dispersion=dispersion, **options)


def problem_and_point(data, name, random):
    """Return the problem of a model whose log dispersion goes by year and f, and some point."""
    design = build_design(
        f"{FAMILIES[name]} ~ x + {random}", data, dispersion=parse_family_dispersion("~ year + f")
    )
    family = with_dispersion_of(design, get_family(family_of(name)))
    y, weights = initialize(design.response, None, family)
    problem = generalized_problem(y, weights, design.X, design.random, None, family)
    start = starting_values(problem)
    psi = pack(problem, [0.4 + 0.0 * theta for theta in start.thetas], start.gamma, start.phi)
    return problem, psi + 0.05 * np.random.default_rng(1).normal(size=len(psi))


def differences(evaluator, psi):
    """Return the gradient by central differences."""
    steps = 1e-5 * np.eye(len(psi))
    return np.array([(evaluator(psi + h)[0] - evaluator(psi - h)[0]) / 2e-5 for h in steps])


@pytest.mark.parametrize(
    ("name", "random", "nAGQ"),
    [
        *((name, "(1 | g)", 1) for name in FAMILIES),
        *((name, "(x | g)", 3) for name in ("nbinom2", "Gamma", "betabinomial", "zero_inflated_nbinom1")),
        *((name, "(1 | h/g)", 2) for name in ("nbinom2", "gaussian", "beta", "hurdle_nbinom2")),
    ],
)
def test_gradient_is_that_of_the_objective(data, name, random, nAGQ):
    """Laplace, quadrature and nested quadrature: each derivative is the one differences give."""
    problem, psi = problem_and_point(data, name, random)
    k, p = problem.n_theta, problem.n_fixed
    evaluator = Evaluator(problem, nAGQ)
    value, gradient = evaluator(psi)
    assert len(gradient) == k + p + problem.n_phi
    np.testing.assert_allclose(
        gradient, differences(evaluator, psi), rtol=2e-5, atol=2e-5 * abs(value) ** 0.5
    )


@pytest.mark.parametrize("name", ["nbinom1", "Gamma", "beta"])
def test_one_coefficient_is_no_model(data, name):
    """``~ 1`` is the model without the argument; a column of ones named otherwise has its likelihood."""
    plain = fitted(data, name, None)
    assert fitted(data, name, "~ 1").loglik() == plain.loglik()
    ones = fitted(data.assign(one=1.0), name, "~ 0 + one")
    assert ones.loglik() == pytest.approx(plain.loglik(), abs=1e-7)
    np.testing.assert_allclose(np.exp(ones.phi[0]), plain.phi[0], rtol=1e-3)


# Of glmmTMB 1.1.5 with rel.tol = 1e-14: formula, dispersion, logLik, fixed effects, coefficients of the
# dispersion, their standard errors. The log shape of its Gamma is minus our log dispersion.
GLMMTMB = {
    "nbinom2": (
        "y ~ base + trt + (1 | subject)", "~ trt + period", -628.91669939134,
        [0.9697445397, 0.0265293483, -0.2839152140],
        [1.411900382, 0.351543486, 0.183542436], [0.6215499, 0.4841649, 0.2389691],
    ),
    "nbinom1": (
        "y ~ base + trt + (1 | subject)", "~ trt + period", -638.035760524397,
        [1.0496317013, 0.0250852073, -0.2754738479],
        [0.692953904, -0.446264865, -0.110766291], [0.5269662, 0.4206634, 0.1963924],
    ),
    "zero_inflated_nbinom2": (
        "y ~ base + trt + (1 | subject)", "~ trt", -625.985022040487,
        [1.0336540331, 0.0261816118, -0.3004500096],
        [2.2125904359, 0.0562126355], [0.3137195, 0.5050953],
    ),
    "Gamma": (
        "Reaction ~ Days + (1 | Subject)", "~ Days", -882.591919667501,
        [5.5343413714, 0.0337578891], [-4.9935842822, 0.0701164507], [0.24742107, 0.04991025],
    ),
    "gaussian": (
        "Reaction ~ Days + (1 | Subject)", "~ Days", -886.43494185567,
        [5.5264179113, 0.0357754756], [6.164420751, 0.127143203], [0.24771383, 0.05013376],
    ),
    "beta": (
        "share ~ Days + (1 | Subject)", "~ Days", 194.853300645784,
        [-1.082332888, 0.116277761], [4.306298836, -0.132527588], [0.23821524, 0.04762818],
    ),
    "betabinomial": (
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", "~ I(size > 15)", -87.4851598789687,
        [-1.333977135, -0.939560635, -1.064816073, -1.470323179],
        [3.26201640, -1.15264102], [1.256920, 1.370217],
    ),
}  # fmt: skip


def published(name):
    """Return the fit of a model of the table."""
    formula, dispersion = GLMMTMB[name][:2]
    dataset = {"y": "epil", "c": "cbpp"}.get(formula[0], "sleepstudy")
    data = mm.load_dataset(dataset)
    if dataset == "sleepstudy":
        data["share"] = (data.Reaction - 150.0) / 400.0
    return mm.glmer(formula, data, family_of(name), dispersion=dispersion)


@pytest.mark.parametrize("name", GLMMTMB)
def test_values_of_glmmtmb(name):
    """Likelihood, coefficients and standard errors are glmmTMB's."""
    loglik, beta, delta, errors = GLMMTMB[name][2:]
    m = published(name)
    assert m.convergence().is_optimum
    assert m.loglik() == pytest.approx(loglik, abs=1e-6)
    np.testing.assert_allclose(m.beta, beta, atol=1e-4)
    np.testing.assert_allclose(m.phi[: len(delta)], delta, atol=1e-4)
    table = m.dispersion_coefficients()
    np.testing.assert_allclose(table["Estimate"], m.phi[: len(delta)])
    np.testing.assert_allclose(table["Std. Error"], errors, rtol=1e-3)


def test_likelihood_is_the_integral(data):
    """By quadrature with many nodes it is what an independent integration of each group gives."""
    m = fitted(data, "nbinom2", "~ x", nAGQ=25)
    sd, theta, total = m.theta_values[0], np.exp(m.phi[0] + m.phi[1] * data.x), 0.0
    fixed = m.beta[0] + m.beta[1] * data.x
    np.testing.assert_allclose(m.row_dispersions(), theta)
    u, step = np.linspace(-9.0, 9.0, 1801, retstep=True)
    for rows in data.groupby("g").groups.values():
        mu, t = np.exp(fixed[rows].to_numpy() + sd * u[:, None]), theta[rows].to_numpy()
        loglik = nbinom.logpmf(data["count"][rows].to_numpy(), t, t / (t + mu)).sum(axis=1)
        total += np.log(step * np.exp(loglik + norm.logpdf(u)).sum())
    assert m.loglik() == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("name", ["nbinom2", "Gamma", "beta"])
def test_invariance(data, name):
    """The order of rows, origin and units of a predictor mean nothing."""
    m = fitted(data, name, "~ year")
    shuffled = fitted(data.sample(frac=1.0, random_state=3), name, "~ year")
    scaled = fitted(data.assign(year=(data.year - 2010.0) * 1e6), name, "~ year")
    for other in (shuffled, scaled):
        assert other.loglik() == pytest.approx(m.loglik(), abs=1e-7)
    assert scaled.phi[1] * 1e6 == pytest.approx(m.phi[1], abs=1e-5)
    errors = [fit.dispersion_coefficients()["Std. Error"].iloc[1] for fit in (m, scaled)]
    assert errors[1] * 1e6 == pytest.approx(errors[0], rel=1e-3)
    np.testing.assert_allclose(scaled.row_dispersions(), m.row_dispersions(), rtol=1e-5)


def test_equal_rows_of_unequal_dispersion():
    """Rows that differ in nothing but the dispersion's predictor keep theirs."""
    rng = np.random.default_rng(3)
    g, late = np.repeat(np.arange(30), 80), np.tile([0.0, 1.0], 1200)
    theta = np.where(late > 0, 4.0, 0.7)
    y = rng.poisson(np.exp(1 + 0.5 * rng.normal(size=30)[g]) * rng.gamma(theta) / theta)
    m = mm.glmer("y ~ 1 + (1 | g)", {"y": y, "g": g, "late": late}, "nbinom2", dispersion="~ late")
    errors = m.dispersion_coefficients()["Std. Error"]
    assert (np.abs(m.phi - np.log([0.7, 4.0 / 0.7])) < 3.0 * errors).all()
    assert errors.max() < 0.3


@pytest.mark.parametrize("name", ["nbinom2", "nbinom1", "Gamma", "inverse.gaussian", "gaussian", "beta",
                                  "betabinomial", "zero_inflated_nbinom2", "truncated_nbinom2"])  # fmt: skip
def test_rows_are_drawn_with_their_dispersion(data, name):
    """Simulated responses have variances and means of their rows; Pearson residuals are over the former."""
    m = fitted(data, name, "~ x")
    drawn = m.simulate(600, seed=4, use_u=True).to_numpy()
    if name == "betabinomial":
        drawn = drawn / 20.0
    family, weights = m.family(), m.prior_weights
    mu = family.link.inverse(m.linear_predictor)
    variance = family.variance(mu, m.phi) * family.variance_inflation(weights, m.phi) / weights
    ratio = drawn.var(axis=1) / variance
    assert np.median(ratio) == pytest.approx(1.0, abs=0.12)
    assert abs(np.corrcoef(np.log(ratio), data.x)[0, 1]) < 0.35
    z = (drawn.mean(axis=1) - m.mean) / np.sqrt(variance / 600)
    assert np.abs(z).max() < 6.0
    np.testing.assert_allclose(m.residuals("pearson"), (m.y - m.mean) / np.sqrt(variance))
    assert np.isfinite(m.residuals("deviance")).all()


def test_new_rows_have_their_own_dispersion(data):
    """Prediction limits and draws at new rows take the dispersion that their predictors give."""
    m = fitted(data, "Gamma", "~ x")
    new = pd.DataFrame({"x": [-2.0, 2.0], "g": ["g01", "g01"]})
    np.testing.assert_allclose(m.row_dispersions(new), np.exp(m.phi[0] + m.phi[1] * new.x))
    limits = m.predict(new, type="response", interval="prediction")
    wide = (limits.upper - limits.lower) / limits.fit
    assert wide[0] > 1.5 * wide[1]
    drawn = m.simulate(4000, seed=5, newdata=new, use_u=True).to_numpy()
    np.testing.assert_allclose(drawn.var(axis=1) / drawn.mean(axis=1) ** 2, m.row_dispersions(new), rtol=0.15)
    inside = ((drawn > limits.lower.to_numpy()[:, None]) & (drawn < limits.upper.to_numpy()[:, None])).mean(
        axis=1
    )
    assert (inside > 0.92).all()
    with pytest.raises(DataError, match="x"):
        m.row_dispersions(new[["g"]])


def test_what_follows_a_fit(data):
    """Refits, updates, copies, profiles, comparisons and texts know of the model of the dispersion."""
    m = fitted(data, "nbinom2", "~ x")
    again = pickle.loads(pickle.dumps(m))
    assert again.loglik() == m.loglik()
    np.testing.assert_allclose(again.vcov(), m.vcov())
    assert m.refit(m.y).loglik() == pytest.approx(m.loglik(), abs=1e-7)
    assert mm.update(m, nAGQ=3).family_parameters().index[1] == "disp.x"
    wald, profile = m.confint(["disp.x"], method="Wald"), m.confint(["disp.x"])
    np.testing.assert_allclose(profile, wald, atol=0.08)
    table = mm.anova(fitted(data, "nbinom2", None), m)
    assert table["Df"].iloc[1] == 1
    text = str(m.summary())
    assert "Dispersion model (log theta):" in text and "Dispersion: ~x" in text
    assert "Dispersion model (log theta):" in str(m)
    subset = data.iloc[::2].reset_index(drop=True)
    assert mm.influence(fitted(subset, "nbinom2", "~ x"), "g").cooks_distance().notna().all()


def test_all_rows_of_a_kind_without_overdispersion():
    """Where theta of part of the rows runs to infinity the verdict says so."""
    rng = np.random.default_rng(8)
    g, f = np.repeat(np.arange(40), 20), np.tile(["a", "b"], 400)
    mu = np.exp(1.0 + 0.4 * rng.normal(size=40)[g])
    y = np.where(f == "a", rng.binomial(10, mu / (10 + mu)), rng.poisson(mu * rng.gamma(2.0, size=800) / 2.0))
    m = mm.glmer("y ~ f + (1 | g)", {"y": y, "g": g, "f": f}, "nbinom2", dispersion="~ f")
    assert m.convergence().verdict == "boundary"
    assert any("part of the rows" in reason for reason in m.convergence().reasons)


@pytest.mark.parametrize(
    ("family", "dispersion", "error", "words"),
    [
        ("poisson", "~ x", FamilyError, "no dispersion parameter"),
        ("binomial", "~ x", FamilyError, "no dispersion parameter"),
        ("zero_inflated_poisson", "~ x", FamilyError, "no dispersion parameter"),
        (mm.negative_binomial(2.0), "~ x", FamilyError, "theta is known"),
        ("nbinom2", "power(x)", FormulaError, "a formula such as"),
        ("nbinom2", 3, FormulaError, "not int"),
        ("nbinom2", "~ 0", FormulaError, "no coefficient left"),
        ("nbinom2", "~ (1 | g)", FormulaError, "random effects"),
        ("nbinom2", "~ nowhere", DataError, "nowhere"),
    ],
)
def test_refusals(data, family, dispersion, error, words):
    """What cannot be is refused in words, before any computation."""
    with pytest.raises(error, match=words):
        mm.glmer("count ~ x + (1 | g)", data, family, dispersion=dispersion)


def test_models_that_cannot_have_one(data):
    """Models without random effects, quasi-likelihood, and questions to models without it."""
    with pytest.raises(ControlError, match="random effects"):
        mm.glmer("count ~ x", data, "nbinom2", dispersion="~ x")
    with pytest.raises(ControlError, match="likelihood"):
        mm.glmer("positive ~ x + (1 | g)", data, family_of("Gamma"), method="pql", dispersion="~ x")
    plain = fitted(data, "nbinom2", None)
    with pytest.raises(NotAvailableError, match="dispersion"):
        plain.row_dispersions()
    with pytest.raises(NotAvailableError, match="dispersion"):
        plain.dispersion_coefficients()


def test_gaussian_with_the_identity_link_is_the_linear_model(data):
    """Its dispersion= is that of lmer, by maximum likelihood."""
    m = mm.glmer("positive ~ x + (1 | g)", data, "gaussian", dispersion="~ x")
    linear = mm.lmer("positive ~ x + (1 | g)", data, REML=False, dispersion="~ x")
    assert m.loglik() == pytest.approx(linear.loglik(), abs=1e-10)
