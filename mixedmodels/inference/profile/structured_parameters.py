"""The parameters of a model with structured residuals as its profile lists them."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.covariance.residual.by_group import ByGroup
from mixedmodels.covariance.residual.structure import VarianceFunction
from mixedmodels.engines.residual.verdict import parameter_names
from mixedmodels.fits.structured import StructuredResiduals
from mixedmodels.inference.profile.parameters import (
    Parameter,
    covariance_parameters,
    fixed_parameters,
    residual_parameter,
)
from mixedmodels.inference.profile.scales import Scale, fisher_scale, log_scale, plain_scale
from mixedmodels.inference.profile.structured_surface import (
    ResidualBlock,
    StructuredSurface,
    slopes_somewhere,
)

#: Structures whose parameters are correlations that are functions of several coordinates, and those whose
#: parameters have any sign; parameters of others that are such functions are positive.
CORRELATIONS, ANY_SIGN = ("us", "toep"), ("arma",)
#: Relative derivative in another coordinate from which a parameter is a function of it.
SHARED = 1e-6
#: Coordinate that is as good as infinite, and sizes that are as good as zero and infinite.
FAR, NOTHING, EVERYTHING = 1e15, 1e-12, 1e12
#: Decimals of an end of a range: coordinates keep that far inside of it.
DIGITS = 8


def structured_parameters(fit: StructuredResiduals, surface: StructuredSurface) -> tuple[Parameter, ...]:
    """Return the parameters of a fit in the order of its Wald intervals: fixed effects first, sigma last."""
    random = [replace(p, signame=p.name) for p in covariance_parameters(fit.random)]
    names = iter(parameter_names(fit.residual_problem.model)[len(fit.theta_values) :])
    free = fit.residual_estimates.free[len(fit.theta_values) :]
    residual, index = [], 0
    for block in surface.blocks:
        size = block.form.n_parameters
        for k in range(size):
            residual.append(_of_block(block, free[index : index + size], k, next(names), index + k))
        index += size
    return (*fixed_parameters(fit.design.x_names), *random, *residual, residual_parameter())


def _of_block(block: ResidualBlock, free: FloatArray, k: int, name: str, index: int) -> Parameter:
    """Return parameter k of a block, the coordinates of which are `free` at the estimates."""
    form, sign = block.form, block.sign(k)
    if not _is_joint(form, k):
        scale = Scale(
            partial(_value, form, free, k, sign),
            partial(_inverse, form, form.from_free(free), k, sign),
            partial(_rate, form, free, k, sign),
            ends=(_far(form, free, k, -sign * FAR), _far(form, free, k, sign * FAR)),
        )
        return Parameter(name, name, "residual", scale, index)
    kind = form.structure.name if isinstance(form, ByGroup) else form.name
    others = plain_scale() if kind in ANY_SIGN else log_scale()
    scale = fisher_scale() if kind in CORRELATIONS else others
    return Parameter(name, name, "joint", scale, index)


def _is_joint(form: ByGroup | VarianceFunction, k: int) -> bool:
    """Tell whether parameter k is a function of several coordinates, at a point with nothing special."""
    slopes = np.abs(slopes_somewhere(form, k))
    return bool(slopes.sum() - slopes[k] > SHARED * slopes.sum())


# Functions of the module and not of a function: a profile, which holds its scales, is pickled.
def _moved(free: FloatArray, k: int, place: float) -> FloatArray:
    moved = free.astype(np.float64)
    moved[k] = place
    return moved


def _value(form: ByGroup | VarianceFunction, free: FloatArray, k: int, sign: float, place: float) -> float:
    return float(form.from_free(_moved(free, k, sign * place))[k])


def _inverse(
    form: ByGroup | VarianceFunction, natural: FloatArray, k: int, sign: float, value: float
) -> float:
    return sign * float(form.to_free(_moved(natural, k, value))[k])


def _rate(form: ByGroup | VarianceFunction, free: FloatArray, k: int, sign: float, place: float) -> float:
    chosen = _moved(np.zeros(len(free)), k, sign)
    return float(form.free_pullback(_moved(free, k, sign * place), chosen)[k])


def _far(form: ByGroup | VarianceFunction, free: FloatArray, k: int, place: float) -> float:
    """Return what a parameter tends to at an end of its coordinate."""
    value = _value(form, free, k, 1.0, place)
    if abs(value) > EVERYTHING:
        return math.copysign(math.inf, value)
    return 0.0 if abs(value) < NOTHING else round(value, DIGITS)
