"""A model in words: what was fitted, how, to which data, as a methods section says it."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

import numpy as np

from mixedmodels.families.family import Family
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.gee import GeeFit
from mixedmodels.fits.generalized import GeneralizedFit
from mixedmodels.fits.mixed_fit import MixedFit
from mixedmodels.fits.nonlinear import CurveFit, NonlinearFit
from mixedmodels.fits.nonlinear_family import NonlinearFamilyFit
from mixedmodels.formula.design.coding import VariableCoding
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.reports.family_text import family_label
from mixedmodels.version import version

#: Families by what they are called in a sentence; others have their names.
FAMILIES = {
    "poisson": "Poisson",
    "inverse.gaussian": "inverse Gaussian",
    "gaussian": "Gaussian",
    "betabinomial": "beta-binomial",
    "nbinom1": "negative binomial with linear variance",
    "nbinom2": "negative binomial",
    "quasipoisson": "quasi-Poisson",
    "quasibinomial": "quasi-binomial",
}
#: What an exponentiated intercept and an exponentiated coefficient are, by family and link.
RATIOS = {
    ("binomial", "logit"): ("odds", "odds ratio"),
    ("quasibinomial", "logit"): ("odds", "odds ratio"),
    ("betabinomial", "logit"): ("odds", "odds ratio"),
    ("binomial", "log"): ("probability", "risk ratio"),
    ("poisson", "log"): ("rate", "rate ratio"),
    ("quasipoisson", "log"): ("rate", "rate ratio"),
    ("nbinom1", "log"): ("rate", "rate ratio"),
    ("nbinom2", "log"): ("rate", "rate ratio"),
    ("gaussian", "log"): ("mean", "ratio of means"),
    ("Gamma", "log"): ("mean", "ratio of means"),
    ("inverse.gaussian", "log"): ("mean", "ratio of means"),
}
#: What is said of a covariance structure of several coefficients.
STRUCTURES = {
    "us": "correlated",
    "diag": "uncorrelated",
    "cs": "with one correlation for all",
    "ar1": "with a first-order autoregressive correlation",
}
#: How far a contrast matrix may be from the one it is named after.
SAME_CODING = 1e-12


def software() -> str:
    """Return the package and its version, and Python's."""
    number = version()
    own = "mixedmodels" if number == "not installed" else f"mixedmodels {number}"
    return f"{own} for Python {sys.version_info.major}.{sys.version_info.minor}"


def kind_of_model(fit: Fit) -> str:
    """Return what was fitted: ``"linear mixed model"``, or a generalized one with family and link."""
    family = fit.family()
    if isinstance(fit, GeeFit):
        return f"marginal model ({family_words(fit.family())} family, {fit.family().link.name} link)"
    mixed = " mixed" if isinstance(fit, MixedFit) else ""
    if isinstance(fit, CurveFit):
        about = "" if family is None else f" ({family_words(family)} family, {family.link.name} link)"
        return f"nonlinear mixed model{about}"
    if family is None:
        return f"linear{mixed} model"
    return f"generalized linear{mixed} model ({family_words(family)} family, {family.link.name} link)"


def family_words(family: Family) -> str:
    """Return the name of a family in a sentence."""
    # Of a name such as "zero-inflated poisson" the last word is the family of the counts.
    *kind, base = family.name.split(" ")
    return " ".join([*kind, FAMILIES.get(base, base)])


def ratio_words(family: Family | None) -> tuple[str, str] | None:
    """Return what exponentiated intercepts and coefficients are; None where they are nothing."""
    return None if family is None else RATIOS.get((family.name, family.link.name))


def estimation(fit: Fit) -> str:
    """Return the method of estimation."""
    if fit.is_least_squares:
        return "least squares" if fit.design.weights is None else "weighted least squares"
    if isinstance(fit, NonlinearFit) and fit.estimates.method == "lindstrom-bates":
        what = "restricted maximum likelihood (REML)" if fit.is_reml else "maximum likelihood"
        return f"{what} of the linearised model (Lindstrom & Bates)"
    if fit.is_reml:
        return "restricted maximum likelihood (REML)"
    if isinstance(fit, GeeFit):
        corr = fit.correlation.name
        return (
            f"generalized estimating equations ({corr} working correlation, {fit.cov_type} standard errors)"
        )
    if not fit.has_likelihood:
        return "penalized quasi-likelihood"
    if isinstance(fit, GeneralizedFit | NonlinearFit | NonlinearFamilyFit):
        return f"maximum likelihood ({_approximation(fit.estimates.nAGQ)})"
    return "maximum quasi-likelihood" if fit.is_quasi else "maximum likelihood"


def _approximation(nodes: int) -> str:
    if nodes == 0:
        return "Laplace approximation, fixed effects from the penalized least-squares step: nAGQ = 0"
    if nodes == 1:
        return "Laplace approximation"
    return f"adaptive Gauss-Hermite quadrature, {nodes} nodes"


def observations(fit: Fit) -> str:
    """Return how many rows and groups there are."""
    groups = fit.ngrps() if isinstance(fit, MixedFit | GeeFit) else {}
    counts = [f"{size} level{'s' * (size != 1)} of {name}" for name, size in groups.items()]
    n = fit.nobs()
    return f"{n} observation{'s' * (n != 1)}" + (f" of {in_series(counts)}" if counts else "")


def predictors(fit: Fit) -> str:
    """Return the response and what predicts it."""
    if isinstance(fit, CurveFit):
        family = fit.family()
        linked = family is not None and family.link.name != "identity"
        what = f"The {family.link.name} of the mean" if family is not None and linked else "The mean"
        return f"{what} of {fit.design.response.text} is a nonlinear function of parameters"
    terms = [_term_words(label) for label in fit.terms()]
    intercept = fit.design.recipe.fixed.intercept
    parts = [in_series(terms) or ("an intercept alone" if intercept else "no fixed effects")]
    if terms and not intercept:
        parts.append("without an intercept")
    return f"{fit.design.response.text} was predicted from {', '.join(parts)}"


def _term_words(label: str) -> str:
    names = label.split(":")
    # A colon inside brackets is R's sequence, no interaction.
    if len(names) == 1 or any(name.count("(") != name.count(")") for name in names):
        return label
    return f"the interaction of {in_series(names)}"


def random_effects(terms: Sequence[RandomTerm]) -> str:
    """Return the random effects: ``"correlated random intercepts and slopes of Days by Subject"``."""
    parts = [_random_words(term) for term in terms]
    return in_series(parts, "; " if any(" and " in part for part in parts) else ", ")


def _random_words(term: RandomTerm) -> str:
    slopes = [name for name in term.columns if name != "(Intercept)"]
    parts = ["intercepts"] * (len(slopes) < term.size)
    parts += [f"slopes of {in_series(slopes)}"] if slopes else []
    how = f"{STRUCTURES.get(term.structure.name, term.structure.name)} " if term.size > 1 else ""
    if how.startswith("with"):
        found = f"random {' and '.join(parts)} by {term.group} {how.strip()}"
    else:
        found = f"{how}random {' and '.join(parts)} by {term.group}"
    return found if term.relationship is None else f"{found} (levels related as given)"


def coding(fit: Fit) -> str:
    """Return how factors were coded, empty where there are none."""
    found = [
        _coding_words(v) for v in fit.design.recipe.fixed.variables if v.levels and v.reduced is not None
    ]
    return f"{in_series(found, '; ')}." if found else ""


def _coding_words(variable: VariableCoding) -> str:
    assert variable.levels is not None and variable.reduced is not None
    matrix = np.asarray(variable.reduced[0], dtype=np.float64)
    zero = np.flatnonzero(~matrix.any(axis=1))
    if len(zero) == 1 and np.isin(matrix, (0.0, 1.0)).all() and (matrix.sum(axis=1) <= 1.0).all():
        return f"{variable.name} was coded by treatment contrasts with reference {variable.levels[zero[0]]}"
    if np.abs(matrix.sum(axis=0)).max() > SAME_CODING:
        return f"{variable.name} was coded by contrasts of the user's own"
    return f"{variable.name} was coded by contrasts that sum to zero"


def rows_and_arguments(fit: Fit) -> list[str]:
    """Return sentences on rows left out, weights, offsets and columns without estimates."""
    design, call = fit.design, fit.call
    dropped, zero = design.missing.n_dropped, len(fit.y) - fit.nobs()
    given = (
        ("Prior weights were", call.weights), ("An offset was", call.offset), ("A subset was", call.subset)
    )  # fmt: skip
    found = [f"{what} used{_argument(text)}." for what, text in given if text]
    if dropped:
        rows = "1 observation was" if dropped == 1 else f"{dropped} observations were"
        found.append(f"{rows} left out because of missing values.")
    if zero:
        found.append(f"{zero} observation{'s' * (zero > 1)} had zero weight.")
    if design.dropped:
        names = in_series(design.dropped)
        found.append(f"No effect was estimated of {names}, which other columns of the model determine.")
    return found


def _argument(text: str) -> str:
    return "" if text.startswith("<") else f" ({text})"


def family_parameters(fit: Fit) -> list[str]:
    """Return a sentence on the parameters of the family; none where there are none."""
    family = fit.family()
    if isinstance(fit, GeeFit):
        return [f"The scale was {fit.dispersion():.4g}."]
    if family is None or not (len(fit.drawn_phi) or fit.is_quasi):
        return []
    if fit.is_quasi:
        return [f"The estimated dispersion was {fit.dispersion():.4g}."]
    if family_label(family, fit.phi) != family.name:
        return [f"The estimated dispersion parameter theta was {fit.phi[0]:.4g}."]
    named = [f"{n} = {v:.4g}" for n, v in zip(family.phi_names, fit.drawn_phi.tolist(), strict=True)]
    return [f"Estimated parameter{'s' * (len(named) > 1)} of the family: {in_series(named)}."]


def in_series(parts: Sequence[str], separator: str = ", ") -> str:
    """Return words in a series.

    Examples
    --------
    >>> in_series(["a", "b", "c"])
    'a, b and c'
    """
    if len(parts) < 2:
        return "".join(parts)
    return f"{separator.join(parts[:-1])}{';' * (separator == '; ')} and {parts[-1]}"


def number(value: float, se: float) -> str:
    """Return a number with the decimals that leave its standard error three significant digits.

    Examples
    --------
    >>> number(10.4673, 1.5458), number(0.0706754, 0.0095), number(1234.567, 250.0)
    ('10.47', '0.07068', '1235')
    """
    if not math.isfinite(value) or not math.isfinite(se) or se <= 0.0:
        return f"{value:.4g}"
    places = 2 - math.floor(math.log10(se))
    if places > 6:
        return f"{value:.4g}"
    return f"{value:.{max(places, 0)}f}"
