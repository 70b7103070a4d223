"""What building a design costs."""

import time
import tracemalloc

import numpy as np
import pandas as pd

from mixedmodels.formula import build_design

# The promise to users is 3 ms for sleepstudy; the best of many runs is near 0.3 ms on an idle machine.
SLEEPSTUDY_SECONDS = 0.003
# Beyond the data themselves, at the peak: codes, response, intercept and temporaries.
MEMORY_TIMES_DATA = 3.0


def test_small_designs_take_no_time(sleepstudy):
    best = np.inf
    for _ in range(50):
        begin = time.perf_counter()
        build_design("Reaction ~ Days + (Days | Subject)", sleepstudy)
        best = min(best, time.perf_counter() - begin)
    assert best < SLEEPSTUDY_SECONDS


def test_large_designs_take_little_memory():
    n = 400_000
    rng = np.random.default_rng(0)
    data = pd.DataFrame(
        {"y": rng.normal(size=n), "a": rng.integers(0, 20_000, n), "b": rng.integers(0, 1000, n)}
    )
    tracemalloc.start()
    design = build_design("y ~ 1 + (1 | a) + (1 | b)", data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert design.n_rows == n
    assert peak < MEMORY_TIMES_DATA * data.memory_usage(index=False).sum()
