"""Count the work of some fits and compare it with what was committed: counts, which no busy machine disturbs.

python -m benchmarks.counts            # compare (make bench-check); status 1 where work has grown
python -m benchmarks.counts --write    # take what is counted now as the measure
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import mixedmodels as mm

BASELINE = Path(__file__).resolve().parent / "results" / "counts.json"
#: Growth that is no more than a helper function here or there; counts of arithmetic may not grow at all.
ROOM = {"python calls": 1.05, "modules of a first fit": 1.05}
#: Functions that factorize once, and that go once over the rows.
KINDS = {
    "factorizations": ("cholesky", "factorize", "solve_one_factor"),
    "passes over the rows": (
        "against",
        "plain_products",
        "sums",
        "sums_by",
        "transposed_times",
        "_faces",
        "_link",
    ),
}
PACKAGE = str(Path(mm.__file__).parent)

FIRST_FIT = """
import sys, pandas
from mixedmodels import lmer
lmer("y ~ x + (1 | g)", {"y": [1.0, 2, 4, 3, 5, 7.5], "x": [0.0, 1, 0, 1, 0, 1], "g": list("aabbcc")})
print(sum(n.startswith("mixedmodels") and type(m).__name__ != "_Deferred" for n, m in sys.modules.items()))
"""


def factor_frame() -> pd.DataFrame:
    """Return 50,000 rows with a factor of 50 levels in the fixed effects."""
    rng = np.random.default_rng(1)
    n = 50_000
    f, g, x = rng.integers(50, size=n), rng.integers(100, size=n), rng.normal(size=n)
    y = x + f / 50 + rng.normal(size=100)[g] + rng.normal(size=n)
    return pd.DataFrame({"y": y, "x": x, "g": g, "f": pd.Categorical([f"f{k}" for k in f])})


def models() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Return the fits that are counted: function and arguments."""
    sleep, cbpp = mm.load_dataset("sleepstudy"), mm.load_dataset("cbpp")
    ticks = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return {
        "sleepstudy": (mm.lmer, ("Reaction ~ Days + (Days | Subject)", sleep)),
        "Pastes": (mm.lmer, ("strength ~ 1 + (1 | sample) + (1 | batch)", mm.load_dataset("Pastes"))),
        "Penicillin": (mm.lmer, ("diameter ~ 1 + (1 | plate) + (1 | sample)", mm.load_dataset("Penicillin"))),
        "cbpp": (mm.glmer, (ticks, cbpp, "binomial")),
        "factor of 50 levels": (mm.lmer, ("y ~ x * f + (1 | g)", factor_frame())),
    }


def counted(function: Any, arguments: tuple[Any, ...]) -> dict[str, int]:
    """Return what a fit does the second time: evaluations, passes over the rows, calls within the package."""
    function(*arguments)
    calls: Counter[str] = Counter()

    def count(frame: Any, event: str, argument: Any) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(PACKAGE):
            return
        calls["python calls"] += 1
        for what, names in KINDS.items():
            calls[what] += frame.f_code.co_name in names

    sys.setprofile(count)
    try:
        model = function(*arguments)
    finally:
        sys.setprofile(None)
    return {"evaluations": int(model.optimization.n_evaluations), **dict(sorted(calls.items()))}


def count_all() -> dict[str, dict[str, int]]:
    """Return the counts of all fits, and how many modules a first fit reads."""
    found = {name: counted(*what) for name, what in models().items()}
    first = subprocess.run([sys.executable, "-c", FIRST_FIT], check=True, capture_output=True, text=True)
    return {**found, "first fit": {"modules of a first fit": int(first.stdout)}}


def grown(now: dict[str, dict[str, int]], before: dict[str, dict[str, int]]) -> list[str]:
    """Return what has grown."""
    return [
        f"{name}: {what} {before[name][what]} -> {count}"
        for name, counts in now.items()
        for what, count in counts.items()
        if count > before.get(name, {}).get(what, count) * ROOM.get(what, 1.0)
    ]


def main(arguments: list[str]) -> int:
    """Compare or write, and return the exit status."""
    now = count_all()
    if arguments == ["--write"]:
        BASELINE.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
        return 0
    before = json.loads(BASELINE.read_text(encoding="utf-8"))
    for name, counts in now.items():
        print(f"{name:22}", *(f"{what} {count}" for what, count in counts.items()), sep="  ")
    found = grown(now, before)
    print("\n".join(["more work than committed:", *found]) if found else "no more work than committed")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
