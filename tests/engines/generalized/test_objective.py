"""Generalized fits against R, invariances, extremes and standard errors."""

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels import families
from mixedmodels.engines.generalized.fit import fit_generalized
from mixedmodels.engines.generalized.hessian import natural_parameters
from mixedmodels.engines.generalized.problem_from_data import (
    conditional_covariances,
    evaluate_at,
    generalized_problem,
    vcov_hessian,
)
from mixedmodels.errors import ControlError
from mixedmodels.families import initialize
from mixedmodels.formula import build_design
from tests.engines.generalized.generalized_models import random_term, small_model

# Both optima are converged to a Newton decrement of 1e-10, whose square root moves estimates by 1e-5 SE.
OBJECTIVE_TOLERANCE = 1e-7
ESTIMATE_TOLERANCE = 1e-4
# Both Hessians are differences: numDeriv's of a value here, ours of a gradient.
SE_TOLERANCE = 1e-4

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
VERBAGG = "r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)"

# Converged values made with R 4.2.2, lme4 1.1-31 (converged inner problem) and glmmTMB 1.1.5:
# data, formula, family, nAGQ, -2 log-likelihood, theta, standard errors of beta (None: not compared).
REFERENCES = (
    ("cbpp", CBPP, families.binomial(), 0, 184.1085909456, [0.6418144], None),
    ("cbpp", CBPP, families.binomial(), 1, 184.0525637295, [0.6422614484],
     [0.2324718642, 0.3066422515, 0.3266375232, 0.4274360432]),
    ("cbpp", CBPP, families.binomial(), 9, 183.9667435927, [0.6475176],
     [0.23351, 0.30677, 0.32677, 0.42760]),
    ("cbpp", CBPP, families.binomial(link="probit"), 1, 185.2424466308, [0.3379905], None),
    ("cbpp", CBPP, families.binomial(link="cauchit"), 1, 181.6022951947, None, None),
    ("VerbAgg", VERBAGG, families.binomial(), 1, 8151.3997197420, [1.3397089, 0.4953039], None),
    ("grouseticks", "TICKS ~ YEAR + scale(HEIGHT) + (1 | INDEX) + (1 | BROOD) + (1 | LOCATION)",
     families.poisson(), 1, 1780.5426601747, None, None),
    ("Contraception", "use ~ age + I(age^2) + urban + livch + (1 | district)", families.binomial(), 1,
     2372.7285823638, None, None),
    ("Contraception", "use ~ age + I(age^2) + urban + livch + (age || district)", families.binomial(), 1,
     2371.6676550323, None, None),
    ("toenail", "outcome ~ time * treatment + (1 | patientID)", families.binomial(), 20, 1250.7505417430,
     None, None),
    ("culcitalogreg", "predation ~ ttt2 + (1 | block)", families.binomial(link="cloglog"), 1,
     70.9444228241, None, None),
    ("ChickWeight", "weight ~ Time + Diet + (1 | Chick)", families.Gamma(link="log"), 1, 5053.3389269782,
     None, None),
    ("epil", "y ~ lbase * trt + lage + V4 + (1 | subject)", families.nbinom2(), 1, 1249.9142386269, None,
     None),
    ("epil", "y ~ lbase * trt + lage + V4 + (1 | subject)", families.nbinom1(), 1, 1269.0810957918, None,
     None),
    ("Owls", "SiblingNegotiation ~ FoodTreatment * SexParent + offset(log(BroodSize)) + (1 | Nest)",
     families.poisson(zi=True), 1, 4080.2296050102, None, None),
)  # fmt: skip


def problem_of(data, formula, family):
    frame = mm.load_dataset(data)
    design = build_design(formula, frame)
    y, weights = initialize(design.response, design.weights, family)
    observed = family.name != "binomial"  # those of the other families are glmmTMB's
    return generalized_problem(y, weights, design.X, design.random, design.offset, family, observed)


@pytest.mark.parametrize(
    ("data", "formula", "family", "nAGQ", "objective", "theta", "se"),
    REFERENCES,
    ids=[f"{row[0]} {row[2].name} {row[2].link.name} {row[3]} {k}" for k, row in enumerate(REFERENCES)],
)
def test_equals_reference(data, formula, family, nAGQ, objective, theta, se):
    problem = problem_of(data, formula, family)
    estimates = fit_generalized(problem, nAGQ)
    assert estimates.objective == pytest.approx(objective, abs=OBJECTIVE_TOLERANCE)
    assert estimates.convergence.verdict == "converged"
    if theta is not None:
        np.testing.assert_allclose(estimates.theta, theta, rtol=ESTIMATE_TOLERANCE)
    if se is not None:
        k = len(estimates.theta)
        found = np.sqrt(np.diagonal(vcov_hessian(problem, estimates)))[k : k + len(se)]
        np.testing.assert_allclose(found, se, rtol=SE_TOLERANCE)


def test_value_at_given_parameters():
    problem = problem_of("cbpp", CBPP, families.binomial(link="cauchit"))
    at = [
        0.5703511004597487,
        -0.8306721572344193,
        -1.1481621742556218,
        -1.1874238548418214,
        -2.550539245667212,
    ]
    assert evaluate_at(problem, at) == pytest.approx(204.2033112163643, abs=OBJECTIVE_TOLERANCE)
    with pytest.raises(ControlError, match="5 numbers"):
        evaluate_at(problem, at[:3])


def test_conditional_covariances_equal_lme4s():
    problem = problem_of("cbpp", CBPP, families.binomial())
    (covariance,) = conditional_covariances(problem, fit_generalized(problem))
    expected = [0.12128854936257015, 0.13363280233616753, 0.08839828268785982]
    np.testing.assert_allclose(covariance[:3, 0, 0], expected, rtol=ESTIMATE_TOLERANCE)


def test_refit_from_estimates_needs_few_evaluations():
    problem = problem_of("cbpp", CBPP, families.binomial())
    estimates = fit_generalized(problem)
    again = fit_generalized(problem, near=estimates)
    assert again.optimization.n_evaluations <= 2
    assert again.objective == pytest.approx(estimates.objective, abs=OBJECTIVE_TOLERANCE)


@pytest.mark.parametrize("structure", ["vector", "crossed", "nested", "two terms"])
def test_order_and_scale_change_nothing(structure):
    problem = small_model(structure, families.binomial(), seed=5, n=150)
    estimates = fit_generalized(problem)
    order = np.random.default_rng(1).permutation(len(problem.y))
    X = problem.fixed_basis @ np.linalg.inv(problem.unscale)
    X[:, 1] = 1e6 * X[:, 1] + 3e6
    terms = [
        random_term(term.label, -term.codes[order].astype(float), np.asarray(term.Z)[order])
        for term in problem.terms
    ]
    moved = generalized_problem(
        problem.y[order], problem.weights[order], X[order], terms, problem.offset[order], problem.family
    )
    again = fit_generalized(moved)
    assert again.objective == pytest.approx(estimates.objective, abs=OBJECTIVE_TOLERANCE)
    np.testing.assert_allclose(again.theta, estimates.theta, atol=ESTIMATE_TOLERANCE)
    assert 1e6 * again.beta[1] == pytest.approx(estimates.beta[1], abs=ESTIMATE_TOLERANCE)
    arranged = estimates.eta if problem.row_origin.order is None else estimates.eta[problem.row_origin.order]
    np.testing.assert_allclose(again.eta, arranged[order], atol=1e-3)


@pytest.mark.parametrize(
    "y",
    [
        pytest.param(1e6 * np.exp(np.sin(np.arange(40))), id="means of a million"),
        pytest.param(np.where(np.arange(40) == 7, 1.0, 0.0), id="a single event"),
        pytest.param(np.where(np.arange(40) < 20, 0.0, 5.0), id="groups of zeros"),
        pytest.param(np.repeat([0.0, 1.0, 1000.0, 1e5], 10), id="means over five decades"),
    ],
)
def test_extreme_counts_go_through(y):
    groups = np.repeat(np.arange(10), 4)
    problem = generalized_problem(
        np.round(y), None, np.ones((40, 1)), [random_term("g", groups)], None, families.poisson()
    )
    estimates = fit_generalized(problem)
    assert np.isfinite(estimates.objective)
    assert estimates.convergence.is_optimum


def test_zero_variance_is_a_boundary_and_named():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(10), 6)
    y = np.tile([0.0, 1.0, 0.0, 1.0, 1.0, 0.0], 10)
    problem = generalized_problem(
        y, None, np.column_stack([np.ones(60), rng.normal(size=60)]), [random_term("g", groups)], None,
        families.binomial(),
    )  # fmt: skip
    estimates = fit_generalized(problem)
    assert estimates.theta[0] == 0.0
    assert estimates.convergence.verdict == "boundary"
    assert "(1 | g)" in estimates.convergence.reasons[0]


@pytest.mark.parametrize("shift", [2e3, 1e6])
def test_slope_far_from_zero(shift):
    rng = np.random.default_rng(7)
    groups, x = np.repeat(np.arange(12), 15), rng.normal(size=180)
    effects = rng.normal(size=(12, 2))
    y = (rng.random(180) < 1.0 / (1.0 + np.exp(-effects[groups, 0] - effects[groups, 1] * x))).astype(float)
    fits = []
    for z in (x, x + shift):
        Z = np.column_stack([np.ones(180), z])
        term = random_term("g", groups, Z)
        problem = generalized_problem(y, None, Z, [term], None, families.binomial())
        estimates = fit_generalized(problem)
        se = np.sqrt(np.diagonal(vcov_hessian(problem, estimates)))
        covariance = conditional_covariances(problem, estimates)[0]
        fits.append((estimates, se, covariance))
    (near, near_se, near_covariance), (far, far_se, far_covariance) = fits
    assert far.convergence.verdict == "converged"
    assert far.objective == pytest.approx(near.objective, abs=1e-6)
    assert far.beta[1] == pytest.approx(near.beta[1], rel=ESTIMATE_TOLERANCE)
    assert far_se[4] == pytest.approx(near_se[4], rel=ESTIMATE_TOLERANCE)
    T = problem.terms[0].structure.factor(far.theta)
    assert (T @ T.T)[1, 1] == pytest.approx(near.theta[1] ** 2 + near.theta[2] ** 2, rel=1e-3)
    np.testing.assert_allclose(far_covariance[:, 1, 1], near_covariance[:, 1, 1], rtol=1e-3)
    slopes = near.u[0] @ problem.terms[0].structure.factor(near.theta).T
    np.testing.assert_allclose((far.u[0] @ T.T)[:, 1], slopes[:, 1], atol=1e-3)


@pytest.mark.parametrize(
    "start",
    [[0.0, -1.4, -1.0, -1.1, -1.6], [1e6, -1.4, -1.0, -1.1, -1.6], [1.0, 50.0, 50.0, 50.0, 50.0]],
    ids=["no variance", "a variance of 1e12", "means of one"],
)
def test_a_bad_start_does_no_harm(start):
    estimates = fit_generalized(problem_of("cbpp", CBPP, families.binomial()), start=np.array(start))
    assert estimates.objective == pytest.approx(184.0525637295, abs=OBJECTIVE_TOLERANCE)
    assert estimates.convergence.verdict == "converged"


@pytest.mark.parametrize("nAGQ", [-1, 1.5, "9", None, True])
def test_what_is_no_number_of_nodes_is_refused(nAGQ):
    with pytest.raises(ControlError, match="nAGQ must be"):
        fit_generalized(small_model("scalar", families.binomial()), nAGQ)


def test_start_of_the_wrong_length_is_refused():
    problem = small_model("scalar", families.binomial())
    with pytest.raises(ControlError, match="start must hold"):
        fit_generalized(problem, start=np.zeros(2))


def test_standard_errors_equal_differences_of_the_objective():
    problem = problem_of("epil", "y ~ lbase + trt + (1 | subject)", families.nbinom2())
    estimates = fit_generalized(problem)
    at = natural_parameters(estimates)
    step = 1e-3 * np.maximum(np.abs(at), 0.1)

    def value(shift):
        return evaluate_at(problem, at + shift)

    shifts = np.diag(step)
    hessian = np.array(
        [
            [
                (value(a + b) - value(a - b) - value(b - a) + value(-a - b)) / (4.0 * a.sum() * b.sum())
                for b in shifts
            ]
            for a in shifts
        ]
    )
    expected = np.sqrt(np.diagonal(2.0 * np.linalg.inv(hessian)))
    np.testing.assert_allclose(np.sqrt(np.diagonal(vcov_hessian(problem, estimates))), expected, rtol=1e-3)


def test_a_saddle_at_a_vanished_intercept_is_left():
    rng = np.random.default_rng(11)
    groups, x = np.repeat(np.arange(40), 12), rng.normal(size=480)
    slopes = 0.6 * rng.normal(size=40)
    y = (rng.random(480) < 1.0 / (1.0 + np.exp(-0.2 - slopes[groups] * (x - 0.1)))).astype(float)
    Z = np.column_stack([np.ones(480), x])
    problem = generalized_problem(y, None, Z, [random_term("g", groups, Z)], None, families.binomial())
    estimates = fit_generalized(problem)
    starts = ([0.05, 0.5, 0.1], [0.05, -0.5, 0.1], [0.3, 0.0, 0.5], [1.0, 0.0, 1.0])
    others = [fit_generalized(problem, start=np.array([*start, 0.2, 0.0])).objective for start in starts]
    assert estimates.objective == pytest.approx(min(others), abs=1e-5)


@pytest.mark.parametrize("nAGQ", [0, 1, 5])
def test_a_model_without_fixed_effects(nAGQ):
    problem = problem_of("cbpp", "cbind(incidence, size - incidence) ~ 0 + (1 | herd)", families.binomial())
    estimates = fit_generalized(problem, nAGQ)
    assert estimates.convergence.verdict == "converged"
    assert estimates.beta.shape == (0,)
    assert evaluate_at(problem, 1.05 * estimates.theta, nAGQ) > estimates.objective


def test_offsets_over_many_decades_go_through():
    rng = np.random.default_rng(3)
    groups, offset = np.repeat(np.arange(30), 8), 400.0 + 40.0 * rng.normal(size=240)
    y = rng.poisson(2.0, 240).astype(float)
    problem = generalized_problem(
        y, None, np.ones((240, 1)), [random_term("g", groups)], offset, families.poisson()
    )
    estimates = fit_generalized(problem)
    assert np.isfinite(estimates.objective)
