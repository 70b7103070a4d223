"""The paragraph that a methods section needs: ``report(m)``."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from mixedmodels.advice import advises
from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.covariance.term_covariance import TermCovariance
from mixedmodels.diagnostics.r2 import R2, r2
from mixedmodels.errors import ControlError, NotAvailableError
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.gee import GeeFit
from mixedmodels.fits.glm import GlmFit
from mixedmodels.fits.least_squares import LeastSquaresFit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.inference.fixed_effects import Ddf, fixed_effects
from mixedmodels.inference.wald import check_level, table_of_tests
from mixedmodels.optimization.report import ConvergenceReport
from mixedmodels.reports.html import html
from mixedmodels.reports.text_tables import LINE_WIDTH
from mixedmodels.tidy import words
from mixedmodels.tidy.residual_words import residual_structure
from mixedmodels.tidy.tidy import check_fit

#: Fits that end a search.
WITH_SEARCH = (MixedFit, GlmFit, GeeFit, StructuredResiduals)
#: Verdicts of which nothing needs to be said.
FINE = "converged"
#: p-values below it are said to be so.
LEAST_P = 0.001
#: What Markdown would read as marks.
_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#"})


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """A paragraph on a fitted model; it prints itself, and a notebook shows it as text.

    Attributes
    ----------
    sentences : tuple of str
        The sentences.
    formula : str
        The formula that stands in one of them.
    """

    sentences: tuple[str, ...]
    formula: str

    @property
    def text(self) -> str:
        """The paragraph in one line."""
        return " ".join(self.sentences)

    def __repr__(self) -> str:
        return textwrap.fill(self.text, LINE_WIDTH, break_long_words=False, break_on_hyphens=False)

    def _repr_html_(self) -> str:
        return html([self.text])

    def _repr_markdown_(self) -> str:
        before, formula, after = self.text.partition(self.formula)
        return f"{before.translate(_MARKS)}`{formula}`{after.translate(_MARKS)}"


@advises
def report(
    model: Fit,
    *,
    ddf: Ddf = "default",
    vcov: Any = None,
    conf_level: float = 0.95,
    exponentiate: bool | None = None,
) -> Report:
    """Return the paragraph on a model that a methods section needs.

    It says what was fitted with which software, how and to which data, the verdict on the search unless it
    is fine, the fixed effects with intervals and tests, the random effects, and the variance explained. Of a
    fit that has not reached its optimum it gives the estimates alone, and says so.

    Parameters
    ----------
    model : fitted model
        Of any kind.
    ddf, vcov : optional
        Degrees of freedom and covariance of the fixed effects, as in :meth:`summary`.
    conf_level : float
        Level of the intervals, which are of Wald type with those degrees of freedom.
    exponentiate : bool, optional
        Whether fixed effects are exponentiated. By default where that has a name: odds, rate and risk ratios,
        ratios of means.

    Returns
    -------
    Report
        Prints as the paragraph, which is its ``text`` in one line.

    Raises
    ------
    ControlError
        If `model` is no fitted model, or an option is not one of those allowed.

    Examples
    --------
    >>> import mixedmodels as mm
    >>> m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
    >>> mm.report(m).sentences[1]
    'Reaction was predicted from Days, with correlated random intercepts and slopes of Days by Subject.'
    """
    check_fit(model, "report")
    check_level(conf_level)
    one_of("exponentiate", exponentiate, (None, True, False))
    if exponentiate and (family := model.family()) and family.link.name not in ("log", "logit", "cloglog"):
        raise ControlError(f"the {family.link.name} link has no exponentiated coefficients: leave it out.")
    formula = model.formula()
    verdict = model.convergence() if isinstance(model, WITH_SEARCH) else None
    sentences = [*_fitted(model, formula), *_verdict(verdict)]
    if verdict is None or verdict.is_optimum:
        sentences += _fixed(model, ddf, vcov, conf_level, exponentiate)
    elif len(model.beta):
        sentences.append(f"Fixed effects there, without tests: {_estimates_alone(model)}.")
    sentences += _random(model) + words.family_parameters(model) + _explained(model, verdict)
    return Report(tuple(sentence for sentence in sentences if sentence), formula)


def _fitted(fit: Fit, formula: str) -> list[str]:
    """Return what was fitted, how, to which data."""
    first = (
        f"A {words.kind_of_model(fit)} was fitted by {words.estimation(fit)} to "
        f"{words.observations(fit)}, with {words.software()} (formula: {formula})."
    )
    second = words.predictors(fit)
    if isinstance(fit, MixedFit):
        second += f", with {words.random_effects(fit.random)}"
    return [first, f"{second}.", words.coding(fit), *words.rows_and_arguments(fit)]


def _verdict(verdict: ConvergenceReport | None) -> list[str]:
    """Return what is to be said about the end of the search."""
    if verdict is None or verdict.verdict == FINE:
        return []
    reasons = [reason if reason.endswith(".") else f"{reason}." for reason in verdict.reasons]
    first = {
        "boundary": "The optimum lies on the boundary of the parameters (a singular fit).",
        "not identified": "The data do not identify all parameters: the estimates are one optimum of many.",
        "inexact": "The likelihood was not approximated well enough, and its optimum is elsewhere: the "
        "estimates are not maximum likelihood estimates.",
        "not converged": "The search has not reached an optimum: the estimates are those where it stopped, "
        "and not to be interpreted.",
    }[verdict.verdict]
    return [first, *(reason[0].upper() + reason[1:] for reason in reasons)]


def _fixed(fit: Fit, ddf: Ddf, vcov: Any, level: float, exponentiate: bool | None) -> list[str]:
    """Return the tests that were used, and the fixed effects."""
    if not len(fit.beta):
        return []
    tests = fixed_effects(fit, ddf, vcov)
    table = table_of_tests(tests)
    ratio = words.ratio_words(fit.family()) if exponentiate is not False else None
    if exponentiate and ratio is None:
        ratio = ("exponentiated", "exponentiated")
    effects = "; ".join(_effect(str(name), row, level, ratio) for name, row in table.iterrows())
    note = [f"Parameters {note}." for note in tests.notes]
    return [_tests_words(table, tests.degrees.method, vcov), *note, f"Fixed effects: {effects}."]


def _tests_words(table: pd.DataFrame, method: str, vcov: Any) -> str:
    kind = "t" if "df" in table else "normal"
    if method.startswith("residual"):
        by = " with residual degrees of freedom"
    else:
        by = f", degrees of freedom by {method}" if method else ""
    given = ", from a covariance matrix that was given" if vcov is not None and not method else ""
    return f"Tests and intervals of the fixed effects use the {kind} distribution{by}{given}."


def _effect(name: str, row: pd.Series, level: float, ratio: tuple[str, str] | None) -> str:
    """Return an effect with its interval and its test."""
    estimate, se = float(row["Estimate"]), float(row["Std. Error"])
    df = float(row["df"]) if "df" in row else np.inf
    letter = "t" if "df" in row else "z"
    tail = (1.0 + level) / 2.0
    half = se * float(special.ndtri(tail) if np.isinf(df) else special.stdtrit(df, tail))
    values = np.array([estimate, estimate - half, estimate + half])
    is_intercept = name == "(Intercept)"
    shown = "intercept" if is_intercept else name
    if ratio is not None:
        values, se = np.exp(values), se * float(np.exp(estimate))
        shown = f"{shown} ({ratio[0] if is_intercept else ratio[1]})"
    texts = [words.number(value, se) for value in values]
    size = f"({df:.4g})" if letter == "t" else ""
    statistic = f"{letter}{size} = {row[f'{letter} value']:.2f}, {_p(float(row[f'Pr(>|{letter}|)']))}"
    return f"{shown} {texts[0]}, {100.0 * level:g}% CI [{texts[1]}, {texts[2]}], {statistic}"


def _p(p: float) -> str:
    if np.isnan(p):
        return "p not defined"
    return f"p < {LEAST_P:g}" if p < LEAST_P else f"p = {p:.3f}"


def _estimates_alone(fit: Fit) -> str:
    return "; ".join(f"{name} {value:.4g}" for name, value in zip(fit.design.x_names, fit.beta, strict=True))


def _random(fit: Fit) -> list[str]:
    """Return the standard deviations and correlations of the random effects, and that of the residuals."""
    has_sigma = fit.is_least_squares or fit.has_structured_residuals
    sigma = fit.residual_sd if isinstance(fit, MixedFit) else (fit.sigma() if has_sigma else None)
    what = "residual standard deviation" if fit.family() is None else "square root of the dispersion"
    if fit.has_structured_residuals:
        what += " (sigma)"
    # The parameters of a family that has a dispersion are listed with it.
    residual = "" if sigma is None or len(fit.phi) else f"The {what} was {sigma:.4g}."
    structure = residual_structure(fit)
    if not isinstance(fit, MixedFit):
        return [*structure, residual]
    groups = {term.label: term.group for term in fit.random}
    parts = [_deviations(term, groups[term.label]) for term in fit.term_covariances()]
    return [f"Standard deviations of the random effects: {'; '.join(parts)}.", *structure, residual]


def _deviations(term: TermCovariance, group: str) -> str:
    names = ["intercepts" if name == "(Intercept)" else f"slopes of {name}" for name in term.columns]
    listed = [f"{sd:.4g} ({name})" for sd, name in zip(term.stddev.tolist(), names, strict=True)]
    return f"by {group} {words.in_series(listed)}{_correlations(term.correlation, term)}"


def _correlations(matrix: FloatArray, term: TermCovariance) -> str:
    """Return the correlations of a term, pair by pair; none where they are zero by its structure."""
    if term.structure == "diag" or len(matrix) < 2:
        return ""
    names = ["intercepts" if name == "(Intercept)" else name for name in term.columns]
    pairs = [(i, j) for i in range(len(names)) for j in range(i)]
    if term.structure != "us":
        pairs = pairs[:1]
    texts = [_correlation(float(matrix[i, j]), names[j], names[i]) for i, j in pairs]
    return f", correlation{'s' * (len(texts) > 1)} {words.in_series(texts)}"


def _correlation(value: float, one: str, other: str) -> str:
    return f"{'not defined' if np.isnan(value) else f'{value:.2f}'} ({one}, {other})"


def _explained(fit: Fit, verdict: ConvergenceReport | None) -> list[str]:
    """Return the share of the variance that is explained, where the fit determines it."""
    if isinstance(fit, LeastSquaresFit):
        share, adjusted = (100.0 * fit.r_squared(), 100.0 * fit.r_squared(adjusted=True))
        return [f"The model explained {share:.1f}% of the variance ({adjusted:.1f}% adjusted)."]
    if not isinstance(fit, MixedFit) or verdict is None or verdict.verdict not in (FINE, "boundary"):
        return []
    try:
        found = r2(fit)
    except NotAvailableError:  # of a family whose variance has no part on the scale of the link
        return []
    assert isinstance(found, R2)
    if np.isnan(found.marginal):
        return ["R-squared is not given, because the fit is singular."]
    scale = "" if fit.family() is None else " on the scale of the link"
    shares = [f"{100.0 * share:.1f}%" for share in (found.marginal, found.conditional)]
    return [
        f"Fixed effects explained {shares[0]} of the variance{scale} (marginal R-squared), fixed and random "
        f"effects together {shares[1]} (conditional R-squared; Nakagawa, Johnson & Schielzeth 2017)."
    ]
