"""The gradient of every structure, at random times, gaps and sizes; and what must not matter to it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixedmodels.engines.residual.objective import objective_and_gradient
from mixedmodels.formula.language.residual import STRUCTURES
from tests.engines.residual.test_objective import problem_of

OVER_LEVELS = [
    "us(t | g)", "us(t | arm / g)", "us(t | g, hom = TRUE)", "cs(t | g)", "csh(t | g)", "ar1(t | g)",
    "ar1h(t | g)", "toep(t | g)", "toeph(t | g)", "ad(t | g)", "adh(t | g)", "ante(t | arm / g)",
    "diag(t | g)", "arma(t | g, p = 1, q = 1)", "arma(t | g, p = 2)", "arma(t | g, q = 2)",
]  # fmt: skip
OVER_PLACES = [
    "car1(s | g)", "exp(s | g)", "exp(s + u | g, nugget = TRUE)", "gau(s + u | g)",
    "gau(s | g, nugget = TRUE)", "mat(s | g)", "mat(s + u | g, nu = 1.5)", "spher(s + u | g)",
    "ratio(s | g, nugget = TRUE)", "lin(s | g)", "sp_pow(s + u | g)", "exp(s | arm / g)",
]  # fmt: skip
DISPERSION = [None, "exp(z) * ident(arm)", "power(z | arm)", "constpower(z)", "~ z + arm"]


def test_no_structure_is_left_out():
    named = {text.split("(")[0] for text in [*OVER_LEVELS, *OVER_PLACES]}
    assert {STRUCTURES[name].base for name in named} == {kind.base for kind in STRUCTURES.values()}


def rows_of(seed, groups, times, dropped):
    """Return rows of groups at random times, in random order; one group has one row."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"g": np.repeat(np.arange(groups), times), "t": np.tile(np.arange(times), groups)})
    keep = rng.random(len(data)) >= dropped
    keep[data["g"] == 0] = False
    keep[0], keep[times : 3 * times] = True, True  # and two have all, one in each arm
    data = data[keep].sample(frac=1.0, random_state=seed).reset_index(drop=True)
    n = len(data)
    data["s"], data["u"] = data["t"] + rng.uniform(0.0, 0.6, n), rng.normal(size=n)
    data["z"], data["w"] = rng.uniform(0.5, 2.0, n), rng.uniform(0.5, 2.0, n)
    data["arm"] = np.where(data["g"] % 2 == 0, "a", "b")
    data["y"] = rng.normal(size=n) + rng.normal(size=groups)[data["g"]]
    return data


@settings(max_examples=3, deadline=None)
@pytest.mark.parametrize("residual", [*OVER_LEVELS, *OVER_PLACES])
@given(
    st.integers(0, 10_000),
    st.integers(4, 9),
    st.integers(3, 6),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from(DISPERSION),
    st.booleans(),
)
def test_the_gradient_is_that_of_differences(residual, seed, groups, times, dropped, dispersion, REML):
    problem = problem_of(rows_of(seed, groups, times, dropped), residual, dispersion, "w", "y ~ z")[2]
    free = np.random.default_rng(seed).normal(scale=0.3, size=problem.model.n_parameters)
    if problem.model.structure is not None:
        free[problem.model.rho_part] += problem.model.structure.to_free(problem.model.structure.start())
    gradient = objective_and_gradient(problem, free, REML)[1]
    for k, unit in enumerate(np.eye(len(free)) * 1e-5):
        above, below = (objective_and_gradient(problem, x, REML)[0] for x in (free + unit, free - unit))
        assert gradient[k] == pytest.approx((above - below) / 2e-5, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("residual", [*OVER_LEVELS, *OVER_PLACES])
def test_order_of_rows_labels_and_units_of_time_do_not_matter(residual):
    data = rows_of(5, 7, 5, 0.25)
    moved = data.sample(frac=1.0, random_state=9).reset_index(drop=True)
    moved["g"] = "group " + (90 - moved["g"]).astype(str)
    if residual in OVER_LEVELS:
        moved["t"] = moved["t"] * 4.0
    problems = [problem_of(own, residual, None, "w", "y ~ z")[2] for own in (data, moved)]
    rng = np.random.default_rng(1)
    structure = problems[0].model.structure
    at = structure.to_free(structure.start()) if structure is not None else np.empty(0)
    x = rng.normal(scale=0.2, size=problems[0].model.n_parameters)
    x[problems[0].model.rho_part] += at
    values = [objective_and_gradient(problem, x, True)[0] for problem in problems]
    assert values[0] == pytest.approx(values[1], abs=1e-9)
