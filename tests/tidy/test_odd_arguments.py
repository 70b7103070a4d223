"""Arguments of a wrong kind: one error of the package that names the argument, no traceback of others."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
NOT_FLAGS = ["no", 2, 1.5, [], FRAME, pd.NA, None]


@pytest.fixture(scope="module")
def sleep():
    return mm.load_dataset("sleepstudy")


@pytest.fixture(scope="module")
def model(sleep):
    return mm.lmer("Reaction ~ Days + (1 | Subject)", sleep)


@pytest.fixture(scope="module")
def cbpp():
    data = mm.load_dataset("cbpp")
    return mm.glmer("cbind(incidence, size - incidence) ~ period + (1 | herd)", data, "binomial")


@pytest.mark.parametrize("value", NOT_FLAGS, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("flag", ["allow_new_levels", "se_fit", "random_only"])
def test_a_text_is_no_flag_of_predict(model, sleep, flag, value):
    with pytest.raises(mm.ControlError, match=rf"^{flag} must be one of True, False"):
        model.predict(sleep.head(2), **{flag: value})


@pytest.mark.parametrize("value", ["no", FRAME, pd.NA])
def test_a_text_is_no_flag_of_simulate_and_tidy(model, value):
    for call, name in (
        (lambda: model.simulate(1, rng=1, use_u=value), "use_u"),
        (lambda: model.tidy(conf_int=value), "conf_int"),
        (lambda: model.tidy(exponentiate=value), "exponentiate"),
    ):
        with pytest.raises(mm.ControlError, match=rf"^{name} must be one of True, False"):
            call()


def test_flags_of_numpy_are_flags(model, sleep):
    assert list(model.predict(sleep.head(2), se_fit=np.True_).columns) == ["fit", "se_fit"]
    assert len(model.simulate(1, rng=1, use_u=np.False_)) == len(sleep)


@pytest.mark.parametrize("tol", ["x", None, np.nan, -1.0, np.inf, True, [1, 2], FRAME, 1j])
def test_a_tolerance_is_a_number(model, cbpp, tol):
    for call in (
        lambda: mm.check_singularity(model, tol=tol),
        lambda: model.is_singular(tol),
        lambda: mm.r2(cbpp, tol=tol),
        lambda: mm.icc(cbpp, tol=tol),
    ):
        with pytest.raises(mm.ControlError, match=r"^tol must be a number, 0 or more"):
            call()
    assert model.is_singular(0) is False


@pytest.mark.parametrize("value", [FRAME, pd.NA, "nope", 3])
def test_choices_are_named(model, cbpp, value):
    for name, call in (
        ("variance", lambda: mm.r2(cbpp, variance=value)),
        ("ddf", lambda: mm.report(model, ddf=value)),
        ("effects", lambda: model.tidy(value)),
        ("na_action", lambda: mm.update(model, na_action=value)),
    ):
        with pytest.raises(mm.ControlError, match=rf"^{name} must be"):
            call()


@pytest.mark.parametrize("n_jobs", [FRAME, pd.NA, "all", 0, -2, True])
def test_numbers_of_processes_are_whole(model, n_jobs):
    with pytest.raises(mm.ControlError, match=r"^n_jobs must be a whole number"):
        mm.influence(model, "Subject", n_jobs=n_jobs)


@pytest.mark.parametrize("formula", [FRAME, 1, np.nan, ("a", "b"), b"x"])
def test_update_reads_a_text(model, formula):
    with pytest.raises(mm.ControlError, match="new data are data="):
        mm.update(model, formula)


def test_regression_table_says_what_it_needs(model, sleep):
    for given in (None, 3, FRAME, model.strip(), [model, None]):
        with pytest.raises(mm.ControlError, match=r"^regression_table\(\) needs a fitted model"):
            mm.regression_table(given)
    for names in (3, np.nan, FRAME, "one"):
        with pytest.raises(mm.ControlError, match=r"^names must be a list"):
            mm.regression_table([model], names=names)
    with pytest.raises(mm.NotAvailableError, match="prints fixed effects"):
        mm.regression_table(mm.lmer("Reaction ~ 0 + (1 | Subject)", sleep))


@pytest.mark.parametrize("nested", [None, 1, np.array([[1.0]]), FRAME, [1]])
def test_nested_columns_are_names(sleep, nested):
    with pytest.raises(mm.ControlError, match=r"^nested must be the name of a column"):
        mm.extend(sleep, {"Subject": 20}, nested=nested)


@pytest.mark.parametrize("levels", [FRAME, np.array([[1.0]])])
def test_a_table_is_no_number_of_levels(sleep, levels):
    with pytest.raises(mm.ControlError, match=r"^the number of levels of Subject must be"):
        mm.extend(sleep, Subject=levels)


def test_parameters_are_finite_numbers(sleep):
    given = {"beta": [1, 2], "sd": {"Subject": [1, 2]}, "sigma": 1}
    with pytest.raises(mm.ControlError, match=r"^a matrix of correlations"):
        mm.specify("y ~ Days + (Days | Subject)", sleep, cor=FRAME, **given)
    with pytest.raises(mm.ControlError, match=r"^sigma must be a finite number"):
        mm.specify("y ~ Days + (Days | Subject)", sleep, cor=0, **given | {"sigma": np.inf})


def test_a_cluster_without_weight_moves_nothing(sleep):
    data = sleep.assign(w=np.linspace(0.5, 2.0, len(sleep)))
    data.loc[:9, "w"] = 0.0
    with_zeros = mm.lmer("Reaction ~ Days + (1 | Subject)", data, weights="w")
    without = mm.lmer("Reaction ~ Days + (1 | Subject)", data[10:], weights="w")
    for type in ("CR0", "CR2", "CR3"):
        np.testing.assert_allclose(with_zeros.vcov(type), without.vcov(type), rtol=1e-8)
    np.testing.assert_allclose(
        with_zeros.tidy("fixed", vcov="CR2")["df"], without.tidy("fixed", vcov="CR2")["df"], rtol=1e-8
    )


@pytest.mark.parametrize("function", ["tidy", "summary", "anova"])
def test_a_table_is_no_method_of_degrees_of_freedom(model, function):
    with pytest.raises(mm.errors.ControlError, match="not a DataFrame"):
        getattr(model, function)(ddf=pd.DataFrame({"df": [1.0]}))


def test_an_integer_beyond_all_doubles_is_no_probability(model):
    with pytest.raises(mm.errors.ControlError, match="level must be a probability"):
        model.predict(interval="confidence", level=10**400)


def test_names_of_models_are_a_list(model):
    pytest.importorskip("matplotlib")
    with pytest.raises(mm.errors.ControlError, match="names must have a name of its own"):
        mm.plot_coefs(model, names=3)
