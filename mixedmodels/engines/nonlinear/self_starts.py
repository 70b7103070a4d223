"""Starting values of R's self-starting models, found from the data.

Each model is written with its linear parameters apart (`separable`), its other parameters are looked for all
over the range that the data can tell, and the least-squares curve through the mean responses at each x is the
start. R's initial functions end at the same minimum where they find it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.nonlinear.separable import Basis, Separable, solve_separable

#: Rows beyond this many are thinned out evenly: a start needs no more.
MOST_ROWS = 4000


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Curve:
    """A self-starting model as a separable least-squares problem.

    Attributes
    ----------
    basis : callable
        The inputs to the function that gives the columns at q.
    candidates : callable
        The inputs to places all over the range of q, shape (G, d).
    parameters : callable
        q, coefficients and the last input to the parameters of the model, in its order.
    fewest : int
        Distinct inputs that the model needs.
    """

    basis: Callable[..., Basis]
    candidates: Callable[..., FloatArray]
    parameters: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    fewest: int


def self_start(model: str, inputs: tuple[FloatArray, ...], y: FloatArray) -> FloatArray | None:
    """Return starting values of a self-starting model, in its own order; None where there are none.

    Parameters
    ----------
    model : str
        Its name, ``"SSlogis"``.
    inputs : tuple of ndarray, each of shape (n,)
        Its variables.
    y : ndarray, shape (n,)
        Response.
    """
    curves = CURVES[model]
    if len(inputs) == 1:
        x, y = mean_by_input(inputs[0], y)
        inputs = (x,)
    if len(np.unique(inputs[-1])) < curves[0].fewest or np.ptp(y) == 0.0:
        return None
    if len(y) > MOST_ROWS:
        rows = np.linspace(0, len(y) - 1, MOST_ROWS).astype(np.intp)
        inputs, y = tuple(x[rows] for x in inputs), y[rows]
    found = solve_separable([Separable(c.basis(*inputs), c.candidates(*inputs)) for c in curves], y)
    if found is None:
        return None
    with np.errstate(all="ignore"):
        parameters = curves[found.problem].parameters(found.q, found.c, inputs[-1])
    return parameters if np.isfinite(parameters).all() else None


def mean_by_input(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the distinct inputs in order, and the mean response at each."""
    distinct, place = np.unique(x, return_inverse=True)
    return distinct, np.bincount(place, y) / np.bincount(place)


def _span(x: FloatArray) -> float:
    return float(np.ptp(x))


def _rates(x: FloatArray, count: int) -> FloatArray:
    """Return logarithms of rates, from hardly any change over the range of x to all of it at once."""
    return np.log(np.geomspace(0.02, 200.0, count) / _span(x))


def _pairs(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.stack([part.ravel() for part in np.meshgrid(a, b, indexing="ij")], axis=-1)


def _column(values: FloatArray) -> FloatArray:
    return values[..., None]


def _columns(*values: FloatArray) -> FloatArray:
    return np.stack(np.broadcast_arrays(*values), axis=-1)


def _decay(x: FloatArray, lrc: FloatArray) -> FloatArray:
    """Return an exponential decay that is one at the least input, so that it is a number in any year."""
    return np.asarray(np.exp(-np.exp(lrc)[..., None] * (x - x.min())))


def _at_zero(x: FloatArray, lrc: float) -> float:
    """Return what such a decay is at an input of zero."""
    return float(np.exp(np.exp(lrc) * x.min()))


# Sigmoid curves: q = (xmid, scal).
def _sigmoid(x: FloatArray, q: FloatArray) -> FloatArray:
    return np.asarray(expit((x - q[..., 0, None]) / q[..., 1, None]))


def _sigmoid_candidates(x: FloatArray, signs: tuple[float, ...]) -> FloatArray:
    span = _span(x)
    middles = x[0] + span * np.linspace(-0.5, 2.0, 26)
    scales = np.concatenate([sign * span * np.geomspace(0.01, 2.0, 16) for sign in signs])
    return _pairs(middles, scales)


LOGISTIC = Curve(
    basis=lambda x: lambda q: _column(_sigmoid(x, q)),
    candidates=lambda x: _sigmoid_candidates(x, (1.0, -1.0)),
    parameters=lambda q, c, x: np.array([c[0], *q]),
    fewest=4,
)


def _four_parameters(q: FloatArray, c: FloatArray, x: FloatArray) -> FloatArray:
    """Return A, B, xmid and scal; the same curve has two, that of positive scal is meant."""
    lower, upper = c[0], c[0] + c[1]
    return np.array([lower, upper, *q] if q[1] > 0.0 else [upper, lower, q[0], -q[1]])


FOUR_PARAMETERS = Curve(
    basis=lambda x: lambda q: _columns(np.ones_like(x), _sigmoid(x, q)),
    candidates=lambda x: _sigmoid_candidates(x, (1.0,)),
    parameters=_four_parameters,
    fewest=5,
)


# Curves that approach a line: q = (lrc,).
def _asymptotic(q: FloatArray, c: FloatArray, x: FloatArray) -> FloatArray:
    """Return Asym, R0 and lrc."""
    return np.array([c[0], c[0] + c[1] * _at_zero(x, q[0]), q[0]])


ASYMPTOTIC = Curve(
    basis=lambda x: lambda q: _columns(np.ones_like(x), _decay(x, q[..., 0])),
    candidates=lambda x: _column(_rates(x, 60)),
    parameters=_asymptotic,
    fewest=3,
)
THROUGH_ORIGIN = Curve(
    basis=lambda x: lambda q: _column(1.0 - np.exp(-np.exp(q[..., 0, None]) * x)),
    candidates=lambda x: _column(_rates(x, 60)),
    parameters=lambda q, c, x: np.array([c[0], q[0]]),
    fewest=3,
)


# q = (lrc, c0): with an offset, where it is beyond the data as well.
def _offset_basis(x: FloatArray) -> Basis:
    return lambda q: _column(1.0 - np.exp(-np.exp(q[..., 0, None]) * (x - q[..., 1, None])))


OFFSET = Curve(
    basis=_offset_basis,
    candidates=lambda x: _pairs(_rates(x, 40), x[0] + _span(x) * np.linspace(-1.5, 1.5, 31)),
    parameters=lambda q, c, x: np.array([c[0], q[0], q[1]]),
    fewest=4,
)


# q = (lrc1, lrc2).
def _fast_first(q: FloatArray, c: FloatArray, x: FloatArray) -> FloatArray:
    """Return A1, lrc1, A2 and lrc2 with the fast decay first."""
    fast, slow = (0, 1) if q[0] >= q[1] else (1, 0)
    A = c * np.array([_at_zero(x, lrc) for lrc in q])
    return np.array([A[fast], q[fast], A[slow], q[slow]])


def _different_rates(x: FloatArray) -> FloatArray:
    pairs = _pairs(_rates(x, 30), _rates(x, 30))
    return pairs[pairs[:, 0] > pairs[:, 1]]


BIEXPONENTIAL = Curve(
    basis=lambda x: lambda q: _columns(_decay(x, q[..., 0]), _decay(x, q[..., 1])),
    candidates=_different_rates,
    parameters=_fast_first,
    fewest=5,
)

# q = (K,).
MICHAELIS_MENTEN = Curve(
    basis=lambda x: lambda q: _column(x / (q[..., 0, None] + x)),
    candidates=lambda x: _column(np.max(np.abs(x)) * np.geomspace(1e-3, 1e2, 60)),
    parameters=lambda q, c, x: np.array([c[0], q[0]]),
    fewest=3,
)


# q = (middle, rate): the double exponential exp(-sign exp(-rate (x - middle))).
def _gompertz(sign: float) -> Curve:
    """Return the curves that are below their asymptote, sign 1, or above it, -1."""
    return Curve(
        basis=lambda x: lambda q: _column(np.exp(-sign * np.exp(-q[..., 1, None] * (x - q[..., 0, None])))),
        candidates=_gompertz_candidates,
        parameters=lambda q, c, x: np.array([c[0], sign * np.exp(q[1] * q[0]), np.exp(-q[1])]),
        fewest=4,
    )


def _gompertz_candidates(x: FloatArray) -> FloatArray:
    rates = np.geomspace(0.2, 50.0, 16) / _span(x)
    return _pairs(x[0] + _span(x) * np.linspace(-0.5, 1.5, 21), np.concatenate([rates, -rates]))


# q = (lrc, pwr).
def _weibull_candidates(x: FloatArray) -> FloatArray:
    positive = x[x > 0.0]
    middles = np.geomspace(positive.min(), positive.max(), 20) if len(positive) else np.ones(1)
    grid = _pairs(np.geomspace(0.2, 12.0, 20), np.log(middles))
    return np.stack([-grid[:, 0] * grid[:, 1], grid[:, 0]], axis=1)


def _weibull_basis(x: FloatArray) -> Basis:
    return lambda q: _columns(np.ones_like(x), -np.exp(-np.exp(q[..., 0, None]) * x ** q[..., 1, None]))


WEIBULL = Curve(
    basis=_weibull_basis,
    candidates=_weibull_candidates,
    parameters=lambda q, c, x: np.array([c[0], c[1], q[0], q[1]]),
    fewest=5,
)


# q = (lKe, lKa): symmetric in the two, of which absorption is the faster.
def _first_order_basis(dose: FloatArray, x: FloatArray) -> Basis:
    def basis(q: FloatArray) -> FloatArray:
        elimination, absorption = np.exp(q[..., 0, None]), np.exp(q[..., 1, None])
        rise = np.exp(-elimination * x) - np.exp(-absorption * x)
        return _column(dose * rise / (absorption - elimination))

    return basis


def _first_order(q: FloatArray, c: FloatArray, x: FloatArray) -> FloatArray:
    """Return lKe, lKa and lCl."""
    return np.array([q.min(), q.max(), q.sum() - np.log(c[0])])


FIRST_ORDER = Curve(
    basis=_first_order_basis,
    candidates=lambda dose, x: _different_rates(x)[:, ::-1],
    parameters=_first_order,
    fewest=4,
)

#: Curves of one model that one search does not reach from each other stand apart.
CURVES: Mapping[str, tuple[Curve, ...]] = {
    "SSasymp": (ASYMPTOTIC,),
    "SSasympOff": (OFFSET,),
    "SSasympOrig": (THROUGH_ORIGIN,),
    "SSbiexp": (BIEXPONENTIAL,),
    "SSfol": (FIRST_ORDER,),
    "SSfpl": (FOUR_PARAMETERS,),
    "SSgompertz": (_gompertz(1.0), _gompertz(-1.0)),
    "SSlogis": (LOGISTIC,),
    "SSmicmen": (MICHAELIS_MENTEN,),
    "SSweibull": (WEIBULL,),
}
