"""Search coordinates: the way there and back, its Jacobian, and covariates of any size."""

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.differences import jacobian
from mixedmodels.engines.residual.coordinates import search_coordinates

#: Evaluations of a first search in which theta is of the size of the residuals; it was 83 where it is not.
MOST_EVALUATIONS = 40


@pytest.fixture(scope="module")
def rats():
    return mm.load_dataset("BodyWeight")


@pytest.mark.parametrize("dispersion", ["power(Time)", "exp(Time)", "constpower(Time)", "~ Diet + Time"])
def test_jacobian_is_that_of_differences(rats, dispersion):
    problem = mm.lmer("weight ~ Time + (1 | Rat)", rats, dispersion=dispersion).residual_problem
    coordinates = search_coordinates(problem)
    x = np.linspace(0.3, 0.7, problem.model.n_parameters)
    free = coordinates.free(x)
    np.testing.assert_allclose(coordinates.of(free), x, rtol=1e-14)
    differences = jacobian(coordinates.free, x, np.full(len(x), 1e-6))
    np.testing.assert_allclose(coordinates.jacobian(free), differences, rtol=1e-7, atol=1e-7)


def test_units_of_a_covariate_of_the_variance_cost_no_evaluations(rats):
    objectives, powers = [], []
    for unit in (1.0, 1e3, 1e6):
        data = rats.assign(size=rats["Time"] * unit)
        model = mm.lmer("weight ~ Time*Diet + (Time | Rat)", data, dispersion="power(size)")
        assert model.optimization.n_evaluations <= MOST_EVALUATIONS
        objectives.append(model.residual_estimates.objective)
        powers.append(model.residual_parameters[1][0])
    np.testing.assert_allclose(objectives, objectives[0], atol=1e-7)
    np.testing.assert_allclose(powers, powers[0], rtol=1e-6)
