"""Whose optimum is worse than the best, who is fastest, who met the target."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.records import Record
from benchmarks.suite import Model

OURS = "mixedmodels"

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
    threaded : Record, or None
        Our own record with more threads.
    """

    model: Model
    records: dict[str, Record]
    best: float | None
    excess: dict[str, float]
    threaded: Record | None = None

    @property
    def flagged(self) -> tuple[str, ...]:
        """Contestants whose objective is worse than the best by more than the tolerance, or not finite."""
        return tuple(name for name, excess in self.excess.items() if not excess <= TOLERANCE)

    def fastest_other(self, ours: str = OURS) -> Record | None:
        """Return the fastest record of another contestant that is not flagged."""
        others = [
            record
            for name, record in self.records.items()
            if name != ours and name in self.excess and name not in self.flagged
        ]
        return min(others, key=lambda record: record.quoted or float("inf"), default=None)

    def ratio(self, slow: str, fast: str = OURS) -> float | None:
        """Return how many times longer one contestant takes than another."""
        pair = self.records.get(slow), self.records.get(fast)
        if pair[0] is None or pair[1] is None or not pair[0].quoted or not pair[1].quoted:
            return None
        return pair[0].quoted / pair[1].quoted

    def gain(self) -> float | None:
        """Return how many times shorter our least wall clock is with more threads."""
        alone, threaded = self.records.get(OURS), self.threaded
        if alone is None or threaded is None or not alone.fastest or not threaded.fastest:
            return None
        return alone.fastest / threaded.fastest

    def target_met(self, ours: str = OURS) -> bool | None:
        """Tell whether our time is within the target; None where there is no target or no time."""
        record = self.records.get(ours)
        if record is None or record.quoted is None or self.model.target_seconds is None:
            return None
        return record.quoted <= self.model.target_seconds


def compare(records: Iterable[Record], models: Iterable[Model]) -> list[Row]:
    """Gather records by model, in the order of the models; models without a record are left out.

    Everyone is compared with the smallest number of threads in the records: like with like.
    """
    kept = list(records)
    fewest = min((record.threads for record in kept), default=1)
    by_model: dict[str, dict[str, Record]] = {}
    threaded: dict[str, Record] = {}
    for record in kept:
        if record.threads == fewest:
            by_model.setdefault(record.model, {})[record.contestant] = record
        elif record.contestant == OURS:
            threaded[record.model] = record
    return [
        _row(model, by_model[model.id], threaded.get(model.id)) for model in models if model.id in by_model
    ]


def _row(model: Model, records: dict[str, Record], threaded: Record | None) -> Row:
    reached = {
        name: record.objective
        for name, record in records.items()
        if record.status == "ok" and record.objective is not None
    }
    finite = [objective for objective in reached.values() if objective == objective]
    best = min(finite, default=None)
    excess = {} if best is None else {name: objective - best for name, objective in reached.items()}
    return Row(model, records, best, excess, threaded)
