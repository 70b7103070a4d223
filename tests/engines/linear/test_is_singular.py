"""Whether a fit is singular: lme4's answer in plain units, and the same in all others.

`data/is_singular.csv` holds 24 models in six systems of units each, with what `isSingular` of lme4 1.1 says
and the criteria of both. lme4 agrees in plain units; in others its answer changes for 14 of the 24.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

SURVEY = pd.read_csv(Path(__file__).parent / "data" / "is_singular.csv")
pytestmark = pytest.mark.filterwarnings("ignore::mixedmodels.IdentificationWarning")


def drawn(seed, x_unit, weight_unit):
    """Return a random design of two crossed factors with the units asked for."""
    rng = np.random.default_rng(seed)
    q = int(rng.integers(6, 25))
    g = np.repeat(np.arange(q), int(rng.integers(3, 8)))
    n = len(g)
    h = rng.integers(0, 6, n)
    x = rng.normal(size=n) + rng.choice([0, 3])
    sd = rng.choice([0, 0.05, 0.3, 1], 2)
    b = rng.normal(size=(q, 2)) * sd
    c = rng.normal(size=6) * rng.choice([0, 0.5])
    y = 1 + 0.5 * x + b[g, 0] + b[g, 1] * x + c[h] + rng.normal(size=n)
    w = rng.uniform(0.5, 2, n) * weight_unit
    return pd.DataFrame({"y": y, "x": x * x_unit, "g": pd.Categorical(g), "h": pd.Categorical(h), "w": w})


@pytest.mark.parametrize("seed", sorted(SURVEY.seed.unique()))
def test_units_do_not_matter(seed):
    rows = SURVEY[SURVEY.seed == seed]
    plain = rows[(rows.x_unit == 1) & (rows.weight_unit == 1)].iloc[0]
    for row in rows.itertuples():
        model = mm.lmer(row.formula, drawn(seed, row.x_unit, row.weight_unit), weights="w")
        assert model.is_singular() == plain.lme4
        assert model.REMLcrit() == pytest.approx(row.criterion, rel=1e-5)
        assert model.REMLcrit() < row.lme4_criterion * (1 + 1e-5)
