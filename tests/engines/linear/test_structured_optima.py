"""Structured terms with deviations of their own have several optima, and the lowest is found."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

DATA = Path(__file__).parent / "data"
# What counts as the same optimum, in units of the objective.
WITHIN = 1e-4
AR1, CS = "ar1(0 + f | g, hom = FALSE)", "cs(0 + f | g)"
#: Data, formula, arguments, the correlation by lag or the same for all pairs, and parameters near the lowest
#: optimum; the search from the data ends 4.0, 1.2 and 1.3 above it.
CASES = (
    ("cs_weighted", f"y ~ x + {CS}", {"weights": "w", "offset": "off"}, (0.0, 1.091, 0.950, 0.716, 1.0)),
    ("cs", f"y ~ x + f + {CS}", {}, (0.0, 0.3626, 0.0031, 0.369, 1.0)),
    ("hetar1", f"y ~ x + f + {AR1}", {}, (0.3106, 0.0, 0.1891, 0.5803, -1.0)),
)


def _dense_reml(data, formula, theta):
    """Return the REML criterion of ``(0 + f | g)`` from the covariance of the rows, sigma profiled out."""
    f, g = pd.factorize(data.f, sort=True)[0], data.g.to_numpy()
    lag = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    sd, rho = np.array(theta[:-1]), theta[-1]
    R = np.where(lag > 0, rho if "cs(" in formula else rho ** lag.astype(float), 1.0)
    between = (np.multiply.outer(sd, sd) * R)[np.ix_(f, f)] * np.equal.outer(g, g)
    V = between + np.diag(1.0 / (data.w if "w" in data else np.ones(len(data))))
    columns = [
        np.ones(len(data)),
        data.x,
        *((f == k).astype(float) for k in (1, 2, 3) if "+ f" in formula[:9]),
    ]
    X, y = np.column_stack(columns), data.y - (data.off if "off" in data else 0.0)
    L = np.linalg.cholesky(V)
    Q, R = np.linalg.qr(np.linalg.solve(L, X))
    e = np.linalg.solve(L, y)
    df = len(y) - X.shape[1]
    rss = float(e @ e - (Q.T @ e) @ (Q.T @ e))
    log_det = 2.0 * np.log(L.diagonal()).sum() + 2.0 * np.log(np.abs(R.diagonal())).sum()
    return log_det + df * (1.0 + np.log(2.0 * np.pi * rss / df))


@pytest.mark.parametrize(("name", "formula", "arguments", "theta"), CASES)
def test_the_lowest_optimum_of_a_structured_term_is_found(name, formula, arguments, theta):
    data = pd.read_csv(DATA / f"second_optimum_{name}.csv")
    fit = mm.lmer(formula, data, **arguments)
    found = tuple(fit.theta())
    assert fit.REMLcrit() == pytest.approx(_dense_reml(data, formula, found), abs=1e-6)
    assert fit.REMLcrit() <= _dense_reml(data, formula, theta) + WITHIN
    assert fit.convergence().verdict == "boundary"


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("term", [AR1, CS])
@pytest.mark.filterwarnings("ignore::mixedmodels.ConvergenceWarning")
def test_no_other_start_leads_lower(seed, term):
    rng = np.random.default_rng([94, seed])
    q = int(rng.integers(5, 12))
    n = 8 * q
    g, f, x = np.repeat(np.arange(q), 8), np.tile(np.arange(8) % 4, q), rng.normal(size=n)
    sd = 10.0 ** rng.uniform(-1.0, 0.5, 2)
    y = x + sd[0] * rng.normal(size=q)[g] + sd[1] * rng.normal(size=(q, 4))[g, f] + rng.normal(size=n)
    data = pd.DataFrame({"y": y, "x": x, "f": np.array(list("abcd"))[f], "g": g.astype(str)})
    fit = mm.lmer(f"y ~ x + {term}", data)
    for size, rho in ((0.1, 0.7), (1.0, -0.2), (5.0, 0.5)):
        other = mm.lmer(f"y ~ x + {term}", data, start=[size] * 4 + [rho])
        assert fit.REMLcrit() <= other.REMLcrit() + WITHIN
