"""The compiled loops over random intercepts give the numbers of the blocks of any size, their twins."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.linalg import LinAlgError

from mixedmodels.factorization.blocks import Block
from mixedmodels.factorization.weighted import coupling
from mixedmodels.factorization.weighted.penalized_factor import factorize, solve
from mixedmodels.factorization.weighted.penalized_system import (
    penalized_system,
    rows_to_spherical,
    spherical_rows,
    spherical_to_rows,
)
from mixedmodels.factorization.weighted.row_inverse import diagonal_faces, leverages, row_inverse
from mixedmodels.kernels import scalar_factors

pytestmark = pytest.mark.skipif(not scalar_factors.COMPILED, reason="nothing is compiled")

# Sums of a few dozen products of numbers of size one.
ROUNDING = 1e-11


def intercept(codes):
    """Return the block of a random intercept."""
    codes = np.unique(codes, return_inverse=True)[1].astype(np.int32)
    return Block("g", (0,), (1,), codes, int(codes.max()) + 1, (None,))


@st.composite
def systems(draw):
    """Draw one to four factors, crossed or nested, their deviations, and weights of the rows."""
    n = draw(st.integers(2, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = rng.integers(draw(st.integers(1, n)), size=n)
    factors = [first]
    for kind in draw(st.lists(st.sampled_from(["nested", "crossed", "rows"]), max_size=3)):
        if kind == "rows":
            factors.append(rng.permutation(n))
        else:
            factors.append(first // 3 if kind == "nested" else rng.integers(draw(st.integers(1, 9)), size=n))
    blocks = sorted(map(intercept, factors), key=lambda block: -block.n_levels)
    deviations = [np.array([[draw(st.sampled_from([0.0, -0.4, 0.7, 3.0]))]]) for _ in blocks]
    return blocks, deviations, rng.exponential(size=n), rng


@pytest.mark.parametrize("cost", [0.0, 1e6], ids=["listed", "dense"])
@settings(max_examples=60, deadline=None)
@given(drawn=systems())
def test_compiled_loops_equal_the_blocks(cost, drawn):
    blocks, deviations, W, rng = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coupling, "COMPILED_PAIR_COST", cost)
        system = pickle.loads(pickle.dumps(penalized_system(blocks)))
    assert system.scalar is not None
    twin, zeta = replace(system, scalar=None), spherical_rows(system, deviations)
    found, expected = factorize(system, zeta, W), factorize(twin, zeta, W)
    assert found.values is not None and expected.values is None
    rows = rng.normal(size=(3, len(W)))
    effects = rows_to_spherical(twin, zeta, rows)
    pairs = [
        (found.log_det, expected.log_det),
        (found.tail, expected.tail),
        (rows_to_spherical(system, zeta, rows), effects),
        (rows_to_spherical(system, zeta, rows[0]), effects[0]),
        (spherical_to_rows(system, zeta, effects[1]), spherical_to_rows(twin, zeta, effects[1])),
        (solve(found, effects), solve(expected, effects)),
        (solve(found, effects[0]), solve(expected, effects[0])),
        (row_inverse(found).leverage, row_inverse(expected).leverage),
        (leverages(found), row_inverse(expected).leverage),
        *zip(row_inverse(found).effects, row_inverse(expected).effects, strict=True),
        *zip(diagonal_faces(found), diagonal_faces(expected), strict=True),
    ]
    for step, other in zip(found.chain, expected.chain, strict=True):
        pairs += [(step.L_inverse, other.L_inverse), (step.entries, other.entries)]
        pairs += [(step.links[k], link) for k, link in other.links.items()]
    for mine, right in pairs:
        np.testing.assert_allclose(mine, right, rtol=ROUNDING, atol=ROUNDING)


def test_weights_that_leave_no_positive_system_are_refused():
    system = penalized_system([intercept(np.arange(6) // 2), intercept(np.arange(6) % 2)])
    zeta = spherical_rows(system, [np.eye(1), np.eye(1)])
    with pytest.raises(LinAlgError, match="positive"):
        factorize(system, zeta, np.full(6, -2.0))
    with pytest.raises(LinAlgError, match="positive"):
        factorize(system, zeta, np.full(6, np.nan))
    with pytest.raises(LinAlgError, match="positive"):
        factorize(system, zeta, np.full(6, np.inf))
