"""Verdicts and saddles of generalized fits."""

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.likelihood.generalized_hessian import natural_parameters
from mixedmodels.likelihood.generalized_objective import Evaluator
from mixedmodels.likelihood.generalized_problem import natural_to_psi
from mixedmodels.optimization.fit_generalized import Optimum, parameter_layout
from mixedmodels.optimization.generalized_verdict import escape, judge_generalized
from mixedmodels.optimization.quasi_newton import Minimum

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
    beside = escape(evaluator, scale, psi)
    assert beside is not None
    assert beside[0] > 0.0
    np.testing.assert_array_equal(beside[1:], psi[1:])

    gopher = mm.load_dataset("gopherdat2")
    flat = mm.glmer("shells ~ prev + offset(log(Area)) + (1 | Site)", gopher, family="poisson")
    assert flat.convergence().verdict == "boundary"
    at = natural_to_psi(flat.problem, natural_parameters(flat.estimates))
    assert escape(Evaluator(flat.problem, 1), parameter_layout(flat.problem).scale, at) is None
