"""The scale of the response: the inverse of a link, or of a function around the response in the formula."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.families.links import Jet, Link, Log, Power, get_link
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.language.syntax_tree import (
    Binary,
    Call,
    Node,
    Number,
    deparse,
    strip_parens,
)

# Functions around a response that are no transformation of it.
_NO_TRANSFORMATION = ("cbind", "I", "factor", "as.factor", "ordered", "as.numeric", "as.integer")
_RATES = ("poisson", "quasipoisson")


@dataclass(frozen=True, slots=True)
class ResponseScale:
    """What lies between a linear predictor and the response.

    The linear predictor is ``multiplier * link(mu + shift)``.

    Attributes
    ----------
    link : Link
        The function.
    name : str
        Its name in messages.
    label : str
        Name of the column of means on the scale of the response: ``"prob"``, ``"rate"``, ``"response"``.
    multiplier, shift : float
        What goes around the link.
    is_positive : bool
        Whether the response is never negative, so that a limit of its link below zero is no mean.
    is_known : bool
        Whether the function can be inverted here.
    """

    link: Link
    name: str
    label: str = "response"
    multiplier: float = 1.0
    shift: float = 0.0
    is_positive: bool = True
    is_known: bool = True

    @property
    def is_logarithm(self) -> bool:
        """Whether differences on the scale are logarithms of ratios."""
        return self.link.name in ("log", "logit")

    def derivatives(self, eta: FloatArray) -> Jet:
        """Return mu and its first three derivatives in eta, each (m,)."""
        k = self.multiplier
        with np.errstate(all="ignore"):  # NaN where nothing is estimable, infinity beyond the range
            mu, d1, d2, d3 = self._inside(eta / k)
        return mu - self.shift, d1 / k, d2 / k**2, d3 / k**3

    def _inside(self, x: FloatArray) -> Jet:
        """Return the jet of the link's inverse; that of the end of the range beyond it."""
        if not isinstance(self.link, Power) or self.link.exponent == 1.0 or not self._has_end:
            return self.link.derivatives(x)
        outside = x < 0.0 if self.link.exponent > 0.0 else x <= 0.0
        inner = self.link.derivatives(np.where(outside, 1.0, x))
        end = 0.0 if self.link.exponent > 0.0 else np.inf
        return (
            np.where(outside, end, inner[0]),
            np.where(outside, 0.0, inner[1]),
            np.where(outside, 0.0, inner[2]),
            np.where(outside, 0.0, inner[3]),
        )

    @property
    def _has_end(self) -> bool:
        return self.is_positive or not self.link.is_monotone


def response_scale(fit: Fit) -> ResponseScale | None:
    """Return the scale of the response of a fit; None where the linear predictor is on it already."""
    family = fit.family()
    if family is not None and family.link.name != "identity":
        name = family.name
        label = "prob" if "binomial" in name and "negative" not in name.lower() else "response"
        label = "rate" if name.split()[-1] in _RATES else label
        return ResponseScale(family.link, family.link.name, label, is_positive=name != "gaussian")
    response = fit.design.formula.response
    return None if response is None else transformation(response, fit)


def transformation(response: Node, fit: Fit) -> ResponseScale | None:
    """Return the function around the response, ``log(y + 1)`` or ``2 * sqrt(y)``; None if there is none."""
    node = strip_parens(response)
    if isinstance(node, Binary) and node.operator in ("*", "/"):
        return _multiple(node, fit)
    if not isinstance(node, Call) or node.function in _NO_TRANSFORMATION or not node.arguments:
        return None
    if node.function == "scale":
        return _standardized(node, fit)
    found = _function(node)
    inner = strip_parens(node.arguments[0].value)
    if found.is_known and isinstance(inner, Binary) and inner.operator in ("+", "-"):
        constant = _number(inner.right)
        if constant is not None:
            constant = constant if inner.operator == "+" else -constant
            sign = "+" if constant >= 0 else "-"
            name = f"{found.name}(mu {sign} {abs(constant):.3g})"
            return replace(found, shift=found.shift + constant, name=name)
    return found


def _multiple(node: Binary, fit: Fit) -> ResponseScale | None:
    """Return a transformation times a number."""
    left, right = _number(node.left), _number(node.right)
    if left is not None and node.operator == "*":
        factor, inner = left, transformation(node.right, fit)
    elif right is not None:
        factor, inner = right if node.operator == "*" else 1.0 / right, transformation(node.left, fit)
    else:
        return None
    if inner is None:
        return None
    return replace(inner, multiplier=inner.multiplier * factor, name=f"{factor:.3g}*{inner.name}")


def _number(node: Node) -> float | None:
    node = strip_parens(node)
    return float(node.value) if isinstance(node, Number) else None


def _function(call: Call) -> ResponseScale:
    """Return the scale of a call of a function of one variable."""
    name = call.function
    base = {"log2": 2.0, "log10": 10.0}.get(name)
    if name == "log" and len(call.arguments) == 2:
        base = _number(call.arguments[1].value)
        if base is None:
            return ResponseScale(get_link("identity"), deparse(call), is_known=False)
        name = f"log{base:g}"
    if base is not None:
        return ResponseScale(Log(), name, multiplier=1.0 / log(base))
    if name == "log1p":
        return ResponseScale(Log(), "log1p", shift=1.0)
    if name in ("log", "sqrt"):
        return ResponseScale(get_link(name), name)
    if name in ("qlogis", "logit"):
        return ResponseScale(get_link("logit"), "logit")
    if name in ("qnorm", "probit"):
        return ResponseScale(get_link("probit"), "probit")
    return ResponseScale(get_link("identity"), name, is_known=False)


def _standardized(call: Call, fit: Fit) -> ResponseScale | None:
    """Return the scale of ``scale(y)``, with the mean and standard deviation of the data of the fit."""
    state = fit.design.recipe.states.transforms.get(deparse(call))
    if state is None:
        return None
    centre, width = state
    name = f"scale({centre:.3g}, {width:.3g})"
    return ResponseScale(get_link("identity"), name, multiplier=1.0 / width, shift=-centre, is_positive=False)


def scale_of_contrasts(scale: ResponseScale) -> ResponseScale | None:
    """Return the scale on which contrasts are ratios; None where they are no function of the response."""
    if not scale.is_logarithm:
        return None
    if scale.link.name == "logit":
        return ResponseScale(Log(), "log odds ratio", "odds.ratio", scale.multiplier)
    return ResponseScale(Log(), scale.name.split("(")[0], "ratio", scale.multiplier)


def back_transformed(
    scale: ResponseScale, eta: FloatArray, sigma: float | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return the means at `eta` and their slopes in it.

    Parameters
    ----------
    scale : ResponseScale
        The scale.
    eta : ndarray, shape (m,)
        Linear predictors.
    sigma : float, optional
        Standard deviation of what was added to the linear predictor: the mean of the back-transformed, to the
        second order, is then ``h(eta) + sigma^2 / 2 h''(eta)``.
    """
    mu, d1, d2, d3 = scale.derivatives(eta)
    if sigma is None:
        return mu, d1
    half = 0.5 * sigma**2
    return mu + half * d2, d1 + half * d3
