"""Hypotheses of type I, II and III: what they are, by other routes; what R's lmerTest and car find."""

from __future__ import annotations

import itertools
import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.formula import build_design
from mixedmodels.formula.design.new_data import fixed_matrix

FOLDER = Path(__file__).parent / "unbalanced"
R_TESTS = json.loads((FOLDER / "tests.json").read_text(encoding="utf-8"))
FACTORS = ("a", "b", "c", "ao")
# lmerTest takes a matrix such as poly(x, 2) for a factor, so that its type II of `a` in a * poly(x, 2) is not
# adjusted for the interaction, as it is in a * x.
NOT_OURS = {("y ~ a*poly(x,2) + (1|g)", "anova2", "a")}
# The optimum in R is good to this share of F and the degrees of freedom.
R_OPTIMUM = 1e-5


@cache
def unbalanced() -> pd.DataFrame:
    data = pd.read_csv(FOLDER / "data.csv", dtype={"g": str})
    data = data.assign(**{name: pd.Categorical(data[name]) for name in ("a", "b", "c", "g")})
    return data.assign(ao=pd.Categorical(data["ao"], categories=["p", "q", "r"], ordered=True))


@cache
def fit(formula, coding=None):
    contrasts = {name: coding for name in FACTORS if re.search(rf"\b{name}\b", formula)} if coding else None
    return mm.lmer(formula, unbalanced(), contrasts=contrasts, control={"check_rank": "ignore"})


def table(model, what, ddf):
    if what == "drop1":
        return mm.drop1(model, test="F", ddf=ddf)
    return mm.Anova(model, type=what[-1]) if what[0] == "A" else mm.anova(model, type=what[-1], ddf=ddf)


@pytest.mark.parametrize("r", R_TESTS, ids=lambda r: f"{r['formula']}-{r['coding']}-{r['what']}")
def test_against_r(r):
    # R's own: treatment, polynomial for an ordered factor
    coding = None if r["coding"] == "contr.treatment" else r["coding"]
    ours = table(fit(r["formula"], coding), r["what"], "default")
    expected = pd.DataFrame({k: r[k] or np.nan for k in ("statistic", "df", "denominator")}, index=r["rows"])
    columns = ["Chisq", "Df"] if r["what"][0] == "A" else ["F value", "NumDF", "DenDF"]
    assert set(ours.index) == set(expected.index)
    for term in ours.index:
        if (r["formula"], r["what"], term) not in NOT_OURS:
            wanted = expected.loc[term].to_numpy()[: len(columns)]
            np.testing.assert_allclose(ours.loc[term, columns], wanted, rtol=R_OPTIMUM)


# What lmerTest has wrong: its tests depend on the contrasts.


@pytest.mark.parametrize("formula", ["y ~ a + a:b + (1|g)", "y ~ x:a + b + (1|g)", "y ~ a*scale(x) + (1|g)"])
@pytest.mark.parametrize("type", [1, 2, 3])
def test_terms_are_tested_alike_whatever_the_contrasts(formula, type):
    tables = [
        mm.anova(fit(formula, coding), type=type, ddf="z")
        for coding in ("contr.treatment", "contr.sum", "contr.helmert", "contr.SAS")
    ]
    for other in tables[1:]:
        np.testing.assert_allclose(other["F value"], tables[0]["F value"], rtol=1e-6)


def test_a_covariate_is_one_in_a_matrix_too():
    scaled = mm.anova(fit("y ~ a*scale(x) + (1|g)"), type=2, ddf="z")
    plain = mm.anova(fit("y ~ a*I((x - 500)/90) + (1|g)"), type=2, ddf="z")
    np.testing.assert_allclose(scaled["F value"].iloc[[1, 2]], plain["F value"].iloc[[1, 2]], rtol=1e-6)


def test_nested_terms_compare_unweighted_means():
    # a + a:b spans the cells of a by b; type III of a compares means over b of equal weight.
    model = fit("y ~ a + a:b + (1|g)")
    np.testing.assert_allclose(
        span(mm.hypotheses(model, 3)["a"]), span(differences(model, ("a", "b"), "a")), atol=1e-10
    )


# Type III: unweighted means of the cells of a complete grid.


def span(L):
    """Return the projection on the rows of L, the same for equivalent hypotheses."""
    Q = np.linalg.qr(np.asarray(L, dtype=float).T)[0]
    return Q @ Q.T


def differences(model, crossed, factor):
    """Return L of equal means of `factor`, of equal weight over the cells of the crossed factors."""
    data = unbalanced()
    levels = [list(data[name].cat.categories) for name in crossed]
    grid = pd.DataFrame(list(itertools.product(*levels)), columns=list(crossed))
    others = {"x": float(data["x"].mean()), "z": 0.5, "lg": False, "ao": "p", "a": "p", "b": "u", "c": "k"}
    grid = grid.assign(**{name: value for name, value in others.items() if name not in crossed})
    X, _ = fixed_matrix(model.design, grid, warn=False)
    rows = [(grid[factor] == level).to_numpy() for level in pd.unique(grid[factor])]
    means = np.array([X[of_level].mean(axis=0) for of_level in rows])
    return means[1:] - means[0]


@pytest.mark.parametrize("coding", ["contr.treatment", "contr.sum", "contr.helmert"])
@pytest.mark.parametrize(
    ("formula", "crossed"),
    [("y ~ a*b + x + (1|g)", "ab"), ("y ~ a*b*c - a:b:c + (1|g)", "abc"), ("y ~ 0 + b*c + x + (1|g)", "bc")],
)
def test_type_three_compares_unweighted_means(formula, crossed, coding):
    model = fit(formula, coding)
    for factor in crossed[1:] if "0 +" in formula else crossed:
        L = mm.hypotheses(model, "III")[factor]
        np.testing.assert_allclose(span(L), span(differences(model, tuple(crossed), factor)), atol=1e-9)


def test_type_three_of_a_slope_is_the_mean_of_the_slopes():
    model = fit("y ~ a*x + b + (1|g)")
    L = mm.hypotheses(model)["x"].iloc[0]
    names = list(model.fixef().index)
    expected = np.zeros(len(names))
    expected[names.index("x")] = 1.0
    expected[[names.index("aq:x"), names.index("ar:x")]] = 1.0 / 3.0
    np.testing.assert_allclose(L, expected, atol=1e-12)


QUIET = {"check_rank": "ignore"}


# Types I and II of a linear model are drops in the residual sum of squares.


@st.composite
def designs(draw):
    """Return data and the terms of a formula: two factors, a covariate and products of them."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n = draw(st.integers(30, 60))
    sizes = draw(st.tuples(st.integers(2, 4), st.integers(2, 3)))
    centre = draw(st.sampled_from([0.0, 50.0]))
    data = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(loc=centre, size=n)})
    for name, size in zip("fh", sizes, strict=True):
        codes = np.concatenate([np.arange(size), rng.integers(0, size, n - size)])
        data[name] = pd.Categorical.from_codes(codes, [f"{name}{k}" for k in range(size)])
    data["g"] = pd.Categorical(rng.integers(0, 6, n).astype(str))
    terms = ["f", "h", "x", *draw(st.lists(st.sampled_from(["f:h", "f:x", "h:x"]), unique=True, max_size=3))]
    return data, terms, draw(st.sampled_from(["contr.treatment", "contr.sum", "contr.helmert"]))


def contains(term, other):
    """Whether `term` contains `other`: the same covariates and more factors."""
    one, two = set(term.split(":")), set(other.split(":"))
    return two < one and ("x" in one) == ("x" in two)


@settings(max_examples=25)
@given(designs())
def test_types_one_and_two_are_drops_in_the_residual_sum_of_squares(drawn):
    data, terms, coding = drawn
    contrasts = {"f": coding, "h": coding}
    mixed = mm.lmer(f"y ~ {' + '.join(terms)} + (1 | g)", data, contrasts=contrasts, control=QUIET)
    # Where columns were dropped, types I and II are about those that were kept (as in R).
    assume(not mixed.design.dropped)
    X, y = mixed.design.X, data["y"].to_numpy()
    beta, inverse = np.linalg.lstsq(X, y, rcond=None)[0], np.linalg.inv(X.T @ X)

    def explained(columns):
        Q = np.linalg.qr(columns)[0]
        return float(np.sum((Q.T @ y) ** 2))

    def columns_of(some):
        return build_design("y ~ 1" + "".join(f" + {t}" for t in some), data).X

    for type in (1, 2):
        for k, (term, L) in enumerate(mm.hypotheses(mixed, type).items()):
            order = mixed.terms()
            others = order[:k] if type == 1 else [t for t in order if t != term and not contains(t, term)]
            gain = explained(columns_of([*others, term])) - explained(columns_of(others))
            L = L.to_numpy()
            ours = (L @ beta) @ np.linalg.solve(L @ inverse @ L.T, L @ beta)
            assert ours == pytest.approx(gain, rel=1e-6, abs=1e-9)
