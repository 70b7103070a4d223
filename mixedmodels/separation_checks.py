"""Say which fixed effects have no finite estimates because of separation, in the words of the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mixedmodels.arrays import FloatArray
from mixedmodels.deferred import on_first_use
from mixedmodels.errors import ConvergenceError, DataWarning, warn
from mixedmodels.families.family import Family
from mixedmodels.families.response import TRIALS_FAMILIES
from mixedmodels.formula.design.design import Design
from mixedmodels.formula.design.kept_data import used_variables

with on_first_use():
    from mixedmodels.engines.glm import separation

if TYPE_CHECKING:
    from mixedmodels.engines.glm.separation import FittedRows, Separation


def separated(
    design: Design,
    data: Any,
    y: FloatArray,
    weights: FloatArray,
    family: Family,
    beta: FloatArray,
    eta: FloatArray,
    phi: FloatArray,
    pull: FloatArray | None = None,
) -> tuple[Separation, ...]:
    """Return, and warn about, what keeps fixed effects from having finite estimates.

    `pull` are derivatives of a log-likelihood of the rows that balance, if such are known.
    """
    mu = family.link.inverse(design.X @ beta + (0.0 if design.offset is None else design.offset))
    rows = replace(_fitted_rows(y, weights, family, beta, mu, eta, phi), pull=pull)
    findings = _findings(design, data, y, weights, family, rows)
    _warn_of(findings)
    return findings


def refuse_separation(
    design: Design,
    data: Any,
    y: FloatArray,
    weights: FloatArray,
    family: Family,
    beta: FloatArray,
    eta: FloatArray,
    phi: FloatArray,
) -> None:
    """Raise where coefficients have no finite estimates, for equations that no other ones solve.

    Raises
    ------
    ConvergenceError
        Naming coefficients and cells.
    """
    mu = family.link.inverse(eta)
    rows = _fitted_rows(y, weights, family, beta, mu, eta, phi)
    findings = _findings(design, data, y, weights, family, rows)
    if findings:
        found = " ".join(finding.message for finding in findings)
        raise ConvergenceError(f"{found} {_advice(family, findings)}")


def _fitted_rows(
    y: FloatArray,
    weights: FloatArray,
    family: Family,
    beta: FloatArray,
    mu: FloatArray,
    eta: FloatArray,
    phi: FloatArray,
) -> FittedRows:
    """Return what a fit says of its rows; where tails are exact, no information is asked for."""
    exact = family.tails(y).is_exact
    information = eta if exact else family.evaluate(y, eta, weights, phi).information
    return separation.FittedRows(beta, mu, eta, information)


def separated_in_data(
    design: Design, data: Any, y: FloatArray, weights: FloatArray, family: Family
) -> tuple[Separation, ...]:
    """Return, and warn about, the same from the data alone: for fits that stopped before they showed it."""
    findings = _findings(design, data, y, weights, family, None)
    _warn_of(findings)
    return findings


def _warn_of(findings: Sequence[Separation]) -> None:
    for finding in findings:
        warn(finding.message, DataWarning)


def _findings(
    design: Design,
    data: Any,
    y: FloatArray,
    weights: FloatArray,
    family: Family,
    fitted: FittedRows | None,
) -> tuple[Separation, ...]:
    """Return what is found about separation, in the words of the data."""
    arguments = (y, weights, design.fixed, design.x_names, family, fitted)
    if not separation.find_separation(*arguments):
        return ()
    frame = used_variables(data, design)
    factors = [v.name for v in design.recipe.fixed.variables if v.levels is not None and v.name in frame]
    return separation.find_separation(
        *arguments, {name: frame[name].astype(str).tolist() for name in factors}
    )


@contextmanager
def naming_separation(
    design: Design, data: Any, y: FloatArray, weights: FloatArray, family: Family
) -> Iterator[None]:
    """Give a fit that fails the words for what is separated in its data, if that is why.

    Raises
    ------
    ConvergenceError
        The one raised inside, or one that names coefficients and cells.
    """
    try:
        yield
    except ConvergenceError as error:
        findings = _findings(design, data, y, weights, family, None)
        if not findings:
            raise
        found = " ".join(finding.message for finding in findings)
        raise ConvergenceError(f"{found} {_advice(family, findings)} ({error})") from error


def _advice(family: Family, findings: Sequence[Separation]) -> str:
    """Return what to do about a model that cannot be fitted because of what was found."""
    advice = "Leave these rows or terms out, or join the cell with another."
    if not any(finding.kind == "edge" for finding in findings):
        return advice
    inside = "logit" if family.name in TRIALS_FAMILIES else "log"
    return f"{advice[:-1]}, or take the {inside} link, which keeps every mean in its range."
