"""What an approximation leaves out of the conditional variances of crossed factors, from a few solves.

The gradient asks for ``sum_l Var(u_l | y) / sigma^2`` of each block, a partial trace of the inverse of the
whole system over its levels, and only for that. Taking levels for independent misses most of it in few
directions, what all levels of a block have in common: these are solved for, one column each. What is left is
the expectation of ``sum_l x_l z_l'`` over random signs z less their mean (Hutchinson 1990, Commun. Stat.
Simul. 19, 433-450; the division is that of Meyer, Musco, Musco & Woodruff 2021, SOSA), where x is what the
approximate inverse leaves of ``Omega^-1 z``, so that it varies by what it leaves out alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.engines.linear.mean_field import ArrowFactor, conjugate_gradients, from_lead, to_lead
from mixedmodels.kernels import faces

#: Random columns solved for. One varies by 0.005 standard deviations of the gradient (levels as frequent as
#: the inverse of their rank, 300,000 rows; 0.003 with five factors of 1,000 levels), so that theta ends at
#: thousandths of its standard error from the optimum.
PROBES = 10
#: Their seed: the start of a search, and with it the last bits of its end, must not differ between runs.
SEED = 20261128
#: Squared error of a solve that is small beside the variation of a probe.
SOLVED = 1e-3


def sampled_excess(factor: ArrowFactor, REML: bool) -> tuple[FloatArray, ...]:
    """Return how much the sums of conditional variances exceed those of the approximation.

    Parameters
    ----------
    factor : ArrowFactor
        The approximation, which preconditions the solves.
    REML : bool
        Whether variances include the uncertainty of the fixed effects.

    Returns
    -------
    tuple of ndarray, each (S, S)
        By block.
    """
    factor = factor if REML else _without_fixed(factor)
    rng, sizes = np.random.default_rng(SEED), factor.arrow.sizes
    total = [np.zeros((S, S)) for S, _ in sizes]
    for b, (S, q) in enumerate(sizes):
        for s in range(S):
            z = [np.zeros(shape) for shape in sizes]
            z[b][s] = 1.0 / np.sqrt(q)
            total[b][s] += left_out(factor, z)[b] @ z[b][s]
    for z in _probes(sizes, rng):
        for excess, x, signs in zip(total, left_out(factor, z), z, strict=True):
            product = x @ signs.T / PROBES
            excess += 0.5 * (product + product.T)
    return tuple(total)


def left_out(factor: ArrowFactor, z: Sequence[FloatArray]) -> list[FloatArray]:
    """Return what the approximate inverse leaves of ``Omega^-1 z``, spherical effects by block, each (S, q).

    Fixed effects are held by the approximation, and estimated in Omega if the factor has any.
    """
    arrow, lead = factor.arrow, z[factor.arrow.lead]
    n, m = factor.H.shape
    border = np.zeros(n + len(arrow.core_core))
    for b, where in _places(factor):
        border[where] = z[b].T.ravel()
    border -= factor.scaled(from_lead(arrow, faces.apply(factor.lead.W, lead)), transposed=True)
    approximate = factor.precondition(border)
    approximate[n + m :] = 0.0
    x = conjugate_gradients(factor, border, np.zeros_like(border), SOLVED)[0] - approximate
    raw = to_lead(arrow, factor.scaled(x, transposed=False))
    out = [-faces.apply(faces.transposed(factor.lead.W), raw)] * len(z)
    for b, where in _places(factor):
        out[b] = x[where].reshape(z[b].shape[::-1]).T
    return out


def _places(factor: ArrowFactor) -> Iterator[tuple[int, slice]]:
    """Yield the blocks after the leading one and where their effects stand."""
    n = factor.arrow.middle.n_effects
    yield from factor.arrow.middle
    for b, where in factor.arrow.core:
        yield b, slice(n + where.start, n + where.stop)


def _probes(sizes: Sequence[tuple[int, int]], rng: np.random.Generator) -> Iterator[list[FloatArray]]:
    """Yield random signs less their mean over the levels of each block."""
    for _ in range(PROBES):
        signs = [rng.integers(0, 2, size=shape) * 2.0 - 1.0 for shape in sizes]
        yield [z - z.mean(axis=1, keepdims=True) for z in signs]


def _without_fixed(factor: ArrowFactor) -> ArrowFactor:
    """Return the same with the fixed effects known."""
    arrow, m = factor.arrow, len(factor.V_core)
    random = replace(
        arrow,
        core_lead=arrow.core_lead[:m],
        core_middle=arrow.core_middle[:m],
        core_core=arrow.core_core[:m, :m],
    )
    return replace(factor, arrow=random, T_core=factor.T_core[:m, :m], L_fixed=np.zeros((0, 0)))
