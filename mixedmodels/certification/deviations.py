"""The differences that are known: which numbers of which runs, and why they differ.

A number that is within its tolerance needs no reason; one that is beyond it and has none is missed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from mixedmodels.certification.fits import run_data
from mixedmodels.certification.numbers import Number
from mixedmodels.certification.published import PublishedRun

#: Numbers that depend on degrees of freedom.
OF_DF = r".* (df|den_df|p|p_f|lower|upper)"


@dataclass(frozen=True, slots=True)
class Deviation:
    """Why some numbers differ.

    Attributes
    ----------
    name : str
        A short name.
    quantities : str
        Pattern of their names.
    reason : str
        Why.
    """

    name: str
    quantities: str
    reason: str


WEIGHTED = Deviation(
    "weighted Satterthwaite",
    OF_DF,
    "SAS differentiates R without the weights in Satterthwaite's degrees of freedom of a weighted "
    "unstructured covariance: it prints 407 where the derivative of what it fitted gives 170.2",
)
NOT_IDENTIFIED = Deviation(
    "test treatment not replicated",
    rf"C ((Repeated|treatment).*\[treatment=T\].*|.*CSH rho.*|{OF_DF})",
    "nobody takes the test treatment twice: the data tell the sum of its two variances alone (the "
    "likelihoods agree), and SPSS inverts a singular Hessian; ours are the degrees of freedom with either "
    "variance held",
)
FLAT = Deviation(
    "likelihood of a singular Hessian",
    r"C (-2 log likelihood|aic|aicc|caic|bic)",
    "SPSS did not converge along the flat direction and prints 3.3e-7 less than the lowest value there is, "
    "1387.0928273412 wherever the variance of the residuals is held",
)
AT_BOUND = Deviation(
    "correlation of 1",
    rf"C {OF_DF}",
    "the correlation is at its bound of 1, and SPSS says that its Hessian is not positive definite: it "
    "prints the standard errors that the variances have with the correlation known, as here, but degrees of "
    "freedom that do not follow from them; ours do",
)
NOT_CONVERGED = Deviation(
    "SPSS did not converge",
    "C .*",
    "SPSS did not converge: -2 log-likelihood 14.94 with standard errors of 343; nlme and Metida have "
    "26.3165, as here",
)
ABOVE_OPTIMUM = Deviation(
    "SPSS stops above the optimum",
    "[BC] .*",
    "SPSS stopped above the optimum: ours is the lower -2 log-likelihood",
)
DEVIATIONS = (WEIGHTED, NOT_IDENTIFIED, AT_BOUND, NOT_CONVERGED, ABOVE_OPTIMUM, FLAT)
#: Deviations of runs by name; those of model C go by the data and by what SPSS said.
BY_RUN = {
    "fev_us_reml_satt_full_weighted": (WEIGHTED,),
    "rds07": (FLAT, NOT_IDENTIFIED),
    "rds27": (ABOVE_OPTIMUM,),
    "rds30": (NOT_CONVERGED,),
}


def deviations_of(run: PublishedRun) -> tuple[Deviation, ...]:
    """Return what is known to differ in a run."""
    if run.name in BY_RUN:
        return BY_RUN[run.name]
    if run.kind != "bioequivalence":
        return ()
    data = run_data(run)
    tests = data[data["treatment"] == "T"].groupby("subject", observed=True).size()
    if tests.max() == 1:
        return (NOT_IDENTIFIED,)
    return (AT_BOUND,) if "bound" in run.record.get("spss_C_verdict", "") else ()


def with_reasons(run: PublishedRun, numbers: Sequence[Number]) -> list[Number]:
    """Return the numbers, those known to differ with the name of the deviation."""
    known = deviations_of(run)
    return [_with_reason(known, number) for number in numbers] if known else list(numbers)


def _with_reason(known: Sequence[Deviation], number: Number) -> Number:
    names = [each.name for each in known if re.fullmatch(each.quantities, number.quantity)]
    return replace(number, reason=names[0]) if names else number
