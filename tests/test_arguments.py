"""Calls that lack an argument, or have one twice: every public function says which, with an example."""

import inspect
import pickle
import warnings

import pytest

import mixedmodels as mm

FUNCTIONS = [name for name in mm.__all__ if inspect.isfunction(getattr(mm, name))]
VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def needed(function):
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind not in VARIABLE]


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if needed(getattr(mm, name))])
def test_a_call_without_arguments_names_what_it_needs(name):
    """Public functions are decorated with @advises."""
    function = getattr(mm, name)
    with pytest.raises(mm.MissingArgumentError) as caught:
        function()
    message = str(caught.value)
    assert isinstance(caught.value, TypeError)
    assert all(n in message for n in needed(function))
    assert f"as in {function.__name__}(" in message


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_argument_that_is_not_there_is_never_the_interpreters_own_error(name):
    with pytest.raises(mm.MixedModelsError):
        getattr(mm, name)(*["x"] * len(needed(getattr(mm, name))), no_such_thing=1)


def test_what_is_given_is_not_asked_for_again():
    with pytest.raises(
        mm.MissingArgumentError, match=r"^lmer\(\) needs data, as in lmer\('y ~ x \+ \(1 \| g\)'"
    ):
        mm.lmer("y ~ x + (1 | g)")
    with pytest.raises(mm.MissingArgumentError, match=r"^glmer\(\) needs formula, as in"):
        mm.glmer(data={"y": [0, 1]}, family="binomial")
    with pytest.raises(mm.MissingArgumentError, match=r"lm\('y ~ x', data\)"):
        mm.lm("y ~ x")


def test_an_argument_twice():
    data = mm.load_dataset("Dyestuff")
    with pytest.raises(mm.MissingArgumentError, match="has data twice"):
        mm.lmer("Yield ~ 1 + (1 | Batch)", data, data=data)


def test_methods_and_their_functions():
    model = mm.lm("Reaction ~ Days", mm.load_dataset("sleepstudy"))
    with pytest.raises(mm.MissingArgumentError, match=r"as in m\.refit\("):
        model.refit()
    with pytest.raises(mm.MissingArgumentError, match="by position"):
        mm.fixef(model=model)
    with pytest.raises(mm.ControlError, match="at least one fitted model"):
        mm.anova()


@pytest.mark.parametrize("name", ["lmer", "glmer", "anova", "load_dataset", "binomial"])
def test_functions_can_be_sent_to_other_processes(name):
    function = getattr(mm, name)
    assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.parametrize("fit", [mm.lmer, mm.glmer, mm.lm, mm.glm])
def test_warnings_point_at_the_line_of_the_call(fit):
    data = mm.load_dataset("sleepstudy").assign(twice=lambda d: 2.0 * d["Days"])
    formula = "Reaction ~ Days + twice" + ("" if fit in (mm.lm, mm.glm) else " + (1 | Subject)")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(formula, data, **({"family": "gaussian"} if fit in (mm.glmer, mm.glm) else {}))
    assert caught
    assert {w.filename for w in caught} == {__file__}
