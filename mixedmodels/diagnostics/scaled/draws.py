"""Responses drawn from a fit, in blocks; many are drawn again when they are read again, and not kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

from mixedmodels.arrays import BoolArray, FloatArray
from mixedmodels.families.response import TRIALS_FAMILIES
from mixedmodels.fits.family_quantities import response_mean
from mixedmodels.fits.fit import Fit
from mixedmodels.formula.design.design import RandomTerm
from mixedmodels.inference.clusters import Clusters
from mixedmodels.inference.resampling import normal_effects, observed, random_part
from mixedmodels.parallel import in_order

R = TypeVar("R")
#: Where the random numbers of a block start (copied, not moved on), and how many responses to draw.
Piece = tuple[np.random.Generator, int]

#: Numbers in one block: a megabyte. Draws depend on it, and on nothing else but the seed.
BLOCK = 2**17
#: Numbers that are kept: 32 megabytes.
KEPT = 2**22


@dataclass(frozen=True, slots=True)
class RowSums:
    """From the rows of a fit to those of its residuals: the rows with weight, or their sums by group.

    Attributes
    ----------
    matrix : csr_array, shape (m, n)
        Ones where a row belongs to a group.
    trials : ndarray, shape (n,)
        What turns the family's response into what is compared: trials, which give numbers of successes.
    """

    matrix: sparse.csr_array
    trials: FloatArray

    def __call__(self, Y: FloatArray) -> FloatArray:
        """Return the sums of responses as the family has them, shape (m,) or (m, count)."""
        return self.of_counts((Y.T * self.trials).T)

    def of_counts(self, Y: FloatArray) -> FloatArray:
        """Return the sums of responses as they are compared."""
        return np.asarray(self.matrix @ Y)


def row_sums(fit: Fit, groups: Clusters | None) -> RowSums:
    """Return the sums by group, of rows with weight; without groups, these rows."""
    n, used = len(fit.y), np.flatnonzero(fit.prior_weights > 0.0)
    codes = np.arange(len(used)) if groups is None else groups.codes[used]
    size = len(used) if groups is None else groups.size
    matrix = sparse.csr_array((np.ones(len(used)), (codes, used)), shape=(size, n))
    return RowSums(matrix, fit.prior_weights if has_trials(fit) else np.ones(n))


def has_trials(fit: Fit) -> bool:
    """Return whether the response is a number of successes, whatever it was given as."""
    family = fit.family()
    return family is not None and family.name in TRIALS_FAMILIES


class ResponseDraws:
    """Responses drawn from a fit.

    Parameters
    ----------
    fit : Fit
        The fit.
    eta : ndarray, shape (n,)
        Linear predictor of what all draws have in common.
    redrawn : sequence of RandomTerm
        Random-effects terms drawn afresh, with zeros in the columns that are not; empty for none.
    sums : RowSums
        Groups.
    nsim : int
        Draws.
    seed : Generator
        Spawns one generator for each block.
    jobs : int
        Processes.
    most : int
        Most draws of a block.
    """

    def __init__(
        self, fit: Fit, eta: FloatArray, redrawn: Sequence[RandomTerm], sums: RowSums, nsim: int,
        seed: np.random.Generator, jobs: int, most: int,
    ) -> None:  # fmt: skip
        self.fit, self.eta, self.redrawn, self.sums = fit, eta, redrawn, sums
        self.nsim, self.jobs, self.is_noisy = nsim, jobs, False
        self._kept: list[FloatArray] | None = None
        size = max(1, min(BLOCK // max(len(eta), 1), most))
        counts = [min(size, nsim - first) for first in range(0, nsim, size)]
        self.pieces = list(zip(seed.spawn(len(counts)), counts, strict=True))

    @property
    def observed(self) -> FloatArray:
        """The response, shape (m,)."""
        y = self.fit.y
        return self.sums.of_counts(np.round(y * self.sums.trials) if has_trials(self.fit) else y)

    @property
    def expected(self) -> FloatArray:
        """Mean of the draws where random effects that are drawn afresh are zero, shape (m,)."""
        family = self.fit.family()
        mean = self.eta if family is None else response_mean(family, self.eta, self.fit.phi)
        return self.sums(mean)

    def responses(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Return responses as ``refit`` takes them, shape (n, count)."""
        eta = np.broadcast_to(self.eta[:, None], (len(self.eta), count))
        if self.redrawn:
            eta = eta + random_part(self.redrawn, normal_effects(self.fit, rng, count))
        return observed(self.fit, rng, eta)

    def block(self, piece: Piece) -> FloatArray:
        """Return the responses of a block as they are compared, shape (m, count)."""
        rng, count = copy.deepcopy(piece[0]), piece[1]
        Y = self.responses(rng, count)
        if has_trials(self.fit) and self.fit.design.response.kind != "cbind":
            Y = np.round((Y.T * self.sums.trials).T)
        Y = self.sums.of_counts(Y)
        return Y + noise(rng, Y.shape) if self.is_noisy else Y

    def with_noise(self) -> ResponseDraws:
        """Return the same draws, each number with noise added."""
        other = copy.copy(self)
        other.is_noisy, other._kept = True, None
        return other

    def is_discrete(self) -> bool:
        """Return whether the response and a draw are whole numbers."""
        draw = self.block((self.pieces[0][0], 1))
        return all(bool((values == np.round(values)).all()) for values in (self.observed, draw))

    def map(self, function: Callable[[FloatArray], R]) -> Iterator[R]:
        """Yield ``function(block)`` of all blocks in order."""
        if self._kept is None and self.sums.matrix.shape[0] * self.nsim <= KEPT:
            self._kept = list(in_order(self.block, self.pieces, self.jobs))
        if self._kept is None:
            yield from in_order(partial(_of_block, self, function), self.pieces, self.jobs)
        else:
            yield from map(function, self._kept)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be drawn again."""
        return self.__dict__ | {"_kept": None}


def _of_block(draws: ResponseDraws, function: Callable[[FloatArray], R], piece: Piece) -> R:
    return function(draws.block(piece))


def noise(rng: np.random.Generator, shape: int | tuple[int, ...]) -> FloatArray:
    """Return noise that fills the gaps between whole numbers, uniform on (-1/2, 1/2)."""
    return np.asarray(rng.uniform(-0.5, 0.5, shape))


def redrawn_terms(fit: Fit, kept: Sequence[BoolArray]) -> tuple[RandomTerm, ...]:
    """Return the random-effects terms with the columns that are drawn afresh; empty where none is."""
    if all(mask.all() for mask in kept):
        return ()
    return tuple(replace(term, Z=term.Z * ~mask) for term, mask in zip(fit.random, kept, strict=True))
