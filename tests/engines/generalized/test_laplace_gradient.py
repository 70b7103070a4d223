"""The exact Laplace gradient against central differences, and the value against dense algebra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels import families
from mixedmodels.engines.generalized.laplace import laplace
from mixedmodels.engines.generalized.laplace_gradient import laplace_gradient
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.pirls import conditional_mode
from mixedmodels.engines.generalized.problem import unpack
from mixedmodels.factorization.weighted.row_inverse import diagonal_faces, row_inverse
from tests.engines.generalized.generalized_models import (
    STRUCTURES,
    central_differences,
    dense_spherical_matrix,
    small_model,
    small_parameters,
)

# Central differences of step 1e-5 of an objective of size 1e2 err by 1e-16 * 1e2 / 1e-5 = 1e-9, and by the
# third derivative times 1e-10.
GRADIENT_TOLERANCE = 1e-6
# Two routes through the same well-conditioned linear algebra.
ALGEBRA_TOLERANCE = 1e-9

FAMILIES = (
    families.binomial(),
    families.binomial(link="probit"),
    families.binomial(link="cloglog"),
    families.binomial(link="cauchit"),
    families.poisson(),
    families.poisson(link="sqrt"),
    families.Gamma(link="log"),
    families.Gamma(),
    families.inverse_gaussian(link="log"),
    families.gaussian(link="log"),
    families.nbinom2(),
    families.nbinom1(),
    families.beta(),
    families.betabinomial(),
    families.poisson(zi=True),
)


def objective(problem):
    return lambda psi: laplace(conditional_mode(problem, unpack(problem, psi)))


def relative_error(found, expected):
    return np.abs(found - expected).max() / (1.0 + np.abs(expected).max())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.name} {family.link.name}")
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("observed", [False, True])
def test_gradient_of_every_family(family, zero, observed):
    problem = small_model("crossed", family, observed=observed)
    psi = small_parameters(problem, zero=zero)
    gradient = laplace_gradient(problem, psi, conditional_mode(problem, unpack(problem, psi)))
    assert relative_error(gradient, central_differences(objective(problem), psi)) < GRADIENT_TOLERANCE


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("observed", [False, True])
def test_gradient_of_every_structure(structure, zero, observed):
    problem = small_model(structure, families.binomial(link="cloglog"), observed=observed)
    psi = small_parameters(problem, zero=zero)
    gradient = laplace_gradient(problem, psi, conditional_mode(problem, unpack(problem, psi)))
    assert relative_error(gradient, central_differences(objective(problem), psi)) < GRADIENT_TOLERANCE


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), structure=st.sampled_from(STRUCTURES), size=st.floats(0.0, 3.0))
def test_gradient_of_random_models(seed, structure, size):
    problem = small_model(structure, families.poisson(), seed=seed, n=40)
    psi = small_parameters(problem, seed=seed)
    psi[: problem.n_theta] *= size
    gradient = laplace_gradient(problem, psi, conditional_mode(problem, unpack(problem, psi)))
    assert relative_error(gradient, central_differences(objective(problem), psi)) < GRADIENT_TOLERANCE


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("pair_cost", [0.0, 1e9], ids=["pairs", "dense"])
def test_blocked_algebra_equals_dense(structure, pair_cost, monkeypatch):
    monkeypatch.setattr("mixedmodels.factorization.weighted.coupling.PAIR_COST", pair_cost)
    problem = small_model(structure, families.binomial())
    psi = small_parameters(problem)
    mode = conditional_mode(problem, unpack(problem, psi))
    Z = dense_spherical_matrix(problem, psi)
    omega = Z.T @ (mode.rows.information[:, None] * Z) + np.eye(Z.shape[1])
    inverse = np.linalg.inv(omega)
    score = Z.T @ mode.rows.d1 - mode.u
    value = mode.u @ mode.u - 2.0 * mode.rows.loglik.sum() + np.linalg.slogdet(omega)[1]
    leverage = np.einsum("ij,jk,ik->i", Z, inverse, Z)
    faces = np.concatenate([np.einsum("aal->al", face).ravel() for face in diagonal_faces(mode.factor)])
    assert np.abs(score).max() < ALGEBRA_TOLERANCE
    assert laplace(mode) == pytest.approx(value, abs=ALGEBRA_TOLERANCE)
    np.testing.assert_allclose(row_inverse(mode.factor).leverage, leverage, atol=ALGEBRA_TOLERANCE)
    if structure != "related levels":
        np.testing.assert_allclose(faces, np.diagonal(inverse), atol=ALGEBRA_TOLERANCE)


@pytest.mark.parametrize("structure", ["scalar", "nested", "crossed"])
def test_gradient_of_the_profiled_objective(structure):
    problem = small_model(structure, families.Gamma(link="log"))
    psi = small_parameters(problem)
    outer = np.r_[: problem.n_theta, problem.n_theta + problem.n_fixed : len(psi)]
    gradient = Evaluator(problem, 0).profiled(psi)[1]
    expected = central_differences(lambda at: Evaluator(problem, 0).profiled(at)[0], psi)
    assert relative_error(gradient[outer], expected[outer]) < GRADIENT_TOLERANCE
    assert np.abs(gradient[problem.n_theta : problem.n_theta + problem.n_fixed]).max() < 1e-8


def test_value_does_not_depend_on_the_path():
    problem = small_model("crossed", families.binomial())
    far, near = small_parameters(problem, seed=3), small_parameters(problem, seed=4)
    direct = Evaluator(problem, 1)(near)[0]
    travelled = Evaluator(problem, 1)
    travelled(far)
    travelled(0.5 * (far + near))
    assert travelled(near)[0] == pytest.approx(direct, abs=1e-10)
