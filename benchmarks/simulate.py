"""Simulated data, seeded: every machine gets the same rows.

Grouping factors are categoricals with string levels, as they would be after reading a file in R. Each
function takes its sizes as arguments, so that tests can ask for small sets of the same shape.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def slopes(rows: int = 100_000, groups: int = 5_000, seed: int = 1) -> pd.DataFrame:
    """Simulate one factor with a correlated intercept and slope."""
    rng = np.random.default_rng(seed)
    g, x, eta = _intercept_and_slope(rng, rows, groups)
    return pd.DataFrame({"y": eta + rng.normal(size=rows), "x": x, "g": _factor(g, groups)})


def slopes_bernoulli(rows: int = 100_000, groups: int = 20_000, seed: int = 2) -> pd.DataFrame:
    """Simulate a binary response with a correlated intercept and slope."""
    rng = np.random.default_rng(seed)
    g, x, eta = _intercept_and_slope(rng, rows, groups)
    return pd.DataFrame({"y": _bernoulli(rng, eta), "x": x, "g": _factor(g, groups)})


def six_slopes(rows: int = 5_000, groups: int = 100, slopes: int = 6, seed: int = 3) -> pd.DataFrame:
    """Simulate one factor with an intercept and six (or another number of) slopes, all correlated."""
    rng = np.random.default_rng(seed)
    g, columns, eta = _many_slopes(rng, rows, groups, slopes)
    return pd.DataFrame({"y": eta + rng.normal(size=rows), **columns, "g": _factor(g, groups)})


def six_slopes_bernoulli(rows: int = 10_000, groups: int = 100, seed: int = 4) -> pd.DataFrame:
    """Simulate a binary response with an intercept and six slopes, all correlated."""
    rng = np.random.default_rng(seed)
    g, columns, eta = _many_slopes(rng, rows, groups)
    return pd.DataFrame({"y": _bernoulli(rng, eta), **columns, "g": _factor(g, groups)})


def crossed(rows: int = 300_000, a_levels: int = 6_000, b_levels: int = 1_500, seed: int = 5) -> pd.DataFrame:
    """Simulate two crossed factors, every row a random pair."""
    rng = np.random.default_rng(seed)
    columns, eta = _crossed_pairs(rng, rows, a_levels, b_levels)
    return pd.DataFrame({"y": eta + rng.normal(size=rows), **columns})


def crossed_bernoulli(
    rows: int = 40_000, a_levels: int = 1_000, b_levels: int = 200, seed: int = 6
) -> pd.DataFrame:
    """Simulate a binary response on two crossed factors."""
    rng = np.random.default_rng(seed)
    columns, eta = _crossed_pairs(rng, rows, a_levels, b_levels)
    return pd.DataFrame({"y": _bernoulli(rng, eta), **columns})


def forty_effects(rows: int = 20_000, groups: int = 500, effects: int = 40, seed: int = 7) -> pd.DataFrame:
    """Simulate a binary response with many fixed effects and one random intercept."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, effects))
    g = _balanced(rng, rows, groups)
    eta = X @ rng.normal(scale=0.2, size=effects) + rng.normal(size=groups)[g] - 0.5
    columns = {f"x{k + 1}": X[:, k] for k in range(effects)}
    return pd.DataFrame({"y": _bernoulli(rng, eta), **columns, "g": _factor(g, groups)})


def predictors(rows: int = 20_000, groups: int = 200, predictors: int = 100, seed: int = 15) -> pd.DataFrame:
    """Simulate one factor and many numeric predictors."""
    rng = np.random.default_rng(seed)
    X, g = rng.normal(size=(rows, predictors)), _balanced(rng, rows, groups)
    y = X @ rng.normal(size=predictors) / 10 + rng.normal(size=groups)[g] + rng.normal(size=rows)
    data = pd.DataFrame(X, columns=[f"x{k}" for k in range(1, predictors + 1)])
    return data.assign(y=y, g=_factor(g, groups))


def crossed_factors(rows: int = 30_000, factors: int = 3, levels: int = 300, seed: int = 16) -> pd.DataFrame:
    """Simulate several crossed factors of equal size."""
    rng = np.random.default_rng(seed)
    y, columns = rng.normal(size=rows), {}
    for k in range(factors):
        codes = _balanced(rng, rows, levels)
        y = y + rng.normal(scale=0.4 + 0.2 * k, size=levels)[codes]
        columns[f"g{k + 1}"] = _factor(codes, levels)
    return pd.DataFrame({"y": y, **columns})


def overdispersed(rows: int = 100_000, groups: int = 1_000, seed: int = 14) -> pd.DataFrame:
    """Simulate successes in 5 to 19 trials with probabilities that vary by row, and a random intercept."""
    rng = np.random.default_rng(seed)
    g = _balanced(rng, rows, groups)
    x = rng.normal(size=rows)
    mean = 1.0 / (1.0 + np.exp(0.3 - 0.5 * x - rng.normal(scale=0.6, size=groups)[g]))
    trials = rng.integers(5, 20, size=rows)
    y = rng.binomial(trials, rng.beta(8.0 * mean, 8.0 * (1.0 - mean)))
    return pd.DataFrame({"y": y, "size": trials, "x": x, "g": _factor(g, groups)})


def films(rows: int = 1_000_209, users: int = 6_040, films: int = 3_706, seed: int = 8) -> pd.DataFrame:
    """Simulate ratings 1 to 5 of distinct films; most users rate few, a few films have most ratings.

    The shape is that of public collections of a million film ratings: at least 20 films a user, a median near
    100, some above 2,000; every film is rated.
    """
    rng = np.random.default_rng(seed)
    counts = _skewed_counts(rng, rows, users, films)
    user = np.repeat(np.arange(users), counts)
    film = _skewed_choices(rng, counts, films)
    film = _cover_all(rng, film, films)
    latent = 3.6 + rng.normal(scale=0.45, size=users)[user] + rng.normal(scale=0.6, size=films)[film]
    rating = np.clip(np.rint(latent + rng.normal(scale=0.9, size=rows)), 1, 5)
    return pd.DataFrame({"y": rating, "user": _factor(user, users), "film": _factor(film, films)})


def nested(
    schools: int = 200, classes: int = 5_000, pupils: int = 100_000, repeats: int = 10, seed: int = 9
) -> pd.DataFrame:
    """Simulate pupils in classes in schools, each pupil measured several times."""
    rng = np.random.default_rng(seed)
    class_of = np.sort(_balanced(rng, pupils, classes))
    school_of = np.sort(_balanced(rng, classes, schools))
    pupil = np.repeat(np.arange(pupils), repeats)
    klass = class_of[pupil]
    school = school_of[klass]
    x = rng.normal(size=pupil.size)
    eta = 1.0 + 0.5 * x + rng.normal(scale=0.4, size=schools)[school]
    eta += rng.normal(scale=0.5, size=classes)[klass] + rng.normal(scale=0.8, size=pupils)[pupil]
    order = rng.permutation(pupil.size)
    return pd.DataFrame(
        {
            "y": (eta + rng.normal(size=pupil.size))[order],
            "x": x[order],
            "school": _factor(school[order], schools),
            "class": _factor(klass[order], classes),
            "pupil": _factor(pupil[order], pupils),
        }
    )


def teachers(pupils: int = 60_000, teachers: int = 12_000, repeats: int = 5, seed: int = 10) -> pd.DataFrame:
    """Simulate pupils who meet 2 to 4 teachers each, near ones likeliest: an almost banded crossing."""
    rng = np.random.default_rng(seed)
    pupil = np.repeat(np.arange(pupils), repeats)
    home = rng.uniform(0.0, teachers, size=pupils)
    met = np.rint(home[:, None] + rng.normal(scale=10.0, size=(pupils, 4))).astype(np.int64) % teachers
    how_many = rng.integers(2, 5, size=pupils)
    teacher = met[pupil, rng.integers(0, how_many[pupil])]
    x = rng.normal(size=pupil.size)
    eta = 0.5 * x + rng.normal(scale=0.8, size=pupils)[pupil] + rng.normal(scale=0.5, size=teachers)[teacher]
    return pd.DataFrame(
        {
            "y": eta + rng.normal(size=pupil.size),
            "x": x,
            "pupil": _factor(pupil, pupils),
            "teacher": _factor(teacher, teachers),
        }
    )


def districts(
    districts: int = 300, teachers: int = 40, pupils: int = 60_000, moves: int = 60, seed: int = 13
) -> pd.DataFrame:
    """Simulate pupils with three lessons in one district each; a few lessons are given far away."""
    rng = np.random.default_rng(seed)
    pupil = np.repeat(np.arange(pupils), 3)
    home = np.sort(rng.integers(0, districts, size=pupils))
    teacher = home[pupil] * teachers + rng.integers(0, teachers, size=pupil.size)
    teacher[rng.integers(0, pupil.size, size=moves)] = rng.integers(0, districts * teachers, size=moves)
    levels = districts * teachers
    x = rng.normal(size=pupil.size)
    eta = 0.5 * x + rng.normal(scale=0.8, size=pupils)[pupil] + rng.normal(scale=0.5, size=levels)[teacher]
    return pd.DataFrame(
        {
            "y": eta + rng.normal(size=pupil.size),
            "x": x,
            "pupil": _factor(pupil, pupils),
            "teacher": _factor(teacher, levels),
        }
    )


def small_linear(seed: int = 11) -> pd.DataFrame:
    """Simulate the sixty rows every contestant warms up on."""
    return slopes(rows=60, groups=10, seed=seed)


def small_binary(seed: int = 12) -> pd.DataFrame:
    """Simulate the two hundred binary rows every contestant warms up on."""
    return slopes_bernoulli(rows=200, groups=20, seed=seed)


SIMULATIONS: dict[str, Callable[..., pd.DataFrame]] = {
    function.__name__: function
    for function in (
        slopes,
        slopes_bernoulli,
        six_slopes,
        six_slopes_bernoulli,
        crossed,
        crossed_bernoulli,
        forty_effects,
        predictors,
        crossed_factors,
        overdispersed,
        films,
        nested,
        teachers,
        districts,
        small_linear,
        small_binary,
    )
}


def _factor(codes: IntArray, levels: int) -> pd.Categorical:
    """Turn integer codes into a categorical with string levels, those that occur, in order of the codes."""
    width = len(str(levels - 1))
    names = np.array([f"{k:0{width}d}" for k in range(levels)], dtype=object)
    return pd.Categorical.from_codes(codes, categories=pd.Index(names)).remove_unused_categories()


def _balanced(rng: np.random.Generator, rows: int, groups: int) -> IntArray:
    """Assign rows to groups at random, every group at least once and almost equally often."""
    groups_in_turn = np.arange(rows, dtype=np.int64) % groups
    return groups_in_turn[rng.permutation(rows)]


def _bernoulli(rng: np.random.Generator, eta: FloatArray) -> IntArray:
    return (rng.uniform(size=eta.size) < 1.0 / (1.0 + np.exp(-eta))).astype(np.int64)


def _intercept_and_slope(
    rng: np.random.Generator, rows: int, groups: int
) -> tuple[IntArray, FloatArray, FloatArray]:
    g = _balanced(rng, rows, groups)
    x = rng.normal(size=rows)
    b = rng.normal(size=(groups, 2)) @ np.array([[0.8, 0.2], [0.0, 0.5]])
    return g, x, 0.3 + 0.5 * x + b[g, 0] + b[g, 1] * x


def _many_slopes(
    rng: np.random.Generator, rows: int, groups: int, slopes: int = 6
) -> tuple[IntArray, dict[str, FloatArray], FloatArray]:
    g = _balanced(rng, rows, groups)
    X = np.column_stack([np.ones(rows), rng.normal(size=(rows, slopes))])
    T = np.tril(rng.normal(scale=0.15, size=(slopes + 1, slopes + 1))) + 0.5 * np.eye(slopes + 1)
    b = rng.normal(size=(groups, slopes + 1)) @ T.T
    eta = np.einsum("ij,ij->i", X, b[g] + rng.normal(scale=0.5, size=slopes + 1))
    return g, {f"x{k}": X[:, k] for k in range(1, slopes + 1)}, eta


def _crossed_pairs(
    rng: np.random.Generator, rows: int, a_levels: int, b_levels: int
) -> tuple[dict[str, FloatArray | pd.Categorical], FloatArray]:
    a, b = _balanced(rng, rows, a_levels), _balanced(rng, rows, b_levels)
    x = rng.normal(size=rows)
    eta = 0.2 + 0.4 * x + rng.normal(scale=0.8, size=a_levels)[a] + rng.normal(scale=0.5, size=b_levels)[b]
    return {"x": x, "a": _factor(a, a_levels), "b": _factor(b, b_levels)}, eta


def _skewed_counts(
    rng: np.random.Generator, rows: int, users: int, films: int, at_least: int = 20
) -> IntArray:
    """Draw how many films each user rates: log-normal above ``at_least``, adding up to ``rows``."""
    excess = rng.lognormal(mean=4.2, sigma=1.15, size=users)
    low, high = 0.0, 10.0 * rows / users
    limit = int(0.65 * films)
    for _ in range(60):
        scale = 0.5 * (low + high)
        counts = np.clip(at_least + np.floor(scale * excess), at_least, limit).astype(np.int64)
        low, high = (scale, high) if counts.sum() < rows else (low, scale)
    counts = np.clip(at_least + np.floor(low * excess), at_least, limit).astype(np.int64)
    short = rows - int(counts.sum())
    room = np.flatnonzero(counts < limit)
    added = np.bincount(room[np.arange(short) % room.size], minlength=users)
    return np.asarray(counts + added, dtype=np.int64)


def _skewed_choices(rng: np.random.Generator, counts: IntArray, films: int) -> IntArray:
    """Draw each user's distinct films, popular ones likeliest (Gumbel keys, the largest are taken)."""
    popularity = np.sort(rng.gamma(0.45, size=films))[::-1] + 1e-4
    log_weight = np.log(popularity)
    chosen = []
    for count in counts:
        keys = log_weight + rng.gumbel(size=films)
        chosen.append(np.argpartition(keys, films - count)[films - count :])
    return np.concatenate(chosen)


def _cover_all(rng: np.random.Generator, film: IntArray, films: int) -> IntArray:
    """Give every film nobody chose the place of another one that is chosen again elsewhere."""
    film = film.copy()
    chosen, first = np.unique(film, return_index=True)
    missing = np.setdiff1d(np.arange(films), chosen)
    spare = np.setdiff1d(np.arange(film.size), first)
    film[rng.choice(spare, size=missing.size, replace=False)] = missing
    return film
