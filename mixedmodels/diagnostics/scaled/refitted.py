"""Residuals of the model refitted to responses drawn from it: a parametric bootstrap of the residuals."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from mixedmodels.arrays import FloatArray
from mixedmodels.diagnostics.scaled.draws import Piece, ResponseDraws, noise
from mixedmodels.errors import ConvergenceError, ConvergenceWarning, warn
from mixedmodels.fits.fit import Fit
from mixedmodels.inference.refits import attempt
from mixedmodels.parallel import in_order
from mixedmodels.progress import Progress

R = TypeVar("R")
#: Draws of one piece of work: each takes its time.
REFITS = 10


class RefittedResiduals:
    """Residuals of a fit, and of refits to responses drawn from it.

    Parameters
    ----------
    draws : ResponseDraws
        The responses, in blocks of a few.
    progress : bool, optional
        Whether to draw a bar.

    Attributes
    ----------
    observed : ndarray, shape (m,)
        Sums by group of the residuals of the fit.
    simulated : ndarray, shape (m, nsim)
        Those of the refits.
    chisq : float
        Sum of squared Pearson residuals of the fit.
    simulated_chisq : ndarray, shape (nsim,)
        Those of the refits.
    """

    def __init__(self, draws: ResponseDraws, progress: bool | None) -> None:
        self.observed, self.chisq = _residuals(draws.fit, draws)
        found: list[tuple[FloatArray, float]] = []
        with Progress(draws.nsim, progress, "scaled_residuals") as bar:
            for part, (_, count) in zip(
                in_order(_Refits(draws), draws.pieces, draws.jobs), draws.pieces, strict=True
            ):
                found.extend(part)
                bar.add(count)
        if not found:
            raise ConvergenceError(
                "none of the simulated responses could be fitted: refit=False needs no fit."
            )
        if len(found) < draws.nsim:
            warn(
                f"{draws.nsim - len(found)} of {draws.nsim} simulated responses could not be fitted; what is "
                "returned rests on the others.",
                ConvergenceWarning,
            )
        self.simulated = np.column_stack([residuals for residuals, _ in found])
        self.simulated_chisq = np.array([chisq for _, chisq in found])

    def add_noise(self, rng: np.random.Generator) -> None:
        """Add noise to the residuals of whole numbers, which otherwise move together."""
        self.observed = self.observed + noise(rng, self.observed.shape)
        self.simulated += noise(rng, self.simulated.shape)

    @property
    def nsim(self) -> int:
        """Number of refits."""
        return len(self.simulated_chisq)

    def map(self, function: Callable[[FloatArray], R]) -> Iterator[R]:
        """Yield ``function(residuals)`` of all refits together."""
        yield function(self.simulated)


class _Refits:
    """One piece of work: refits to a block of responses."""

    def __init__(self, draws: ResponseDraws) -> None:
        self.draws = draws

    def __call__(self, piece: Piece) -> list[tuple[FloatArray, float]]:
        fit, Y = self.draws.fit, self.draws.responses(copy.deepcopy(piece[0]), piece[1])
        fits = [attempt(lambda y=y: fit.refit(y)) for y in Y.T]  # type: ignore[misc]
        return [_residuals(found, self.draws) for found in fits if not isinstance(found, str)]


def _residuals(fit: Fit, draws: ResponseDraws) -> tuple[FloatArray, float]:
    """Return the residuals as they are compared, and the sum of squared Pearson residuals."""
    chisq = float(np.sum(fit._raw_residuals("pearson") ** 2))
    return draws.sums(fit.y - fit.mean), chisq
