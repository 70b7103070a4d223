"""A model fitted to sums over batches is the model fitted to the table, whatever the batches."""

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mixedmodels as mm
from mixedmodels.models.summed import SummedLinearMixedModel
from tests.conformance.references import run_reference
from tests.conformance.shared import WHY_ABSENT, find_shared
from tests.moments.equality import assert_equal, cut, fit_in_pieces, tables

TABLES = tables()
MODELS = [
    ("sleep", "Reaction ~ Days + (Days | Subject)", {}),
    ("sleep", "Reaction ~ Days + (Days | Subject)", {"weights": "w"}),
    ("sleep", "Reaction ~ Days + (Days || Subject)", {"offset": "o"}),
    ("sleep", "Reaction ~ 0 + Days + (1 | Subject)", {}),
    ("sleep", "Reaction ~ 1 + (0 + Days | Subject)", {"subset": "Days > 1"}),
    ("sleep", "Reaction ~ late * Days + offset(o) + (late | Subject)", {"weights": "w"}),
    ("sleep", "Reaction ~ Days + I(Days^2) + (Days + I(Days^2) | Subject)", {}),
    ("sleep", "Reaction ~ Days + I(2 * Days) + (1 | Subject)", {}),
    ("sleep", "Reaction ~ ns(Days, 3) + (ns(Days, 2) | Subject)", {}),
    ("sleep", "Reaction ~ factor(Days) + (1 | Subject)", {"contrasts": {"factor(Days)": "contr.sum"}}),
    ("sleep", "Reaction ~ Days + diag(Days | Subject)", {}),
    ("sleep", "Reaction ~ Days + cs(1 + Days | Subject)", {}),
    ("sleep", "Reaction ~ Days + ar1(0 + factor(Days) | Subject)", {}),
    ("sleep", "Reaction ~ late + exp(0 + Days | Subject)", {}),
    ("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", {}),
    ("cake", "angle ~ C(recipe, contr.sum) + scale(temp) + (1 | replicate / recipe)", {}),
    ("cake", "angle ~ poly(temp, 2) + cut(temp, 3) + (1 | half) + (1 | k)", {}),
    ("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", {}),
    ("Pastes", "strength ~ 1 + (1 | batch / cask)", {}),
    ("Pastes", "strength ~ 1 + (1 | sample) + (1 | batch)", {}),
    ("Machines", "score ~ Machine + (0 + Machine | Worker)", {}),
    ("Machines", "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", {}),
    ("Machines", "score ~ Machine + (Machine | Worker)", {}),
    ("Dyestuff2", "Yield ~ 1 + (1 | Batch)", {}),
]
NAMES = [f"{formula} {sorted(options)}" for _, formula, options in MODELS]


@pytest.mark.filterwarnings("ignore::mixedmodels.errors.DataWarning")
@pytest.mark.parametrize(("name", "formula", "options"), MODELS, ids=NAMES)
def test_any_cut_is_the_whole(name, formula, options):
    data, rng = TABLES[name], np.random.default_rng(len(formula))
    for reml in (True, False):
        whole = mm.lmer(formula, data, reml, **options)
        assert_equal(fit_in_pieces(formula, cut(data, 7, rng), reml, **options), whole)
    assert_equal(fit_in_pieces(formula, [data], False, **options), whole)


@pytest.mark.filterwarnings("ignore::mixedmodels.errors.DataWarning")
@pytest.mark.parametrize("k", [0, 1, 9, 15, 16, 18])
def test_a_row_at_a_time_is_the_whole(k):
    name, formula, options = MODELS[k]
    data = TABLES[name].iloc[:90]
    pieces = cut(data, len(data), np.random.default_rng(k))
    assert_equal(fit_in_pieces(formula, pieces, **options), mm.lmer(formula, data, **options))


def test_known_covariances_between_levels():
    data, rng = TABLES["Pastes"], np.random.default_rng(1)
    levels = [str(level) for level in pd.unique(data["batch"])]
    root = rng.standard_normal((len(levels), 20))
    K = pd.DataFrame(root @ root.T / 20, index=levels, columns=levels)
    formula = "strength ~ 1 + (1 | batch) + (1 | cask) + (1 | sample)"
    whole = mm.lmer(formula, data, relmat={"batch": K})
    assert_equal(fit_in_pieces(formula, cut(data, 5, rng), relmat={"batch": K}), whole)


def test_a_sparse_tail_of_crossed_factors():
    rng = np.random.default_rng(2)
    n = 3000
    data = pd.DataFrame({name: rng.integers(0, q, n) for name, q in (("a", 400), ("b", 300), ("c", 20))})
    data["x"] = rng.standard_normal(n)
    data["y"] = (
        data.x + rng.standard_normal(400)[data.a] + rng.standard_normal(300)[data.b] + rng.standard_normal(n)
    )
    formula = "y ~ x + (x | a) + (1 | b) + (1 | c)"
    assert_equal(fit_in_pieces(formula, cut(data, 6)), mm.lmer(formula, data))


def _drawn(seed, n):
    rng = np.random.default_rng(seed)
    q = int(rng.integers(3, 12))
    data = pd.DataFrame(
        {
            "x": rng.normal(rng.choice([0.0, 50.0]), 1.0, n),
            "f": rng.choice(["u", "v", "w"], n),
            "g": rng.integers(0, q, n) * int(rng.choice([1, 10**7])) - 5,
            "h": rng.choice(list("abcdefg"), n),
            "w": rng.uniform(0.5, 2.0, n),
        }
    )
    data["y"] = (
        data.x + rng.normal(0, 2, 12)[np.unique(data.g, return_inverse=True)[1]] + rng.standard_normal(n)
    )
    data.loc[rng.random(n) < 0.03, "y"] = np.nan
    return data


FORMULAS = ("y ~ x + (1 | g)", "y ~ f + x + (x | g)", "y ~ x + (1 | g) + (1 | h)", "y ~ f * x + (1 | g / h)")


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    formula=st.sampled_from(FORMULAS),
    cuts=st.lists(st.integers(0, 120), max_size=8),
    weighted=st.booleans(),
)
def test_any_partition_of_any_data(seed, formula, cuts, weighted):
    data = _drawn(seed, 120).sample(frac=1.0, random_state=seed)
    ends = [0, *sorted(cuts), len(data)]
    pieces = [data.iloc[a:b] for a, b in pairwise(ends)]
    options = {"weights": "w"} if weighted else {}
    whole = mm.lmer(formula, data, control={"check_rank": "ignore"}, **options)
    assert_equal(fit_in_pieces(formula, pieces, **options), whole)
    if "f" not in formula:
        parts = [mm.moments(formula, [piece], **options) for piece in pieces if piece.y.notna().any()]
        assert_equal(mm.lmer(sum(parts)), whole)


def test_far_from_zero_means_cost_no_digits():
    """Shifts of predictor and response leave the criterion as it is: the shifted fit knows its rounding."""
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(50), 20)
    x = rng.standard_normal(1000)
    y = x + rng.standard_normal(50)[g] + 0.5 * rng.standard_normal(50)[g] * x + rng.standard_normal(1000)
    near = mm.lmer("y ~ x + (1 | g)", {"y": y, "x": x, "g": g})
    far = pd.DataFrame({"y": y + 1e6, "x": x + 1e6, "g": g})
    sums = mm.moments("y ~ x + (1 | g)", cut(far, 9, rng))
    summed = mm.lmer(sums)
    # The data themselves hold 1e6 + x to 1e-10 only.
    assert summed.loglik() == pytest.approx(near.loglik(), rel=1e-10)
    assert summed.beta[1] == pytest.approx(near.beta[1], rel=1e-9)
    assert summed.sigma() == pytest.approx(near.sigma(), rel=1e-9)


def test_rows_in_the_order_of_a_predictor():
    """The first rows say nothing of where the others are: the basis is changed on the way."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": np.sort(rng.uniform(0, 1e4, 4000)), "g": rng.integers(0, 30, 4000)})
    data["y"] = 3 * data.x + rng.standard_normal(30)[data.g] + rng.standard_normal(4000)
    formula = "y ~ x + I(x^2) + (1 | g)"
    assert_equal(fit_in_pieces(formula, cut(data, 40)), mm.lmer(formula, data))


def _fits_of_references():
    """Return (formula, data, REML, options) of every linear mixed model of the shared references."""
    found = {}
    original = mm.lmer

    def recording(formula, data, REML=True, **options):
        model = original(formula, data, REML, **options)
        plain = all(options.get(name) is None for name in ("residual", "dispersion"))
        strings = all(isinstance(options.get(k), str | None) for k in ("weights", "offset", "subset"))
        if plain and strings and isinstance(data, pd.DataFrame) and len(data) < 500:
            found[formula, len(data), REML, repr(options)] = (formula, data, REML, options, model)
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mm, "lmer", recording)
        for path in sorted((find_shared() / "reference").glob("*.json")):
            reference = json.loads(path.read_text(encoding="utf-8"))
            if "lmer" in json.dumps(reference)[:2000]:
                run_reference(reference)
    return found.values()


@pytest.mark.skipif(find_shared() is None, reason=WHY_ABSENT)
@pytest.mark.filterwarnings("ignore")
def test_every_shared_reference_in_seven_pieces():
    rng = np.random.default_rng(5)
    fits = [fit for fit in _fits_of_references() if type(fit[-1]) is mm.LinearMixedModel]
    for formula, data, reml, options, whole in fits:
        kept = ("weights", "offset", "subset", "na_action", "contrasts", "env")
        own = {name: options[name] for name in kept if options.get(name) is not None}
        assert_equal(fit_in_pieces(formula, cut(data, 7, rng), reml, options.get("relmat"), **own), whole)
    assert len(fits) > 40


def test_a_source_given_to_lmer():
    data = TABLES["sleep"]
    m = mm.lmer("Reaction ~ Days + (Days | Subject)", cut(data, 3))
    assert isinstance(m, SummedLinearMixedModel)
    assert_equal(m, mm.lmer("Reaction ~ Days + (Days | Subject)", data))
