"""Marginal models against geepack."""

from __future__ import annotations

from typing import Any

import mixedmodels as mm
from tests.conformance.blocks import ESTIMATES, check, named, relative, summary_mismatch
from tests.conformance.compare import mismatch
from tests.conformance.fitting import family, reference_data
from tests.conformance.result import Check

# geepack's quasi-likelihood of the Gamma family sums -y / (mu - log(mu)), which is no antiderivative of
# (y - mu) / mu^2: tests/engines/gee/test_geepack.py holds ours against the integral. CIC needs none.
WRONG_CRITERIA = {"Gamma": ("QIC", "QICu", "Quasi Lik", "QICC")}


def gee_checks(reference: dict[str, Any]) -> list[Check]:
    """Return the verdict on each number of a fit of geeglm."""
    asked, results = reference["model"], reference["results"]
    # geepack's scale.fix holds the scale at that of the fit by glm.
    held = {"scale": results["scale"]} if "scale_fix" in reference["tags"] else {}
    fit = mm.gee(
        asked["formula"],
        reference_data(reference),
        asked["id"],
        family(asked["family"], asked["link"]),
        corr=asked["corstr"],
        **held,
    )
    names = results["coef"]["names"]
    robust, naive = (_matrix(results[key], names) for key in ("robust_vcov", "naive_vcov"))
    criteria = {
        k: v for k, v in named(results["QIC"]).items() if k not in WRONG_CRITERIA.get(asked["family"], ())
    }
    errors = fit.association("geepack")["Std.err"].tolist()
    checks = {
        "n_clusters": lambda: mismatch(results["n_clusters"], fit.n_groups, 0, 0),
        "coef": lambda: relative(results["coef"], fit.fixef(), results["robust_se"]["values"], ESTIMATES),
        "robust_vcov": lambda: mismatch(robust, fit.vcov(), ESTIMATES, ESTIMATES * _largest(robust)),
        "naive_vcov": lambda: mismatch(naive, fit.vcov("naive"), ESTIMATES, ESTIMATES * _largest(naive)),
        "scale": lambda: mismatch(results.get("scale", results.get("phi")), fit.dispersion(), ESTIMATES, 0),
        "QIC": lambda: mismatch(criteria, fit.qic(), ESTIMATES, 0),
        "fitted": lambda: summary_mismatch(results["fitted"], fit.fitted()),
        "residuals": lambda: summary_mismatch(results["residuals_pearson"], fit.residuals("pearson")),
    }
    if not held:
        known = results.get("scale_se", results.get("phi_se"))
        checks["scale_se"] = lambda: mismatch(known, errors[-1], ESTIMATES, 0)
    if "alpha" in results:
        checks["alpha"] = lambda: mismatch(results["alpha"]["values"], fit.solution.alpha, ESTIMATES, 0)
        # After a group of one row geepack counts the equation of alpha of the group before it once more.
        if fit.problem.sizes.min() > 1:
            checks["alpha_se"] = lambda: mismatch(results["alpha_se"], errors[:-1], ESTIMATES, 0)
    if "anova" in results:
        table = results["anova"]
        checks["anova"] = lambda: mismatch(table["columns"]["X2"], fit.anova()["X2"].tolist(), ESTIMATES, 0)
    return [check(quantity, compute) for quantity, compute in checks.items()]


def _matrix(block: dict[str, Any], names: list[str]) -> dict[str, Any]:
    return {"rows": names, "cols": names, "values": block["values"]}


def _largest(block: dict[str, Any]) -> float:
    return max(abs(value) for row in block["values"] for value in row)
