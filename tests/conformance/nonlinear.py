"""Nonlinear mixed models: lme4's objective at its optimum, quadrature of 31 nodes, nlme's alternation."""

from __future__ import annotations

from typing import Any

import numpy as np

import mixedmodels as mm
from mixedmodels.engines.nonlinear.laplace import evaluate
from mixedmodels.fits.nonlinear import problem_of
from tests.conformance.blocks import (
    ESTIMATES,
    GLMM_ERRORS,
    OBJECTIVE,
    check,
    named,
    objective_mismatch,
    relative,
    summary_mismatch,
    worse,
)
from tests.conformance.compare import mismatch
from tests.conformance.fitting import reference_data
from tests.conformance.quantities import objective, varcorr
from tests.conformance.result import Check
from tests.conformance.structured import predict_mismatch, ranef_mismatch
from tests.engines.nonlinear.models import NLME, NLMER


def _arguments(table: dict[str, tuple[str, dict[str, Any]]], reference: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the call of R: those of the table, or its own formula."""
    for identity, (_, arguments) in table.items():
        if identity.endswith(f"/{reference['id']}"):
            return arguments
    return {"formula": reference["model"]["formula"]}


# nlmer: its own fits stop short, so that the objective's exact optimum is compared, found in plain R.


def nlmer_checks(reference: dict[str, Any]) -> list[Check]:
    """Return the verdict on each number of a fit of nlmer."""
    results = reference["results"]
    given = _arguments(NLMER, reference) | {"start": named(reference["model"]["start"])}
    data = reference_data(reference)
    fit = mm.nlmer(data=data, **given)
    if reference["model"].get("nAGQ") == 0:
        return _joint_mode_checks(results, fit)
    exact = results["exact_laplace"] if "exact_laplace" in results else results["exact_optimum"]
    effects = [float(x) for table in fit.ranef().values() for x in table.to_numpy().ravel()]
    largest = float(np.abs(exact["random_effects_b"]).max())
    errors = {"names": exact["fixef"]["names"], "values": exact["se_fixef"]}
    checks = {
        "objective": lambda: objective_mismatch(exact["objective"], fit),
        "fixef": lambda: relative(exact["fixef"], fit.fixef(), exact["se_fixef"], ESTIMATES),
        "theta": lambda: mismatch(exact["theta"], fit.theta().tolist(), ESTIMATES, ESTIMATES),
        "sigma": lambda: mismatch(exact["sigma"], fit.sigma(), ESTIMATES, 0),
        "se": lambda: relative(errors, fit.standard_errors(), exact["se_fixef"], GLMM_ERRORS),
        "effects": lambda: mismatch(
            sorted(exact["random_effects_b"]), sorted(effects), ESTIMATES, ESTIMATES * largest
        ),
        "fitted": lambda: summary_mismatch(exact["fitted"], fit.fitted()),
    }
    if "agq_ml" in results:
        checks["quadrature"] = lambda: _quadrature_mismatch(
            results["agq_ml"], mm.nlmer(data=data, nAGQ=31, **given)
        )
    return [check(quantity, compute) for quantity, compute in checks.items()]


def _joint_mode_checks(results: dict[str, Any], fit: Any) -> list[Check]:
    """Compare a fit of nAGQ = 0, whose fixed effects are a joint mode, not the minimum."""

    def at_the_mode() -> str:
        theta, beta = (np.array(results[key]["values"], dtype=float) for key in ("theta", "fixef"))
        problem = problem_of(fit.nonlinear, fit.y)
        at = evaluate(problem, theta, beta, np.zeros(problem.shape))
        return mismatch(results["lme4_objective"], at.objective, OBJECTIVE, 0)

    return [
        check("objective_at", at_the_mode),
        check("objective", lambda: worse(results["lme4_objective"], objective(fit))),
        check("df", lambda: mismatch(results["df"], fit.npar, 0, 0)),
    ]


def _quadrature_mismatch(expected: dict[str, Any], fit: Any) -> str:
    """Compare the maximum of the likelihood itself, which R's optimum is within 4e-5 standard errors of."""
    if found := mismatch(expected["minus2logLik"], fit.deviance(), OBJECTIVE, 0):
        return f"deviance: {found}"
    errors = expected["se_fixef_logsd_logsigma"][: len(expected["fixef"]["names"])]
    if found := relative(expected["fixef"], fit.fixef(), errors, ESTIMATES):
        return f"fixef: {found}"
    return mismatch(expected["sigma"], fit.sigma(), ESTIMATES, 0)


# nlme: the alternation of Lindstrom and Bates.

#: Two fits of the first set stopped short: what nlme 3.1-162 gives with the controls of the second set, N2
#: and N1. The log-likelihood is that of the model linearised where the steps end: it goes down as well as up.
TIGHTER: dict[str, dict[str, Any]] = {
    "nlme_indometh_pddiag": {
        "logLik": 54.5881407496,
        "fixef": {
            "names": ["A1", "lrc1", "A2", "lrc2"],
            "values": [2.8276657284, 0.7728959947, 0.4605826641, -1.3458768671],
        },
        "se": {"values": [0.25581471, 0.10660654, 0.10923676, 0.22441883]},
        "sigma": 0.08149908632,
    },
    "nlme_theoph_pddiag": {
        "logLik": -177.02233535703,
        "fixef": {"names": ["lKe", "lKa", "lCl"], "values": [-2.4546786597, 0.4656349821, -3.2272121145]},
        "se": {"values": [0.0518896557, 0.1963239804, 0.0593230167]},
        "sigma": 0.7092418901,
    },
}


def nlme_nonlinear_checks(reference: dict[str, Any]) -> list[Check]:
    """Return the verdict on each number of a fit of nlme."""
    results = reference["results"] | TIGHTER.get(reference["id"], {})
    data = reference_data(reference)
    fit = mm.nlmer(data=data, method="lindstrom-bates", **_arguments(NLME, reference))
    errors = results["se"]["values"]
    checks = {
        "loglik": lambda: mismatch(results["logLik"], fit.loglik(), OBJECTIVE, 0),
        "df": lambda: mismatch(results["df"], fit.npar, 0, 0),
        "fixef": lambda: relative(results["fixef"], _by_name(fit, results), errors, ESTIMATES),
        "se": lambda: mismatch(errors, fit.standard_errors().tolist(), ESTIMATES, 0),
        "sigma": lambda: mismatch(results["sigma"], fit.sigma(), ESTIMATES, 0),
        "fitted": lambda: summary_mismatch(results["fitted"], fit.fitted()),
    }
    if reference["id"] not in TIGHTER:
        checks["ranef"] = lambda: ranef_mismatch(results["ranef"], fit)
    if "cov_random" in results:
        checks["covariance"] = lambda: _covariance_mismatch(results, fit)
    if "predict" in results:
        checks["predict"] = lambda: predict_mismatch(results["predict"], fit, data)
    return [check(quantity, compute) for quantity, compute in checks.items()]


def _by_name(fit: Any, results: dict[str, Any]) -> dict[str, float]:
    """Return the fixed effects under the names of nlme, whose order is the same."""
    return dict(zip(results["fixef"]["names"], fit.fixef(), strict=True))


def _covariance_mismatch(results: dict[str, Any], fit: Any) -> str:
    """Compare variances of random effects; nlme's are never zero."""
    (block,) = results["cov_random"].values()
    theirs = np.diag(np.array(block["values"], dtype=float)).tolist()
    ours = [sd**2 for term in varcorr(fit) for sd in term["sd"].values()]
    return mismatch(theirs, ours, ESTIMATES, ESTIMATES * max(fit.sigma() ** 2, *theirs))
