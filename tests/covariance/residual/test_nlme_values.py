"""Correlations and standard deviations beside those of nlme (make_nlme_correlations.R)."""

import numpy as np
import pytest

from mixedmodels.covariance.residual.by_lag import AutoregressiveMovingAverage, Toeplitz
from mixedmodels.covariance.residual.by_levels import Antedependence, Unstructured
from mixedmodels.covariance.residual.one_correlation import Autoregressive1, CompoundSymmetric
from mixedmodels.covariance.residual.spatial import (
    ContinuousAutoregressive,
    Exponential,
    Gaussian,
    Linear,
    Matern,
    RationalQuadratic,
    Spherical,
)
from mixedmodels.covariance.residual.structure import VarianceColumns
from mixedmodels.covariance.residual.variance import Exponential as ExponentialVariance
from mixedmodels.covariance.residual.variance import Fixed, Ident, Power

ARMA = AutoregressiveMovingAverage
TIMES = np.array([[1, 2, 4, 5]])
X = np.array([[[0.1], [0.9], [1.7], [3.2]]])
XZ = np.dstack([X[..., 0], [[0.0, 1.1, 0.3, 2.2]]])

# The lower triangle by columns: pairs 21, 31, 41, 32, 42, 43.
BY_STEPS = [
    (Autoregressive1(), [0.4], [0.4, 0.064, 0.0256, 0.16, 0.064, 0.4]),
    (ARMA(1, 1), [0.5, -0.3],
     [0.2151898734177217, 0.0537974683544304, 0.0268987341772152, 0.1075949367088609, 0.0537974683544304,
      0.2151898734177217]),
    (ARMA(2, 0), [0.5, 0.2], [0.625, 0.38125, 0.293125, 0.5125, 0.38125, 0.625]),
    (ARMA(0, 2), [0.4, 0.3], [0.416, 0, 0, 0.24, 0, 0.416]),
    (CompoundSymmetric(4), [-0.2], [-0.2] * 6),
]  # fmt: skip
BY_DISTANCE = [
    (ContinuousAutoregressive(), X, [0.7],
     [0.751758646650046, 0.565141062813108, 0.330981655626097, 0.751758646650046, 0.440276486477413,
      0.585662018573853]),
    (Exponential(), X, [1.9],
     [0.656355555470840, 0.430802615197435, 0.195620455746494, 0.656355555470840, 0.298040374787663,
      0.454083723834503]),
    (Exponential(True), X, [1.9, 0.25],
     [0.492266666603130, 0.323101961398076, 0.146715341809870, 0.492266666603130, 0.223530281090747,
      0.340562792875877]),
    (Exponential(True), XZ, [1.9, 0.25],
     [0.366576172597000, 0.318395135262933, 0.101431207046658, 0.413482364607189, 0.196021817362803,
      0.209767039994538]),
    (Gaussian(), X, [1.9],
     [0.8375407844988406, 0.4920665663225073, 0.0698049844366754, 0.8375407844988406, 0.2309915934257581,
      0.5361889303292544]),
    (Gaussian(True), XZ, [1.9, 0.25],
     [0.449262717057271, 0.359962976954922, 0.013698729940009, 0.526105924274200, 0.123905501440077,
      0.147939663038880]),
    (Linear(), X, [1.9],
     [0.578947368421053, 0.157894736842105, 0, 0.578947368421053, 0, 0.210526315789474]),
    (Linear(True), X, [1.9, 0.25],
     [0.434210526315789, 0.118421052631579, 0, 0.434210526315789, 0, 0.157894736842105]),
    (RationalQuadratic(), X, [1.9],
     [0.849411764705882, 0.585089141004862, 0.273071104387292, 0.849411764705882, 0.405617977528090,
      0.616040955631399]),
    (RationalQuadratic(True), XZ, [1.9, 0.25],
     [0.495879120879121, 0.432507987220447, 0.149916943521595, 0.553680981595092, 0.267804154302671,
      0.285902851108765]),
    (Spherical(), X, [1.9],
     [0.4057442775914856, 0.0354279049424114, 0, 0.4057442775914857, 0, 0.0618165913398454]),
    (Spherical(True), XZ, [1.9, 0.25],
     [0.0822211410093801, 0.0219743085211277, 0, 0.1592838815863949, 0, 0]),
]  # fmt: skip


def lower(C):
    return C[0].T[np.triu_indices(C.shape[1], 1)]


@pytest.mark.parametrize(("structure", "rho", "expected"), BY_STEPS)
def test_correlation_by_steps_is_that_of_nlme(structure, rho, expected):
    C = structure.correlation(np.array(rho), TIMES - 1)
    np.testing.assert_allclose(lower(C), expected, atol=1e-14)


@pytest.mark.parametrize(("structure", "positions", "rho", "expected"), BY_DISTANCE)
def test_correlation_by_distance_is_that_of_nlme(structure, positions, rho, expected):
    C = structure.correlation(np.array(rho), positions)
    np.testing.assert_allclose(lower(C), expected, atol=1e-14)


@pytest.mark.parametrize(
    ("structure", "rho", "expected"),
    [
        (ARMA(1, 2), [-0.6, 0.4, 0.3],
         [-0.341567695961995, 0.432969121140143, -0.259781472684086, 0.155868883610451]),
        (ARMA(1, 3), [0.5, 0.4, 0.3, 0.2],
         [0.791469194312796, 0.566350710900474, 0.354265402843602, 0.177132701421801]),
    ],
)  # fmt: skip
def test_arma_of_longer_moving_average_is_that_of_r(structure, rho, expected):
    # stats::ARMAacf; nlme 3.1-162 leaves the moving average out of lags above p where q > p > 0.
    C = structure.correlation(np.array(rho), np.arange(5)[None])
    np.testing.assert_allclose(C[0, 0, 1:], expected, atol=1e-14)


def test_unstructured_correlations_are_in_the_order_of_nlme():
    rho = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    C = Unstructured(4).correlation(rho, np.arange(4)[None])
    assert lower(C).tolist() == rho.tolist()


def test_toeplitz_and_antedependence_are_those_of_sas():
    C = Toeplitz(3).correlation(np.array([0.5, 0.3, 0.1]), np.arange(4)[None])
    assert lower(C).tolist() == [0.5, 0.3, 0.1, 0.5, 0.3, 0.5]
    C = Antedependence(4).correlation(np.array([0.5, 0.2, -0.5]), np.arange(4)[None])
    np.testing.assert_allclose(lower(C), [0.5, 0.1, -0.05, 0.2, -0.1, -0.5], atol=1e-15)


def test_matern_of_half_integers_is_closed_form():
    u = np.linspace(0.0, 40.0, 200)
    for nu, expected in [
        (0.5, np.exp(-u)),
        (1.5, (1 + u) * np.exp(-u)),
        (2.5, (1 + u + u**2 / 3) * np.exp(-u)),
    ]:
        np.testing.assert_allclose(Matern(nu=nu).f(u, np.zeros(0)), expected, atol=1e-14)


X1, STRATA = X[0, :, 0], np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("function", "delta", "expected"),
    [
        (Ident(("a", "b")), [1.7], [1.0, 1.7, 1.0, 1.7]),
        (Power(), [0.6], [0.251188643150958, 0.938740393359569, 1.374894430891181, 2.009509145207664]),
        (Power(("a", "b")), [0.6, -0.3],
         [0.251188643150958, 1.032112997428190, 1.374894430891181, 0.705431756580232]),
        (ExponentialVariance(), [0.4],
         [1.04081077419239, 1.43332941456034, 1.97387773223045, 3.59663972556928]),
        (Fixed(), [], [0.316227766016838, 0.948683298050514, 1.303840481040530, 1.788854381999832]),
    ],
)  # fmt: skip
def test_standard_deviations_are_those_of_nlme(function, delta, expected):
    columns = VarianceColumns(
        X1[:, None],
        STRATA
        if (function.n_parameters and len(delta) != 1) or isinstance(function, Ident)
        else np.zeros(4, dtype=int),
    )
    np.testing.assert_allclose(np.exp(function.log_sd(np.array(delta), columns)), expected, rtol=1e-13)
