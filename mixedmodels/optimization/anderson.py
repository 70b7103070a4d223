"""Anderson's acceleration of a fixed-point iteration (Walker & Ni 2011, SIAM J. Numer. Anal. 49, 1715)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mixedmodels.arrays import FloatArray

#: Rounds that are remembered.
DEPTH = 5
#: Singular values of the remembered differences, relative to the largest, that are taken for zero.
RANK = 1e-10


@dataclass(slots=True)
class Anderson:
    """The last rounds of an iteration ``x -> g(x)``, and where they point.

    Examples
    --------
    >>> x, rounds = np.array([1.0, 1.0]), Anderson()
    >>> for _ in range(4):
    ...     x = rounds.next(x, np.array([0.9, 0.5]) * x + [0.1, 1.0])
    >>> x.round(6).tolist()
    [1.0, 2.0]
    """

    points: list[FloatArray] = field(default_factory=list)
    images: list[FloatArray] = field(default_factory=list)

    def next(self, x: FloatArray, image: FloatArray) -> FloatArray:
        """Return where to go on from x, whose image under the iteration is given."""
        self.points, self.images = [*self.points, x][-DEPTH:], [*self.images, image][-DEPTH:]
        if len(self.points) < 2:
            return image
        residuals = np.array(self.images) - np.array(self.points)
        moved = np.diff(residuals, axis=0)
        share = np.linalg.lstsq(moved.T, residuals[-1], rcond=RANK)[0]
        return np.asarray(image - share @ np.diff(np.array(self.images), axis=0))

    def forget(self) -> None:
        """Begin again."""
        self.points, self.images = [], []
