"""Long groups in which a row depends on the one before it alone: whitened row by row, in O(n).

Their covariance matrices are never formed. With ``A = L^-1 D^-1 M`` the whitened rows they add ``A'A`` to S,
and derivatives come back through the whitening.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import FloatArray, IntArray
from mixedmodels.covariance.residual.by_group import ByGroup
from mixedmodels.covariance.residual.structure import Markov, Positions, VarianceColumns
from mixedmodels.engines.residual.model import CovarianceModel, Parameters, ResidualRows

#: Rows of a group from which it is whitened row by row: shorter ones share their matrices.
LONG = 64
#: Difference of a row from what whitening makes of it again from which a structure goes by more than one step
#: back, as ARMA processes do: its groups are coloured by their matrices.
NOT_STEPS = 1e-8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Chain:
    """Groups of one size and one arm, long and without random effects.

    Attributes
    ----------
    rows : ndarray of int, shape (K, T)
        Their rows, in order of positions.
    positions : ndarray, shape (K, T) or (K, T, d)
        Positions of these rows.
    arm : int
        Which parameters they have.
    M : ndarray, shape (K, T, m)
        Fixed effects and response.
    columns : tuple of VarianceColumns
        Columns of the variance functions at these rows.
    """

    rows: IntArray
    positions: Positions
    arm: int
    M: FloatArray
    columns: tuple[VarianceColumns, ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ChainState:
    """A chain at given parameters.

    Attributes
    ----------
    scaled, white : ndarray, shape (K, T, m)
        ``D^-1 M`` and ``L^-1 D^-1 M``.
    log_det : float
        ``log|D C D|`` of all groups.
    """

    scaled: FloatArray
    white: FloatArray
    log_det: float


def is_chained(structure: ByGroup | None) -> bool:
    """Tell whether the groups of a structure can be whitened row by row."""
    return structure is not None and isinstance(structure.structure, Markov)


def chains_of(M: FloatArray, rows: ResidualRows, order: IntArray, sizes: IntArray) -> tuple[Chain, ...]:
    """Return the chains of the long groups.

    Parameters
    ----------
    M : ndarray, shape (n, m)
        Fixed effects and response.
    rows : ResidualRows
        Positions and variance columns.
    order : ndarray of int, shape (n,)
        Rows by group and position.
    sizes : ndarray of int, shape (G,)
        Rows of each group, in the same order.
    """
    first = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    found = []
    for size in np.unique(sizes[sizes >= LONG]).tolist():
        own = order[first[sizes == size][:, None] + np.arange(size)]
        arms = rows.arms[own[:, 0]]
        for arm in np.unique(arms).tolist():
            at = own[arms == arm]
            columns = tuple(column.take(at.ravel()) for column in rows.columns)
            found.append(Chain(at, rows.positions[at], arm, M[at], columns))
    return tuple(found)


def chain_sd(chain: Chain, model: CovarianceModel, at: Parameters) -> FloatArray:
    """Return the relative standard deviations of the rows, shape (K, T)."""
    log_sd = np.zeros(chain.rows.size)
    for f, delta, columns in zip(model.variances, at.delta, chain.columns, strict=True):
        log_sd += f.log_sd(delta, columns)
    return np.asarray(np.exp(log_sd).reshape(chain.rows.shape))


def whitened(chain: Chain, model: CovarianceModel, at: Parameters, rows: FloatArray) -> ChainState:
    """Return rows (K, T, q) whitened at given parameters."""
    markov, rho = _markov(chain, model, at)
    sd = chain_sd(chain, model, at)
    scaled = rows / sd[:, :, None]
    white, log_det = markov.whiten(rho, chain.positions, scaled)
    return ChainState(scaled, white, log_det + 2.0 * float(np.log(sd).sum()))


def coloured(chain: Chain, model: CovarianceModel, at: Parameters, rows: FloatArray) -> FloatArray:
    """Return ``D L rows`` (K, T, q): the inverse of whitening, for draws."""
    markov, rho = _markov(chain, model, at)
    found = np.empty_like(rows)
    for k, positions in enumerate(chain.positions):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of other structures: seen below
            found[k] = _step_by_step(markov, rho, positions[None], rows[k])
            again, _ = markov.whiten(rho, positions[None], found[k][None])
        if not np.abs(again[0] - rows[k]).max(initial=0.0) <= NOT_STEPS:
            assert model.structure is not None
            C = model.structure.structure.correlation(rho, positions[None])[0]
            found[k] = np.linalg.cholesky(C) @ rows[k]
    return found * chain_sd(chain, model, at)[:, :, None]


def _step_by_step(markov: Markov, rho: FloatArray, positions: Positions, rows: FloatArray) -> FloatArray:
    """Return ``L rows`` (T, q) as if whitening had two diagonals, which every other row tells apart."""
    T = len(rows)
    every, even = np.ones((1, T, 1)), (np.arange(T) % 2 == 0).astype(np.float64)
    both = markov.whiten(rho, positions, every)[0][0, :, 0]
    of_even = markov.whiten(rho, positions, even[None, :, None])[0][0, :, 0]
    on = np.where(even == 1.0, of_even, both - of_even)
    before = both - on
    found = np.empty_like(rows)
    found[0] = rows[0] / on[0]
    for t in range(1, T):
        found[t] = (rows[t] - before[t] * found[t - 1]) / on[t]
    return found


def chain_slopes(
    chain: Chain, model: CovarianceModel, at: Parameters, state: ChainState, Omega: FloatArray
) -> tuple[FloatArray, tuple[FloatArray, ...]]:
    """Return what a chain adds to the derivatives of the objective in rho and delta.

    Parameters
    ----------
    chain, model, at, state
        The chain at given parameters.
    Omega : ndarray, shape (m, m)
        Derivative of the objective in S.
    """
    markov, own = _markov(chain, model, at)
    drho = np.zeros(model.n_rho)
    assert model.structure is not None
    dwhite = 2.0 * state.white @ Omega
    slope, drows = markov.whiten_pullback(own, chain.positions, state.scaled, dwhite, 1.0)
    drho[model.structure.of_arm(chain.arm)] = slope
    dlog_sd = (2.0 - np.sum(drows * state.scaled, axis=2)).ravel()
    triples = zip(model.variances, at.delta, chain.columns, strict=True)
    return drho, tuple(f.pullback(delta, columns, dlog_sd) for f, delta, columns in triples)


def _markov(chain: Chain, model: CovarianceModel, at: Parameters) -> tuple[Markov, FloatArray]:
    """Return the structure of a chain and its parameters."""
    assert model.structure is not None and isinstance(model.structure.structure, Markov)
    return model.structure.structure, at.rho[model.structure.of_arm(chain.arm)]
