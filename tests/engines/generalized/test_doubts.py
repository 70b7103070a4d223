"""What is said of an optimum that was left for the model without random effects."""

from dataclasses import replace

import numpy as np
import pytest

from mixedmodels.engines.generalized.doubts import rejected
from mixedmodels.engines.generalized.exactness import Exactness
from mixedmodels.engines.generalized.optimum import Optimum
from mixedmodels.optimization.quasi_newton import minimize

FOUND = minimize(lambda x: (float(x @ x), 2.0 * x), np.array([1.0]), np.eye(1))
AT = Optimum(FOUND.x, 1563.0, FOUND.inverse_hessian, FOUND, 1)
MORE = Exactness(49, 4115.0, 3.0, True, 2, 2552.0, (2.0, 0.1))


@pytest.mark.parametrize(
    ("nAGQ", "name"),
    [
        (0, "The approximation of nAGQ=0"),
        (1, "The Laplace approximation"),
        (25, "Quadrature with nAGQ=25"),
    ],
)
def test_a_false_optimum_is_named_with_its_value(nAGQ, name):
    said = rejected(nAGQ, AT, MORE)
    assert said.startswith(f"{name} has an optimum of 1563.000 at larger variances that is none of the likel")
    assert "49 nodes give 4115.000 there, worse than without random effects." in said
    # Where nothing more exact can be had, the approximation itself is worse.
    alone = rejected(nAGQ, replace(AT, objective=12.0), None)
    assert alone == f"{name} has an optimum of 12.000 at larger variances, worse than without random effects."
