"""Random effects with Toeplitz and spatial correlation: derivatives, fits of glmmTMB, what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.covariance import covariance_structure
from mixedmodels.covariance.by_correlation import ByCorrelation
from mixedmodels.covariance.residual.spatial import Exponential, Gaussian, Matern
from mixedmodels.differences import jacobian
from mixedmodels.errors import DataError, FormulaError

HERE = Path(__file__).parent / "glmmtmb"
PLACES = tuple((float(x), float(x * x) % 1.3) for x in np.linspace(0.0, 2.0, 5))
STRUCTURES = [
    covariance_structure("toep", 4),
    covariance_structure("toep", 4, True),
    covariance_structure("toep", 1),
    ByCorrelation(Exponential(), PLACES, True),
    ByCorrelation(Gaussian(), PLACES, True),
    ByCorrelation(Matern(), PLACES, True),
    ByCorrelation(Matern(nu=1.5), PLACES, True),
]
# Both programs stop where the log-likelihood is flat to 1e-7; estimates are then good to five digits.
LOGLIK, ESTIMATE = 2e-7, 2e-5


@given(st.sampled_from(STRUCTURES), st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_derivatives_of_the_factor(structure, seed):
    rng = np.random.default_rng(seed)
    free = structure.to_free(structure.start()) + rng.normal(0, 0.5, structure.n_theta)
    theta = structure.from_free(free)
    dT = rng.normal(size=(structure.size, structure.size))
    steps = 1e-6 * np.maximum(np.abs(theta), 0.1)
    expected = jacobian(lambda t: np.sum(np.tril(dT) * structure.factor(t)), theta, steps)
    found = structure.pullback(theta, dT)
    np.testing.assert_allclose(found, expected, atol=1e-5 * (1 + np.abs(expected).max()))
    np.testing.assert_allclose(structure.from_free(structure.to_free(theta)), theta, rtol=1e-6, atol=1e-6)
    chain = jacobian(lambda z: expected @ structure.from_free(z), free, np.full(len(free), 1e-6))
    np.testing.assert_allclose(structure.free_pullback(free, expected), chain, rtol=1e-5, atol=1e-4)
    assert len(structure.parameter_names(("c",) * structure.size)) == structure.n_theta


def test_covariance_is_that_of_the_correlation():
    structure = ByCorrelation(Exponential(), PLACES, True)
    T = structure.factor(np.array([2.0, 0.7]))
    d = np.linalg.norm(np.subtract.outer(np.array(PLACES).T, np.array(PLACES).T)[[0, 1], :, [0, 1]], axis=0)
    np.testing.assert_allclose(T @ T.T, 4.0 * np.exp(-d / 0.7), atol=1e-9)
    assert np.allclose(T, np.tril(T))


@pytest.fixture(scope="module")
def series():
    data = pd.read_csv(HERE / "series.csv")
    return data.assign(f=pd.Categorical(data["t"]))


@pytest.fixture(scope="module")
def places():
    return pd.read_csv(HERE / "places.csv")


# fits.R
GLMMTMB = [
    ("y ~ x + toep(0 + f | s)", False, -213.28770007, [1.199120, 0.398811], 0.446009,
     [1.09395, 1.51219, 2.26069, 1.36116]),
    ("y ~ x + toep(0 + f | s)", True, -216.04661319, [1.1990042, 0.3988985], 0.448630,
     [1.11703, 1.52897, 2.27478, 1.38226]),
    ("y ~ cov + exp(x + z | g)", False, -68.68243537, [2.40814821, 0.01088497], 0.363279, [0.670891]),
    ("y ~ cov + exp(x + z | g)", True, -71.37009896, [2.34578180, 0.01299513], 0.366386, [0.754959]),
    ("y ~ cov + gau(x + z | g)", False, -67.32831822, [2.41852871, 0.01321938], 0.368493, [0.68893]),
    ("y ~ cov + gau(x + z | g)", True, -70.23779301, [2.40958117, 0.01345648], 0.371675, [0.720281]),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "reml", "loglik", "beta", "sigma", "sd"), GLMMTMB)
def test_fits_are_those_of_glmmtmb(series, places, formula, reml, loglik, beta, sigma, sd):
    m = mm.lmer(formula, series if "toep" in formula else places, REML=reml)
    assert m.loglik() == pytest.approx(loglik, abs=LOGLIK)
    np.testing.assert_allclose(m.fixef(), beta, atol=ESTIMATE)
    assert m.sigma() == pytest.approx(sigma, rel=ESTIMATE)
    np.testing.assert_allclose(m.VarCorr().terms[0].stddev[: len(sd)], sd, rtol=ESTIMATE)


def test_a_poisson_field_is_that_of_glmmtmb(places):
    m = mm.glmer("y2 ~ 1 + exp(x + z | g)", places, family="poisson")
    assert m.loglik() == pytest.approx(-176.18375467, abs=LOGLIK)
    assert m.VarCorr().terms[0].stddev[0] == pytest.approx(0.59457, rel=ESTIMATE)
    text = str(m)
    assert " g      30 places 0.5946   range 0.153 (exp)" in text


def test_toeplitz_correlations_are_those_of_glmmtmb(series):
    C = mm.lmer("y ~ x + toep(0 + f | s)", series).VarCorr().terms[0].correlation
    np.testing.assert_allclose(C[0, 1:], [0.579001, 0.384287, 0.431281], rtol=1e-4)
    np.testing.assert_allclose(np.diag(C, 1), C[0, 1])


def test_a_homogeneous_toeplitz_term_has_one_deviation(series):
    m = mm.lmer("y ~ x + toep(0 + f | s, hom = TRUE)", series)
    assert np.ptp(m.VarCorr().terms[0].stddev) < 1e-12
    assert len(m.theta()) == 4
    assert m.loglik() < mm.lmer("y ~ x + toep(0 + f | s)", series).loglik()


def test_matern_of_one_half_is_exponential(places):
    half = mm.lmer("y ~ cov + mat(x + z | g, nu = 0.5)", places)
    assert half.loglik() == pytest.approx(mm.lmer("y ~ cov + exp(x + z | g)", places).loglik(), abs=1e-9)


def test_the_likelihood_is_that_of_dense_algebra(places):
    m = mm.lmer(
        "y ~ cov + mat(x + z | g, nu = 1.5) + (1 | k)", places.assign(k=np.arange(90) % 9), REML=False
    )
    field, level = sorted(m.VarCorr().terms, key=lambda t: not t.process)
    scale = dict(field.process)["range"]
    xz = places[["x", "z"]].to_numpy()
    u = np.linalg.norm(xz[:, None] - xz[None], axis=2) / scale
    V = field.covariance[0, 0] * (1 + u) * np.exp(-u)
    k = np.arange(90) % 9
    V += level.covariance[0, 0] * (k[:, None] == k) + m.sigma() ** 2 * np.eye(90)
    r = places["y"].to_numpy() - np.column_stack([np.ones(90), places["cov"]]) @ np.asarray(m.fixef())
    dense = -0.5 * (np.linalg.slogdet(V)[1] + r @ np.linalg.solve(V, r) + 90 * np.log(2 * np.pi))
    assert m.loglik() == pytest.approx(dense, abs=1e-6)


def test_order_of_rows_and_units_change_nothing(places):
    m = mm.lmer("y ~ cov + exp(x + z | g)", places)
    other = places.sample(frac=1.0, random_state=1).assign(x=lambda d: d["x"] * 1e3, z=lambda d: d["z"] * 1e3)
    n = mm.lmer("y ~ cov + exp(x + z | g)", other)
    assert n.loglik() == pytest.approx(m.loglik(), abs=1e-8)
    ranges = [dict(fit.VarCorr().terms[0].process)["range"] for fit in (m, n)]
    assert ranges[1] == pytest.approx(1e3 * ranges[0], rel=1e-5)


def test_predictions_know_the_places_of_the_fit(places):
    m = mm.lmer("y ~ cov + exp(x + z | g)", places)
    np.testing.assert_allclose(m.predict(places.iloc[[3, 50]]), np.asarray(m.fitted())[[3, 50]], rtol=1e-12)
    with pytest.raises(DataError, match=r"\(5, 5\) is none of the 30 places of the fit"):
        m.simulate(1, seed=1, newdata=places.iloc[:1].assign(x=5.0, z=5.0))


@pytest.mark.parametrize(
    ("formula", "error", "message"),
    [
        ("y ~ x + exp(0 + f | s)", DataError, "takes coordinates, which are numbers.*f is categorical"),
        ("y ~ x + mat(x | s, nu = -1)", FormulaError, "nu = a positive number"),
        ("y ~ x + toep(0 + f | s, nu = 1)", FormulaError, "hom = TRUE or FALSE"),
        ("y ~ x + homtoep(0 + f | s)", FormulaError, r"write toep\(x \| g, hom = TRUE\)"),
        ("y ~ x + hetar1(0 + f | s)", FormulaError, r"write ar1\(x \| g, hom = FALSE\)"),
    ],
)
def test_what_cannot_be_a_process_says_why(series, formula, error, message):
    with pytest.raises(error, match=message):
        mm.lmer(formula, series)


@pytest.mark.parametrize("kriged", ["~ exp(x + z | g)", "~ (x + z | g)"])
def test_re_form_names_a_process_by_its_coordinates(places, kriged):
    m = mm.lmer("y ~ cov + exp(x + z | g) + (1 | h)", places.assign(h=np.arange(len(places)) % 6))
    whole, process = m.predict(), m.predict(re_form=kriged)
    assert process.to_numpy() == pytest.approx(
        (whole - m.predict(random_only=True, re_form="~ (1 | h)")).to_numpy()
    )
    assert m.predict(re_form=mm.NA).to_numpy() == pytest.approx(m.design.X @ m.beta)
    new = places.head(3).assign(h=0, x=places["x"].head(3) + 0.013)
    fixed = m.predict(new, re_form=mm.NA)
    alone = m.predict(new, re_form=kriged) - fixed
    # The mean of a Gaussian field at new places, given its values at those of the fit.
    assert alone.to_numpy() == pytest.approx(_kriged(m, places, new), abs=1e-8)
    with pytest.raises(mm.errors.FormulaError, match="re_form asks for"):
        m.predict(new, re_form="~ exp(x | g)")


def _kriged(m, places, new):
    """Return the conditional mean of the process of one group at new rows, by dense matrices."""
    rows = pd.concat([places, new])
    at, g = rows[["x", "z"]].to_numpy(), rows["g"].astype(str).to_numpy()
    sd, scale = m.theta_values[:2]
    if m.random[0].size < 2:
        sd, scale = m.theta_values[1:3]
    C = np.exp(-np.linalg.norm(at[:, None] - at[None], axis=2) / scale) * (g[:, None] == g[None])
    n, k = len(places), np.arange(len(places)) % 6
    intercept = m.theta_values[2 if m.random[0].size > 1 else 0]
    V = sd**2 * C[:n, :n] + intercept**2 * (k[:, None] == k) + np.eye(n)
    return sd**2 * C[n:, :n] @ np.linalg.solve(V, places["y"].to_numpy() - m.design.X @ m.beta)
