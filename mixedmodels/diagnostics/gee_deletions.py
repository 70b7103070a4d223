"""Coefficients of a marginal model without some of its rows, in one step of its estimating equations.

Preisser & Qaqish (1996, Biometrika 83, 551-562): from the solution of all rows, scale and working correlation
as they are, one step of Fisher scoring with the score and the information of the rows that are left. Of a
group that loses some of its rows, the others keep their part of the working covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixedmodels.arrays import BoolArray, FloatArray, IntArray
from mixedmodels.engines.gee.correlation.structure import correlation_matrices
from mixedmodels.engines.gee.problem import row_order
from mixedmodels.errors import NotAvailableError
from mixedmodels.fits.gee import GeeFit

#: Reciprocal condition of the information, scaled to unit diagonal, below which it says nothing of a column.
SINGULAR = 1e-12


@dataclass(frozen=True, slots=True)
class _Part:
    """Information (p, p) and score (p,) of some rows of a group, at scale 1."""

    information: FloatArray
    score: FloatArray


class GeeDeletions:
    """Deletes rows of a marginal model in one step.

    Parameters
    ----------
    fit : GeeFit
        The model.

    Raises
    ------
    NotAvailableError
        If its covariance is one of those that correct for small samples, which one step has none of.
    """

    def __init__(self, fit: GeeFit) -> None:
        if fit.cov_type not in ("robust", "naive"):
            raise NotAvailableError(
                f"method='one-step' has the covariances 'robust' and 'naive'; this fit has {fit.cov_type!r}. "
                "Fit with cov_type='robust', or take method='exact'."
            )
        self.fit, problem, scores = fit, fit.problem, fit.scores
        order = row_order(fit.groups.codes, fit.groups.positions, fit.prior_weights)
        self.place = np.full(len(fit.y), -1)
        self.place[order] = np.arange(len(order))
        root = np.sqrt(problem.weights)
        self.D, self.r = scores.point.D * root[:, None], scores.point.r * root
        self.information: FloatArray = np.asarray(scores.phi * np.linalg.inv(scores.bread), dtype=np.float64)
        self.scores = scores.phi * scores.scores
        self.score = self.scores.sum(axis=0)
        self.meat = self.scores.T @ self.scores

    def without(self, rows: IntArray) -> tuple[FloatArray, FloatArray] | None:
        """Return coefficients (p,) and their covariance (p, p) without some rows.

        None where the others do not determine them all.
        """
        deleted = np.zeros(len(self.r), dtype=bool)
        places = self.place[rows]
        deleted[places[places >= 0]] = True
        information, score, meat = self.information, self.score, self.meat
        for group in np.unique(self.fit.problem.grouping.group_of_row[deleted]).tolist():
            before, after = self._part(group, None), self._part(group, deleted)
            information = information - before.information + after.information
            score = score - before.score + after.score
            meat = meat - np.outer(before.score, before.score) + np.outer(after.score, after.score)
        return self._stepped(information, score, meat)

    def _part(self, group: int, deleted: BoolArray | None) -> _Part:
        """Return what a group adds, with all rows or those that are not deleted."""
        fit, grouping = self.fit, self.fit.problem.grouping
        rows = grouping.starts[group] + np.arange(grouping.sizes[group])
        rows = rows if deleted is None else rows[~deleted[rows]]
        p = self.D.shape[1]
        if not len(rows):
            return _Part(np.zeros((p, p)), np.zeros(p))
        positions = grouping.positions[rows][None]
        R = correlation_matrices(fit.correlation, fit.solution.alpha, positions)[0]
        D = self.D[rows]
        solved = np.linalg.solve(R, np.column_stack([D, self.r[rows]]))
        return _Part(D.T @ solved[:, :-1], D.T @ solved[:, -1])

    def _stepped(
        self, information: FloatArray, score: FloatArray, meat: FloatArray
    ) -> tuple[FloatArray, FloatArray] | None:
        size = np.sqrt(np.maximum(information.diagonal(), 0.0))
        if not size.all() or (size <= SINGULAR * np.sqrt(self.information.diagonal())).any():
            return None
        scaled = information / np.multiply.outer(size, size)
        if np.linalg.eigvalsh(scaled)[0] < SINGULAR:
            return None
        inverse = np.linalg.inv(scaled) / np.multiply.outer(size, size)
        beta = self.fit.beta + inverse @ score
        if self.fit.cov_type == "naive":
            return beta, self.fit.scores.phi * inverse
        return beta, inverse @ meat @ inverse
