"""Verdicts and saddles of generalized fits."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import gammaln
from scipy.stats import norm

import mixedmodels as mm
from mixedmodels.engines.generalized.fit import Optimum, parameter_layout
from mixedmodels.engines.generalized.hessian import natural_parameters
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.problem import natural_to_psi
from mixedmodels.engines.generalized.verdict import judge_generalized, off_saddle, polished
from mixedmodels.optimization.minimum import Minimum

# -2 log-likelihood of the Laplace fit (glmmTMB), and how closely a search from elsewhere returns to it.
CBPP, AGAIN = 184.05256373, 1e-6


@pytest.fixture(scope="module")
def fit():
    cbpp = mm.load_dataset("cbpp")
    return mm.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", cbpp, family="binomial")


def _stopped_at(fit, gradient):
    """Return the fit's optimum as if the search had ended with this gradient."""
    m = len(gradient)
    inverse_hessian = np.eye(m) / 100.0
    decrement = float(gradient @ inverse_hessian @ gradient) / 2.0
    psi = np.zeros(m)
    found = Minimum(
        psi, fit.estimates.objective, gradient, inverse_hessian, decrement, 7, (), False, "cut short"
    )
    return Optimum(psi, fit.estimates.objective, inverse_hessian, found, 7)


def test_a_search_cut_short_has_not_converged_and_says_what_moves(fit):
    gradient = np.zeros(5)
    gradient[0] = 3.0
    report = judge_generalized(fit.problem, _stopped_at(fit, gradient), [fit.estimates.theta])
    assert report.verdict == "not converged"
    assert not report.is_optimum
    assert "(1 | herd)" in report.reasons[0]
    assert "cut short" in report.reasons


def test_a_vanished_gradient_has_converged(fit):
    report = judge_generalized(fit.problem, _stopped_at(fit, np.zeros(5)), [fit.estimates.theta])
    assert report.verdict == "converged"


def test_a_vanished_variance_is_a_boundary(fit):
    report = judge_generalized(fit.problem, _stopped_at(fit, np.zeros(5)), [np.zeros(1)])
    assert report.verdict == "boundary"
    assert "herd" in report.reasons[0]


@pytest.mark.parametrize("theta", [0.0, 1e-9, 30.0])
def test_a_start_at_a_saddle_or_far_off_is_left(fit, theta):
    """The gradient in theta vanishes at zero whatever the data say."""
    again = mm.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)",
        mm.load_dataset("cbpp"),
        family="binomial",
        start={"theta": theta},
    )
    assert -2.0 * again.loglik() == pytest.approx(CBPP, abs=AGAIN)


def test_a_saddle_at_a_zero_variance_is_told_from_an_optimum(fit):
    evaluator = Evaluator(fit.problem, 1)
    scale = parameter_layout(fit.problem).scale
    psi = natural_to_psi(fit.problem, natural_parameters(fit.estimates))
    psi[0] = 0.0
    beside = off_saddle(evaluator, scale, psi)
    assert beside is not None
    assert beside[0] > 0.0
    np.testing.assert_array_equal(beside[1:], psi[1:])

    gopher = mm.load_dataset("gopherdat2")
    flat = mm.glmer("shells ~ prev + offset(log(Area)) + (1 | Site)", gopher, family="poisson")
    assert flat.convergence().verdict == "boundary"
    at = natural_to_psi(flat.problem, natural_parameters(flat.estimates))
    assert off_saddle(Evaluator(flat.problem, 1), parameter_layout(flat.problem).scale, at) is None


def test_a_search_that_stopped_short_is_finished_with_the_hessian_itself(fit):
    layout, evaluator = parameter_layout(fit.problem), Evaluator(fit.problem, 1)
    psi = natural_to_psi(fit.problem, natural_parameters(fit.estimates))
    psi = psi + 0.1 * layout.scale * np.array([1.0, -0.1, 0.1, -0.1, 0.1])
    value, gradient = evaluator(psi)
    # An inverse Hessian that is off by orders of magnitude in every direction.
    H = np.diag([1e-5, 1.0, 1.0, 1e-4, 1.0])
    square = np.multiply.outer(layout.scale, layout.scale)
    decrement = 0.5 * float(gradient @ H @ gradient)
    found = Minimum(
        psi / layout.scale, value, gradient * layout.scale, H / square, decrement, 3, (), False, ""
    )
    done = polished(evaluator, layout, Optimum(psi, value, H, found, 3))
    assert value > CBPP + 1e-3
    assert done.objective == pytest.approx(CBPP, abs=1e-8)
    assert judge_generalized(fit.problem, done, [fit.estimates.theta]).verdict == "converged"


@pytest.mark.parametrize(
    ("family", "parameter"),
    [(mm.nbinom2(), "theta"), (mm.nbinom1(), "alpha"), (mm.poisson(zi=True), "zi")],
    ids=["nbinom2", "nbinom1", "zi"],
)
def test_a_family_parameter_at_the_end_of_its_range_is_a_boundary(family, parameter):
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(30), 8)
    x = rng.normal(size=240)
    y = rng.poisson(np.exp(1.0 + 0.3 * x + 0.5 * rng.normal(size=30)[g]))
    report = mm.glmer("y ~ x + (1 | g)", {"y": y, "x": x, "g": g.astype(str)}, family=family).convergence()
    assert report.verdict == "boundary"
    assert report.is_optimum
    assert report.reasons[0].startswith(f"{parameter} runs to")


def _row_effects(seed, spread, draw):
    """Return data with a level for each row and log-means that vary between rows."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=100)
    mu = np.exp(1.0 + 0.3 * x + spread * rng.normal(size=100))
    return {"y": draw(rng, mu), "x": x, "g": np.arange(100).astype(str)}


@pytest.mark.parametrize("theta", [None, 0.05, 1.0, 3.0])
def test_row_effects_that_leave_no_dispersion_are_a_boundary_from_every_start(theta):
    data = _row_effects(3, 0.8, lambda rng, mu: rng.gamma(8.0, mu / 8.0))
    start = None if theta is None else {"theta": theta}
    m = mm.glmer("y ~ x + (1 | g)", data, family=mm.Gamma("log"), start=start)
    assert m.convergence().verdict == "boundary"
    assert m.convergence().reasons == (
        "dispersion is at the end of its range: the effects of g, one for each row, take all the variation.",
    )
    # The limit is a normal distribution of log(y) around its line, given 1 / y.
    line = np.column_stack([np.ones(100), data["x"]])
    log_y = np.log(data["y"])
    residual = log_y - line @ np.linalg.lstsq(line, log_y, rcond=None)[0]
    limit = 100.0 * (np.log(2.0 * np.pi * residual @ residual / 100.0) + 1.0) + 2.0 * log_y.sum()
    assert -2.0 * m.loglik() == pytest.approx(limit, abs=1e-4)


def test_the_better_of_two_optima_is_found_where_rows_have_effects_and_a_dispersion():
    data = _row_effects(2, 0.6, lambda rng, mu: rng.negative_binomial(8, 8.0 / (8.0 + mu)).astype(float))
    best = mm.glmer("y ~ x + (1 | g)", data, family=mm.nbinom2())
    other = mm.glmer("y ~ x + (1 | g)", data, family=mm.nbinom2(), start={"theta": 0.3})
    assert other.loglik() == pytest.approx(best.loglik(), abs=1e-6)
    assert best.loglik() == pytest.approx(
        mm.glmer("y ~ x + (1 | g)", data, family=mm.poisson()).loglik(), abs=1e-6
    )


@pytest.mark.parametrize(("theta", "intercept"), [(0.3, 2.0), (1.5, 0.4), (2.0, 2.4)])
def test_a_link_with_two_branches_leads_to_one_optimum_and_warns_of_the_other_branch(theta, intercept):
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(40), 5)
    x = rng.normal(size=200)
    y = rng.poisson((1.0 + 0.3 * x + 0.5 * rng.normal(size=40)[g]) ** 2)
    data = {"y": y, "x": x, "g": g.astype(str)}
    start = {"theta": theta, "fixef": [intercept, 0.0]}
    # Levels have a mode on either side of zero, of which the approximation counts one.
    with pytest.warns(mm.ApproximationWarning, match="The Laplace approximation is coarse here"):
        default = mm.glmer("y ~ x + (1 | g)", data, family=mm.poisson("sqrt"))
    with pytest.warns(mm.ApproximationWarning, match="The Laplace approximation is coarse here"):
        again = mm.glmer("y ~ x + (1 | g)", data, family=mm.poisson("sqrt"), start=start)
    assert again.loglik() == pytest.approx(default.loglik(), abs=AGAIN)
    assert default.convergence().verdict == "inexact"
    right = _poisson_sqrt_loglik(default, data)
    assert right - default.loglik() == pytest.approx(7.8 / 2.0, abs=0.1)
    assert f"give -2 log-likelihood {-2.0 * right:.3f}" in default.convergence().reasons[0]


def _poisson_sqrt_loglik(fit, data):
    """Return the log-likelihood at the estimates by a fine grid over the effect of each level."""
    b = float(fit.theta().iloc[0]) * np.linspace(-9.0, 9.0, 4001)
    fixed = fit.fixef().iloc[0] + fit.fixef().iloc[1] * data["x"]
    mean = np.square(fixed.reshape(40, 5)[..., None] + b)
    y = data["y"].reshape(40, 5)[..., None]
    rows = (y * np.log(mean) - mean - gammaln(y + 1.0)).sum(axis=1)
    density = np.exp(rows + norm.logpdf(np.linspace(-9.0, 9.0, 4001)))
    return float(np.log(trapezoid(density, dx=18.0 / 4000.0)).sum())
