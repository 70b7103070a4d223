"""The verdict on an optimum that is one of an approximation only, not of the likelihood."""

from __future__ import annotations

from dataclasses import replace

from mixedmodels.engines.generalized.exactness import Exactness
from mixedmodels.engines.generalized.infinite_variance import infinite_variance
from mixedmodels.engines.generalized.optimum import Optimum
from mixedmodels.engines.generalized.problem import GeneralizedProblem, unpack_factors
from mixedmodels.optimization.report import ConvergenceReport

# Size of -2 log-likelihood beyond which its decimals are not worth their space.
ABSURD = 1e9
# What to do where the approximation is too coarse.
MORE_NODES = "Fit with nAGQ='auto', which adds nodes until the estimates stand still."
NO_QUADRATURE = (
    "Crossed or related effects have no quadrature: take estimates and tests as rough, or fit with fewer "
    "random effects."
)


def with_doubts(
    report: ConvergenceReport,
    problem: GeneralizedProblem,
    nAGQ: int,
    optimum: Optimum,
    found: Exactness | None,
    nested: float,
) -> ConvergenceReport:
    """Return the verdict, the comparison with more quadrature nodes taken into account.

    `nested` is nearly -2 log-likelihood of the model without random effects, from above.
    """
    is_close = found is None or found.is_close(nested)
    varies = tuple(bool(T.any()) for T in unpack_factors(problem, optimum.psi)[1])
    if reason := infinite_variance(problem, optimum.objective, varies, is_close):
        return ConvergenceReport("not converged", report.decrement, (reason, *report.reasons))
    if found is None or found.is_exact:
        return report
    reason = _difference(nAGQ, optimum.objective, found, nested)
    if is_close:
        return replace(report, reasons=(*report.reasons, reason))
    verdict = "inexact" if report.is_optimum else report.verdict
    advice = NO_QUADRATURE if found.n_draws else MORE_NODES
    return ConvergenceReport(verdict, report.decrement, (f"{reason} {advice}", *report.reasons))


def with_doubt(report: ConvergenceReport, reason: str) -> ConvergenceReport:
    """Return the verdict that an optimum is one of the approximation only, if there is a reason to say so."""
    if not reason:
        return report
    verdict = "inexact" if report.is_optimum else report.verdict
    return ConvergenceReport(verdict, report.decrement, (reason, *report.reasons))


def rejected(nAGQ: int, optimum: Optimum, found: Exactness | None) -> str:
    """Return what is said of an optimum that was left for that without a variance."""
    where = f"{_name(nAGQ)} has an optimum of {_shown(optimum.objective)} at larger variances"
    if found is None:
        return f"{where}, worse than without random effects."
    by = f"a sample of {found.n_draws} random effects gives" if found.n_draws else f"{found.nAGQ} nodes give"
    return (
        f"{where} that is none of the likelihood: {by} {_shown(found.objective)} there, "
        "worse than without random effects."
    )


def _difference(nAGQ: int, objective: float, found: Exactness, nested: float) -> str:
    """Say how far more nodes are from the optimum found."""
    still = "" if found.is_settled else ", and still more change it again"
    if found.objective > nested:
        still += f", worse than without random effects ({_shown(nested)})"
    how = "not quite exact" if found.is_close(nested) else "coarse"
    by = f"{found.nAGQ} quadrature nodes give"
    if found.n_draws:
        by = f"a sample of {found.n_draws} random effects gives (standard error {found.standard_error:.2f})"
    return (
        f"{_name(nAGQ)} is {how} here: at these estimates {by} "
        f"-2 log-likelihood {_shown(found.objective)} instead of {_shown(objective)}{still}, and would move "
        f"an estimate by {found.move:.1f} standard errors."
    )


def _shown(objective: float) -> str:
    """Return a value with three decimals, one that is no likelihood of any data with three digits."""
    return f"{objective:.3f}" if abs(objective) < ABSURD else f"{objective:.3g}"


def _name(nAGQ: int) -> str:
    if nAGQ == 0:
        return "The approximation of nAGQ=0"
    return "The Laplace approximation" if nAGQ <= 1 else f"Quadrature with nAGQ={nAGQ}"
