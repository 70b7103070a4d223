"""Ours beside the optima of an independent Newton fit (complex-step gradients, below 1e-11)."""

import numpy as np

from mixedmodels.certification.fits import fit_mmrm
from mixedmodels.certification.repeated_measures import coefficient_place, linear_functions
from mixedmodels.inference.fixed_effects import fixed_effects


def pairs(run):
    """Yield quantity, ours and the optimum's of every number of a run."""
    optimum, fit = run.optimum, fit_mmrm(run)
    yield "-2 log likelihood", -2.0 * fit.loglik(), optimum["minus2loglik"]
    table = fit.covariance_parameters()
    for name, ours, other in zip(table.index, table["estimate"], optimum["covariance"], strict=True):
        yield name, ours, other
    kinds = {
        "model": (fit, "satterthwaite", None),
        "empirical": (fit, "between-within", "CR0"),
        "kr_observed": (fit, "kenward-roger", None),
        "kr_observed linear": (fit, "kenward-roger-linear", None),
    }
    if any("kr_expected" in row for row in optimum["fixed"]):
        expected = fit_mmrm(run, "expected")
        kinds |= {
            "kr_expected": (expected, "kenward-roger", None),
            "kr_expected linear": (expected, "kenward-roger-linear", None),
        }
    found = {}
    for row in optimum["fixed"]:
        for label, kind, quantity, other in _numbers(row):
            if kind not in found:
                own, ddf, vcov = kinds[kind]
                fixed = fixed_effects(own, ddf, vcov)
                found[kind] = fixed, linear_functions(fixed, np.eye(len(fixed.names)))
            fixed, ours = found[kind]
            yield f"{label} {kind} {quantity}", ours[coefficient_place(fixed, row)][quantity], other


def _numbers(row):
    """Yield label, kind of standard error, quantity and value of a coefficient's numbers."""
    label = f"{row['effect']} {' '.join(row.get('levels', {}).values())}".strip()
    yield label, "model", "estimate", row["estimate"]
    yield label, "model", "se", row["se_model"]
    yield label, "model", "df", row["df_satterthwaite"]
    if "se_empirical" in row:
        yield label, "empirical", "se", row["se_empirical"]
    for kind in ("kr_observed", "kr_expected"):
        own = row.get(kind, {})
        linear = "se_linear" in own
        for quantity in ("se", "df"):
            printed = own.get("se_linear" if linear and quantity == "se" else quantity)
            if printed is not None:
                yield label, f"{kind} linear" if linear else kind, quantity, printed
