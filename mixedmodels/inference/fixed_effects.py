"""Which covariance and which degrees of freedom the tests of the fixed effects of a fit use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, cast, get_args

import numpy as np
import pandas as pd

from mixedmodels.arrays import FloatArray
from mixedmodels.control import one_of
from mixedmodels.engines.linear.parameter_covariance import ParameterCovariance
from mixedmodels.errors import ControlError, NotAvailableError, listed
from mixedmodels.fits.fit import Fit
from mixedmodels.fits.gee import GeeFit
from mixedmodels.fits.linear import LinearFit
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.formula.design.theta import theta_names
from mixedmodels.inference import structured
from mixedmodels.inference.contrasts import Constant, FixedEffects
from mixedmodels.inference.gee.fixed_effects import gee_fixed_effects
from mixedmodels.inference.kenward_roger import kenward_roger
from mixedmodels.inference.robust import RobustCovariance, robust_covariance
from mixedmodels.inference.satterthwaite import Satterthwaite

#: Methods of degrees of freedom; the linear form of Kenward and Roger's, and those between and within
#: subjects, are of models with structured residuals. "default" is Satterthwaite's for a linear mixed model,
#: otherwise that of the summary (residual where the dispersion is estimated, normal where it is known).
Ddf = Literal[
    "default", "satterthwaite", "kenward-roger", "kenward-roger-linear", "between-within", "residual", "z"
]

#: A matrix is no covariance if, scaled to correlations, it is asymmetric or has a negative eigenvalue by more
#: than this, which rounding of printed digits does not reach.
NO_COVARIANCE = 1e-5


def fixed_effects(fit: Fit, ddf: Ddf = "default", vcov: Any = None) -> FixedEffects:
    """Return the fixed effects of a fit with the covariance and degrees of freedom that tests of them use.

    Parameters
    ----------
    fit : Fit
        The fit.
    ddf : {"default", "satterthwaite", "kenward-roger", "residual", "z"}
        Degrees of freedom, in capitals or not.
    vcov : {"CR0", ..., "CR3"}, RobustCovariance or array of shape (p, p), optional
        Another covariance of the fixed effects. A robust one brings its degrees of freedom with it, in place
        of `ddf`; with another matrix the tests are normal, or as the summary's of a fit without random
        effects.

    Raises
    ------
    ControlError
        If `ddf` is none of these.
    NotAvailableError
        If the method does not exist for this kind of model.
    """
    ddf = checked_ddf(ddf)
    if isinstance(fit, GeeFit) and (vcov is None or isinstance(vcov, str)):
        return gee_fixed_effects(fit, ddf, vcov)
    if vcov is not None:
        return with_covariance(fit, vcov, ddf)
    if isinstance(fit, StructuredResiduals):
        return _of_structured(fit, ddf)
    _refuse_of_structured(ddf)
    names = tuple(fit.design.x_names)
    if ddf == "satterthwaite" or (ddf == "default" and isinstance(fit, LinearFit)):
        parameters = linear(fit, "Satterthwaite's").parameter_covariance
        degrees, notes = Satterthwaite(parameters), _left_out(fit, parameters)
        return FixedEffects(fit.beta, _covariance(fit), degrees, names, notes)
    if ddf == "kenward-roger":
        adjusted, kr = kenward_roger(linear(fit, "Kenward and Roger's"))
        return FixedEffects(fit.beta, adjusted, kr, names)
    return FixedEffects(fit.beta, _covariance(fit), _constant(fit, ddf), names)


def _of_structured(fit: StructuredResiduals, ddf: Ddf) -> FixedEffects:
    """Return the fixed effects of a model with structured residuals."""
    chosen = fit.default_ddf if ddf == "default" else ddf
    if chosen == "satterthwaite":
        return structured.satterthwaite(fit)
    if chosen in ("kenward-roger", "kenward-roger-linear"):
        return structured.kenward_roger(fit, chosen == "kenward-roger-linear")
    names = tuple(fit.design.x_names)
    if chosen == "between-within":
        return FixedEffects(fit.beta, _covariance(fit), structured.between_within(fit), names)
    own: Ddf = "z" if chosen == "z" else "residual"
    return FixedEffects(fit.beta, _covariance(fit), _constant(fit, own), names)


def _refuse_of_structured(ddf: Ddf) -> None:
    """Raise NotAvailableError for methods that only models with structured residuals have."""
    if ddf in ("kenward-roger-linear", "between-within"):
        raise NotAvailableError(
            f"ddf={ddf!r} is for models with structured residuals, fitted by gls() or mmrm(); of this model "
            "ddf='satterthwaite' and 'kenward-roger' are at hand where it is linear and mixed."
        )


def checked_ddf(ddf: Ddf) -> Ddf:
    """Return the name of a method in small letters.

    Raises
    ------
    ControlError
        If it is none.
    """
    name = ddf.lower() if isinstance(ddf, str) else ddf
    one_of("ddf", name, get_args(Ddf), "; ddf=None of summary() gives lme4's table")
    return cast("Ddf", name)


def refuse_ddf_of_chi_square(ddf: Ddf) -> None:
    """Raise ControlError if degrees of freedom were asked for of a chi-square test, which has none."""
    if checked_ddf(ddf) not in ("default", "z"):
        raise ControlError(
            f"ddf={ddf!r} is about F tests, and these are chi-square tests: write test='F', or leave out ddf."
        )


def _constant(fit: Fit, ddf: Ddf) -> Constant:
    if ddf == "residual":
        return Constant(float(fit.df_residual()), "residual degrees of freedom")
    return Constant(np.inf if ddf == "z" or fit.test_df is None else fit.test_df)


def _left_out(fit: Fit, parameters: ParameterCovariance) -> tuple[str, ...]:
    """Return what to say about parameters at a boundary."""
    named = [name for name, out in zip(theta_names(fit.random), parameters.left_out, strict=True) if out]
    named += ["sigma"] * (not parameters.to_parameters[-1].any())
    if not named:
        return ()
    return (f"at a boundary, so taken as known in the degrees of freedom: {', '.join(named)}",)


def _covariance(fit: Fit) -> FloatArray:
    return fit._fixed_covariance()


def with_covariance(fit: Fit, vcov: Any, ddf: Ddf = "default") -> FixedEffects:
    """Return the fixed effects with a covariance that was given: a robust one, its type or a matrix.

    Degrees of freedom that are asked for take the place of those that a robust covariance brings.

    Raises
    ------
    ControlError
        If `vcov` is none of these, of another size or other coefficients, or no covariance matrix; if `ddf`
        is a method that needs another covariance.
    """
    names = tuple(fit.design.x_names)
    if isinstance(vcov, str):
        vcov = robust_covariance(fit, vcov)
    if isinstance(vcov, pd.DataFrame):
        _check_names(vcov, names)
    if isinstance(vcov, RobustCovariance) and isinstance(fit, StructuredResiduals) and ddf != "default":
        return replace(_of_structured(fit, ddf), covariance=vcov.to_numpy())
    if isinstance(vcov, RobustCovariance):
        own = ddf in ("default", "satterthwaite")
        degrees = vcov.degrees if own else _constant(fit, _of_any_covariance(ddf, "'satterthwaite', "))
        return FixedEffects(fit.beta, vcov.to_numpy(), degrees, names)
    V = _covariance_matrix(vcov, len(names))
    return FixedEffects(fit.beta, V, _constant(fit, _of_any_covariance(ddf, "")), names)


def _of_any_covariance(ddf: Ddf, others: str) -> Ddf:
    """Return a method of degrees of freedom if it is one that goes with a covariance that was given."""
    if ddf not in ("default", "residual", "z"):
        raise ControlError(
            f"ddf={ddf!r} is about the covariance that the model itself estimates; with this vcov, ddf is "
            f"{others}'residual' or 'z', or left out."
        )
    return ddf


def _check_names(vcov: pd.DataFrame, names: tuple[str, ...]) -> None:
    """Raise unless the margins of a table, where they have names, are those of the coefficients."""
    for margin in (vcov.index, vcov.columns):
        given = tuple(margin)
        if given != names and any(isinstance(name, str) for name in given):
            raise ControlError(
                f"vcov is about {listed(given)}; the coefficients of this model are {listed(names)}, in this "
                "order."
            )


def _covariance_matrix(vcov: Any, p: int) -> FloatArray:
    """Return a matrix that was given as a covariance, shape (p, p), its symmetric part."""
    matrix = np.asarray(vcov, dtype=object)
    if matrix.shape != (p, p) or not np.isfinite(numbers := pd.to_numeric(matrix.ravel(), "coerce")).all():
        raise ControlError(
            f"vcov must be a type of robust covariance such as 'CR2', or a {p} x {p} matrix of numbers, such "
            "as vcov('CR2', cluster='g') returns."
        )
    V = np.asarray(numbers, dtype=np.float64).reshape(p, p)
    variances = np.diagonal(V)
    if (variances <= 0.0).any():
        raise ControlError(
            f"vcov must have positive variances on its diagonal; the smallest is {variances.min():.4g}."
        )
    scale = np.sqrt(variances)
    R = V / np.outer(scale, scale)
    if np.abs(R - R.T).max() > NO_COVARIANCE or np.linalg.eigvalsh(R).min() < -NO_COVARIANCE:
        raise ControlError(
            "vcov must be a covariance matrix: symmetric, with no combination of coefficients of negative "
            "variance."
        )
    return np.asarray(0.5 * (V + V.T), dtype=np.float64)


def linear(fit: Fit, method: str) -> LinearFit:
    """Return a fit if it is a linear mixed model, which a method is for.

    Raises
    ------
    NotAvailableError
        If it is of another kind.
    """
    if isinstance(fit, LinearFit):
        return fit
    instead = "normal tests are ddf='z'" if fit.test_df is None else "ddf='residual' has its t tests"
    raise NotAvailableError(
        f"{method} degrees of freedom are for linear mixed models and models with structured residuals, from "
        f"lmer(), gls() or mmrm(); of this model {instead}."
    )
