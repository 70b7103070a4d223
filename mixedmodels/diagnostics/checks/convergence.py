"""Whether the search for the estimates has ended at an optimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mixedmodels.advice import advises
from mixedmodels.diagnostics.checks.record import Check
from mixedmodels.diagnostics.required import a_mixed_fit
from mixedmodels.optimization.report import Verdict

WORDS: dict[Verdict, str] = {
    "converged": "The fit has converged",
    "boundary": "The fit has converged to an optimum on the boundary",
    "not identified": "The fit has converged, but to one of many optima: the model is not identified",
    "inexact": "The likelihood is not approximated well enough for its optimum",
    "not converged": "The fit has not converged",
}


@dataclass(frozen=True, slots=True, repr=False)
class ConvergenceCheck(Check):
    """The verdict on the search.

    Attributes
    ----------
    verdict : {"converged", "boundary", "not identified", "inexact", "not converged"}
        As of ``m.convergence()``.
    gradient : float
        Largest absolute element of the scaled gradient at the end.
    decrement : float
        How far the objective still is from its minimum, by a quadratic model.
    reasons : tuple of str
        One sentence each.
    """

    verdict: Verdict
    gradient: float
    decrement: float
    reasons: tuple[str, ...]

    @property
    def is_fine(self) -> bool | None:
        """Whether there is one optimum and it was reached, on the boundary or inside."""
        return self.verdict in ("converged", "boundary")

    @property
    def sentence(self) -> str:
        """What was found."""
        first = f"{WORDS[self.verdict]} (largest gradient {self.gradient:.1e})."
        return " ".join([first, *self.reasons])


@advises
def check_convergence(model: Any) -> ConvergenceCheck:
    """Check whether the search for the estimates has ended at an optimum.

    Parameters
    ----------
    model : fitted mixed model
        The model.

    Returns
    -------
    ConvergenceCheck
        Prints a sentence; `verdict` and the numbers behind it are attributes.

    Raises
    ------
    NotAvailableError
        If the model has no random effects.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.check_convergence(m).verdict
    'converged'
    """
    fit = a_mixed_fit(model, "check_convergence")
    report = fit.convergence()
    return ConvergenceCheck(
        report.verdict, fit.optimization.gradient_norm, report.decrement, tuple(report.reasons)
    )
