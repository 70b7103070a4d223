"""Write what ``mixedmodels certify`` counts, and each known difference, into docs/repeated_measures.md.

python tools/write_certification.py

Between its marks; the test suite checks that the page names every difference.
"""

from __future__ import annotations

import re
from pathlib import Path

from mixedmodels.certification.deviations import DEVIATIONS, deviations_of
from mixedmodels.certification.published import published_runs
from mixedmodels.certification.report import KINDS, Comparison, compare

PAGE = Path(__file__).resolve().parents[1] / "docs" / "repeated_measures.md"
TITLES = {
    "mmrm": "SAS PROC MIXED on the FEV trial: `us`, `toep`, `toeph`, `ar1`, `ar1h`, `cs`, `csh`, `adh`, "
    "`exp`, `gau`, `sp_pow`",
    "bioequivalence": "SPSS on replicate crossover trials: models A (least squares), B, C",
    "metida": "SPSS and Metida: structures of random effects beside those of residuals",
    "computed": "`bcva_data` (1,000 patients, ten visits; an independent fit) and Orthodont (the SAS manual)",
}


def counts(comparisons: list[Comparison]) -> str:
    """Return the table of counts."""
    lines = [
        "| what | runs | numbers | within tolerance | differ, named | missed |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for kind in KINDS:
        own = [c for c in comparisons if c.run.kind == kind]
        numbers = [
            sum(c.total for c in own),
            *(sum(c.count(v) for c in own) for v in ("ok", "named", "MISSED")),
        ]
        lines.append(f"| {TITLES[kind]} | {len(own)} | " + " | ".join(f"{n:,}" for n in numbers) + " |")
    return "\n".join(lines)


def differences(comparisons: list[Comparison]) -> str:
    """Return the table of known differences."""
    lines = ["| difference | runs | numbers | why |", "|---|---|--:|---|"]
    for each in DEVIATIONS:
        of_runs = {
            c.run.name: [n for n in c.numbers if n.verdict == "named" and n.reason == each.name]
            for c in comparisons
        }
        runs = [c.run.name for c in comparisons if each in deviations_of(c.run) and of_runs[c.run.name]]
        if runs:
            numbers = sum(1 + n.beyond for name in runs for n in of_runs[name])
            lines.append(f"| {each.name} | {', '.join(runs)} | {numbers} | {each.reason} |")
    return "\n".join(lines)


def main() -> None:
    """Compare all runs and write the two tables."""
    comparisons = [compare(run) for run in published_runs()]
    text = PAGE.read_text(encoding="utf-8")
    for mark, table in (("certify", counts(comparisons)), ("deviations", differences(comparisons))):
        pattern = rf"(<!-- {mark}:begin -->\n).*?(<!-- {mark}:end -->)"
        text = re.sub(
            pattern, lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text, flags=re.DOTALL
        )
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
