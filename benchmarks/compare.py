"""Whose optimum is worse than the best, who is fastest, who met the target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.records import Record
from benchmarks.suite import Model

TOLERANCE = 1e-3
"""An objective above the best by more than this is flagged: far above rounding on any scale."""


@dataclass(frozen=True, slots=True)
class Row:
    """The records of one model, compared.

    Attributes
    ----------
    model : Model
        Row of the suite.
    records : dict of str to Record
        Per contestant.
    best : float, or None
        The lowest objective of all.
    excess : dict of str to float
        Objective minus the best, of those who finished.
    """

    model: Model
    records: dict[str, Record]
    best: float | None
    excess: dict[str, float]

    @property
    def flagged(self) -> tuple[str, ...]:
        """Contestants whose objective is worse than the best by more than the tolerance, or not finite."""
        return tuple(name for name, excess in self.excess.items() if not excess <= TOLERANCE)

    def fastest_other(self, ours: str = "mixedmodels") -> Record | None:
        """Return the fastest record of another contestant that is not flagged."""
        others = [
            record
            for name, record in self.records.items()
            if name != ours and name in self.excess and name not in self.flagged
        ]
        return min(others, key=lambda record: record.quoted or float("inf"), default=None)

    def ratio(self, slow: str, fast: str = "mixedmodels") -> float | None:
        """Return how many times longer one contestant takes than another."""
        pair = self.records.get(slow), self.records.get(fast)
        if pair[0] is None or pair[1] is None or not pair[0].quoted or not pair[1].quoted:
            return None
        return pair[0].quoted / pair[1].quoted

    def target_met(self, ours: str = "mixedmodels") -> bool | None:
        """Tell whether our time is within the target; None where there is no target or no time."""
        record = self.records.get(ours)
        if record is None or record.quoted is None or self.model.target_seconds is None:
            return None
        return record.quoted <= self.model.target_seconds


def compare(records: Iterable[Record], models: Iterable[Model]) -> list[Row]:
    """Gather records by model, in the order of the models; models without a record are left out."""
    by_model: dict[str, dict[str, Record]] = {}
    for record in records:
        by_model.setdefault(record.model, {})[record.contestant] = record
    return [_row(model, by_model[model.id]) for model in models if model.id in by_model]


def _row(model: Model, records: dict[str, Record]) -> Row:
    reached = {
        name: record.objective
        for name, record in records.items()
        if record.status == "ok" and record.objective is not None
    }
    finite = [objective for objective in reached.values() if objective == objective]
    best = min(finite, default=None)
    excess = {} if best is None else {name: objective - best for name, objective in reached.items()}
    return Row(model, records, best, excess)
