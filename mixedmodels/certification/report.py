"""Compare all numbers of a run and lay the comparison out as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mixedmodels.certification.bioequivalence import bioequivalence
from mixedmodels.certification.computed import computed
from mixedmodels.certification.deviations import with_reasons
from mixedmodels.certification.general import general
from mixedmodels.certification.numbers import Number
from mixedmodels.certification.published import PublishedRun
from mixedmodels.certification.repeated_measures import repeated_measures

KINDS = {
    "mmrm": repeated_measures,
    "bioequivalence": bioequivalence,
    "metida": general,
    "computed": computed,
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """All numbers of a run beside ours."""

    run: PublishedRun
    numbers: tuple[Number, ...]

    def count(self, verdict: str) -> int:
        """Return how many printed numbers have a verdict."""
        if verdict == "ok":
            return self.total - self.count("named") - self.count("MISSED")
        return sum(1 + n.beyond for n in self.numbers if n.verdict == verdict)

    @property
    def total(self) -> int:
        """How many printed numbers there are."""
        return sum(n.count for n in self.numbers)


def compare(run: PublishedRun) -> Comparison:
    """Compute every number of a run and set it beside the printed one."""
    return Comparison(run, tuple(with_reasons(run, KINDS[run.kind](run))))


def comparison_text(comparison: Comparison) -> str:
    """Lay out one run: its head, and a line for each number."""
    run, numbers = comparison.run, comparison.numbers
    width = max(len(n.quantity) for n in numbers)
    head = f"{'':{width}}  {'published':>18} {'ours':>18} {'difference':>11} {'tolerance':>9}  verdict"
    return "\n".join([f"{run.name} ({run.source})", head, *(_line(n, width) for n in numbers)])


def _line(n: Number, width: int) -> str:
    verdict = f"named: {n.reason}" if n.verdict == "named" else n.verdict
    start = f"{n.quantity:{width}}  {n.printed:>18} {n.ours:18.12g}"
    return f"{start} {n.difference:11.2g} {max(n.above, n.below):9.2g}  {verdict}"


def summary_text(comparisons: Sequence[Comparison]) -> str:
    """Lay out the counts: of each kind of run, and of each reason why numbers differ."""
    lines = [f"{'':16} {'runs':>5} {'numbers':>8} {'ok':>8} {'named':>6} {'missed':>6}"]
    for kind in KINDS:
        own = [c for c in comparisons if c.run.kind == kind]
        if own:
            counts = [sum(c.count(verdict) for c in own) for verdict in ("ok", "named", "MISSED")]
            total = sum(c.total for c in own)
            lines.append(f"{kind:16} {len(own):5d} {total:8d} {counts[0]:8d} {counts[1]:6d} {counts[2]:6d}")
    reasons: Counter[str] = Counter()
    for n in (n for c in comparisons for n in c.numbers if n.verdict == "named"):
        reasons[n.reason] += 1 + n.beyond
    lines += [f"{count:6d} differ: {reason}" for reason, count in reasons.items()]
    return "\n".join(lines)
