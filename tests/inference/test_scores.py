"""Scores by cluster and information against differences of the log-likelihood."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.engines.generalized.problem_from_data import evaluate_at, generalized_problem
from mixedmodels.engines.linear.reml import evaluate

# Central differences with steps of 1e-5 of a log-likelihood of some hundreds: rounding 1e-8, curvature 1e-8.
DIFFERENCES = 2e-6


def dense_loglik(model, rows, at):
    """Return the log-likelihood of some rows at (beta, theta, sigma), densely."""
    p, k = len(model.beta), len(model.theta_values)
    beta, theta, sigma = at[:p], at[p : p + k], at[-1]
    V, start = np.diag(1.0 / model.prior_weights[rows]), 0
    for term in model.random:
        T = term.structure.factor(theta[start : start + term.structure.n_theta])
        start += term.structure.n_theta
        ZT = term.Z[rows] @ T
        V = V + (ZT @ ZT.T) * np.equal.outer(term.codes[rows], term.codes[rows])
    e = model.y[rows] - model.design.X[rows] @ beta
    _, log_det = np.linalg.slogdet(2.0 * np.pi * sigma**2 * V)
    return -0.5 * (log_det + e @ np.linalg.solve(V, e) / sigma**2)


@pytest.mark.parametrize("bar", ["(Days | Subject)", "(Days || Subject)", "cs(1 + Days | Subject)"])
def test_linear_scores_are_derivatives_of_the_loglikelihood(bar):
    data = mm.load_dataset("sleepstudy")
    data["w"] = 1.0 + data["Days"] % 2
    m = mm.lmer(f"Reaction ~ Days + {bar}", data, weights="w", REML=False)
    at = np.concatenate([m.beta, m.theta_values, [m.sigma()]])
    scores = mm.estfun(m)
    for i in (0, 7):
        rows = np.flatnonzero(m.random[0].codes == i)
        for k, step in enumerate(1e-5 * np.maximum(np.abs(at), 0.1)):
            shift = np.zeros(len(at))
            shift[k] = step
            slope = (dense_loglik(m, rows, at + shift) - dense_loglik(m, rows, at - shift)) / (2.0 * step)
            assert scores.iloc[i, k] == pytest.approx(slope, rel=1e-5, abs=DIFFERENCES)
    np.testing.assert_allclose(scores.sum(), 0.0, atol=1e-3)


def test_linear_information_is_minus_the_hessian():
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"), REML=False)
    found = mm.information(m)
    p = len(m.beta)
    np.testing.assert_allclose(found.iloc[:p, :p] @ m.vcov().to_numpy(), np.eye(p), atol=1e-6)
    theta, sigma, step = m.theta_values, m.sigma(), 1e-4

    def objective(move):
        return evaluate(m.problem, theta + move[:-1], False, sigma * (1.0 + move[-1]))

    units = step * np.eye(len(theta) + 1)
    curvature = np.array([
        [
            sum(s * t * objective(s * a + t * b) for s in (1, -1) for t in (1, -1)) / (4.0 * step**2)
            for a in units
        ]
        for b in units
    ])  # fmt: skip
    scale = np.append(np.ones(len(theta)), sigma)
    # The engine's objective has beta at its best: that is the Schur complement of the information.
    schur = np.linalg.inv(np.linalg.inv(found.to_numpy())[p:, p:])
    np.testing.assert_allclose(np.outer(scale, scale) * schur, 0.5 * curvature, rtol=1e-4, atol=1e-2)


def test_information_knows_of_related_levels():
    data = mm.load_dataset("sleepstudy")
    K = pd.DataFrame(0.5 * np.eye(18) + 0.5, *[sorted(data["Subject"].astype(str).unique())] * 2)
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", data, REML=False, relmat={"Subject": K})
    found = mm.information(m)
    p = len(m.beta)
    np.testing.assert_allclose(found.iloc[:p, :p] @ m.vcov().to_numpy(), np.eye(p), atol=1e-6)
    # At a maximum of the likelihood, which the engine finds with the same related levels.
    assert (np.linalg.eigvalsh(found) > 0.0).all()


@pytest.mark.parametrize("nAGQ", [1, 9])
def test_generalized_scores_are_derivatives_of_the_loglikelihood_of_a_cluster(nAGQ):
    data = mm.load_dataset("cbpp")
    m = mm.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", data, "binomial", nAGQ=nAGQ)
    scores = mm.estfun(m)
    np.testing.assert_allclose(scores.sum(), 0.0, atol=1e-3)
    # Five herds as a model of their own: their scores are the derivatives of its log-likelihood.
    term = m.random[0]
    rows = np.flatnonzero(term.codes < 5)
    part = replace(term, Z=term.Z[rows], codes=term.codes[rows], levels=term.levels[:5])
    alone = generalized_problem(
        m.y[rows],
        m.prior_weights[rows],
        m.design.X[rows],
        [part],
        None,
        m.family(),
        constant=np.zeros(len(rows)),
    )
    at = np.concatenate([m.theta_values, m.beta])
    order = [*range(1, len(at)), 0]
    for k, column in enumerate(order):
        step = np.zeros(len(at))
        step[column] = 1e-5
        slope = evaluate_at(alone, at + step, nAGQ) - evaluate_at(alone, at - step, nAGQ)
        assert scores.iloc[:5, k].sum() == pytest.approx(-0.5 * slope / 2e-5, abs=1e-6)


def test_generalized_information_is_the_inverse_of_the_covariance():
    m = mm.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", mm.load_dataset("cbpp"), "binomial"
    )
    inverse = np.linalg.inv(mm.information(m))
    np.testing.assert_allclose(inverse[:4, :4], m.vcov(), rtol=1e-8)
    assert list(mm.information(m).index)[-1] == "herd.(Intercept)"


def test_other_fits_have_no_scores():
    data = mm.load_dataset("cbpp")
    pql = mm.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", data, "binomial", method="pql")
    with pytest.raises(mm.NotAvailableError, match="quasi-likelihood"):
        mm.estfun(pql)
