"""A given start ends no higher than the default one, and no higher than it is itself."""

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.datasets import load_dataset
from mixedmodels.engines.generalized import fit as fitting
from mixedmodels.engines.generalized.objective import Evaluator
from mixedmodels.engines.generalized.optimum import parameter_layout
from mixedmodels.engines.generalized.problem import natural_to_psi
from mixedmodels.engines.generalized.problem_from_data import generalized_problem
from mixedmodels.engines.generalized.search import from_start
from mixedmodels.families.response import initialize
from mixedmodels.formula import build_design

# Searches from poor starts warn of what they find.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
GU_PRENAT = (
    "prenat ~ childAge + motherAge + birthOrd + indig + momEd + husEd + husEmpl + toilet + TV + pcInd81 "
    "+ ssDist + (1 | mom) + (1 | cluster)"
)
#: Two searches for one optimum.
AGAIN = 1e-4


def two_basins(seed, n_groups=12, size=4):
    """Return 0/1 data of nearly constant groups within larger ones, whose variances can be large or small."""
    rng = np.random.default_rng(seed)
    a = np.repeat(np.arange(n_groups), size)
    b = a // 3
    eta = 6.0 * rng.normal(size=n_groups)[a] + 2.0 * rng.normal(size=b.max() + 1)[b]
    x = rng.normal(size=len(a))
    y = (rng.uniform(size=len(a)) < 1.0 / (1.0 + np.exp(-eta - 0.5 * x))).astype(float)
    return {"y": y, "x": x, "a": a.astype(str), "b": b.astype(str)}


def optimum(formula, data, start=None):
    """Return the optimum of a binomial model by Laplace's approximation, without what is said of it."""
    design = build_design(formula, data)
    y, weights = initialize(design.response, design.weights, mm.binomial())
    problem = generalized_problem(y, weights, design.X, design.random, design.offset, mm.binomial())
    return fitting._optimize(Evaluator(problem, 1), parameter_layout(problem), start, None)


def test_guatemalan_data_have_one_answer():
    # Without the default start this led to 2055.88, where lme4 and glmmTMB stop too.
    data = load_dataset("guPrenat")
    start = [100.0, 20.0, *mm.glm(GU_PRENAT.split(" + (")[0], data, "binomial").fixef()]
    assert optimum(GU_PRENAT, data, np.array(start)).objective == pytest.approx(2045.7983, abs=1e-3)


def test_a_given_start_ends_no_higher_than_the_default():
    data, formula = two_basins(3), "y ~ x + (1 | a) + (1 | b)"
    given = optimum(formula, data, np.array([40.0, 0.1, 0.0, 0.0]))
    assert given.objective < optimum(formula, data).objective + AGAIN


def test_a_start_lower_than_all_searches_is_followed_from_where_it_is(monkeypatch):
    data = two_basins(1)
    model = mm.glmer("y ~ x + (1 | a)", data, "binomial")
    problem, best = model.problem, model.estimates

    def astray(evaluator, layout, start, *_):
        # A search that always ends 20 above.
        found = from_start(evaluator, layout, start)
        psi = found.psi + np.r_[np.zeros(problem.n_theta), 30.0, np.zeros(problem.n_fixed - 1)]
        value, gradient = evaluator(psi)
        return fitting.replace(
            found, psi=psi, objective=value, found=fitting.replace(found.found, gradient=gradient)
        )

    monkeypatch.setattr(fitting, "from_start", astray)
    start = np.concatenate([best.theta, best.beta])
    evaluator = Evaluator(problem, 1)
    psi = natural_to_psi(problem, start)
    wrong = astray(evaluator, parameter_layout(problem), psi)
    assert wrong.objective > best.objective + 5.0
    right = fitting._no_worse_than_start(evaluator, parameter_layout(problem), wrong, psi)
    assert right.objective == pytest.approx(best.objective, abs=AGAIN)


def test_a_large_model_asks_the_data_only_where_they_are_better(monkeypatch):
    asked = []
    monkeypatch.setattr(
        fitting,
        "_from_data",
        lambda evaluator, layout: asked.append(1) or from_start(evaluator, layout, None),
    )
    data, formula = load_dataset("cbpp"), "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    mm.glmer(formula, data, "binomial", start=[0.6])
    assert len(asked) == 1
    monkeypatch.setattr(fitting, "MANY_ROWS", 10)
    mm.glmer(formula, data, "binomial", start=[0.6])
    assert len(asked) == 1
