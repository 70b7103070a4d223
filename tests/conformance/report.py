"""Lay out the results: counts by category, then every failure and everything set aside with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.conformance.result import Result


def counts_text(title: str, results: Sequence[Result]) -> str:
    """Return a table of how many hold, fail and are set aside in each category."""
    categories = sorted({result.category for result in results})
    rows = [(name, [r for r in results if r.category == name]) for name in categories] + [
        ("all", list(results))
    ]
    lines = [f"{title:32} {'holds':>6} {'fails':>6} {'aside':>6} {'of':>5} {'seconds':>8}"]
    for name, members in rows:
        count = Counter(result.verdict for result in members)
        seconds = sum(result.seconds for result in members)
        verdicts = f"{count['holds']:6} {count['fails']:6} {count['aside']:6}"
        lines.append(f"{name:32} {verdicts} {len(members):5} {seconds:8.1f}")
    return "\n".join(lines)


def details_text(results: Sequence[Result]) -> str:
    """Return the failures, a line for each reason, and the cases set aside, by reason."""
    lines = ["Failures"]
    for result in results:
        by_reason: dict[str, list[str]] = {}
        for check in result.checks:
            if check.verdict == "fails":
                by_reason.setdefault(check.reason, []).append(check.quantity)
        for reason, quantities in by_reason.items():
            lines.append(
                f"  {result.id} [{result.category}] {', '.join(dict.fromkeys(quantities))}: {reason}"
            )
    lines += ["", "Set aside"]
    reasons: dict[str, list[str]] = {}
    for result in results:
        for reason in dict.fromkeys(check.reason for check in result.checks if check.verdict == "aside"):
            reasons.setdefault(reason, []).append(result.id)
    lines += [f"  {reason}: {', '.join(ids)}" for reason, ids in reasons.items()]
    slow = sorted(results, key=lambda result: -result.seconds)[:10]
    lines += ["", "Slowest", *(f"  {result.seconds:6.2f} s  {result.id}" for result in slow)]
    return "\n".join(lines)
