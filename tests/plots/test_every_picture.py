"""What all pictures have in common: axes in and out, the table, no warnings, no change of style, errors."""

import sys

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.axes import Axes

import mixedmodels as mm

OF_ANY_FIT = {
    "residuals": mm.plot_residuals,
    "scale": mm.plot_scale_location,
    "qq": mm.plot_qq,
    "diagnostics": mm.plot_diagnostics,
    "binned": mm.plot_binned_residuals,
    "coefs": mm.plot_coefs,
    "overview": mm.plot,
}
OF_MIXED_FITS = {
    "ranef": mm.plot_ranef,
    "ranef_qq": mm.plot_ranef_qq,
    "convergence": mm.plot_convergence,
}
#: No variance; weights, offset and subset; two factors; an effect of every observation; quasi-likelihood.
FITS = ("dyestuff2", "sleepstudy_arguments", "penicillin", "cbpp_obs", "cbpp_pql")


def drawn(picture):
    """Draw a picture as a file would be, and check what all promise."""
    picture.figure.draw_without_rendering()
    return promised(picture)


def promised(picture):
    """Check what all pictures promise."""
    assert isinstance(picture, Axes)
    assert isinstance(picture.data, pd.DataFrame)
    assert len(picture.data)
    assert picture.panels
    assert all(panel.figure is picture.figure for panel in picture.panels)
    return picture


@pytest.mark.parametrize("fit", FITS)
def test_pictures_of_mixed_models(fit, fitted):
    for function in {**OF_ANY_FIT, **OF_MIXED_FITS}.values():
        if function is not mm.plot_diagnostics:  # its panels are others of these
            drawn(function(fitted(fit)))
            plt.close("all")


def test_pictures_of_models_without_random_effects(fitted, data):
    for function in OF_ANY_FIT.values():
        promised(function(fitted("cbpp_glm")))
    drawn(mm.lm("Reaction ~ Days + Subject", data("sleepstudy")).plot())


@pytest.mark.parametrize("name", OF_MIXED_FITS)
def test_pictures_that_need_random_effects_say_so(name, fitted):
    with pytest.raises(mm.NotAvailableError, match="needs a model with random effects"):
        OF_MIXED_FITS[name](fitted("cbpp_glm"))


def many(model):
    """Return a call for every picture, and how many panels it has."""
    profile = model.profile(signames=False)
    return {
        "ranef": (lambda ax: mm.plot_ranef(model, ax=ax), 2),
        "ranef_qq": (lambda ax: mm.plot_ranef_qq(model, ax=ax), 2),
        "ranef_pairs": (lambda ax: mm.plot_ranef_pairs(model, ax=ax), 1),
        "shrinkage": (lambda ax: mm.plot_shrinkage(model, ax=ax), 1),
        "profile": (lambda ax: mm.plot_profile(profile, ax=ax), 6),
        "profile_density": (lambda ax: mm.plot_profile_density(profile, ax=ax), 6),
        "profile_pairs": (lambda ax: mm.plot_profile_pairs(profile, ["Days", "sigma"], ax=ax), 4),
        "residuals": (lambda ax: mm.plot_residuals(model, "Subject", ax=ax), 1),
        "diagnostics": (lambda ax: mm.plot_diagnostics(model, ax=ax), 3),
        "scaled": (lambda ax: mm.plot_scaled_residuals([0.1, 0.5, 0.9], [1, 2, 3], ax=ax), 2),
        "effects": (lambda ax: mm.plot_effects(model, "Days", residuals="partial", ax=ax), 1),
        "groups": (lambda ax: mm.plot_groups(model, levels=["308", "309"], ax=ax), 2),
        "coefs": (lambda ax: mm.plot_coefs(model, model, names=["a", "b"], ax=ax), 1),
        "convergence": (lambda ax: mm.plot_convergence(model, ax=ax), 4),
        "overview": (lambda ax: model.plot(ax=ax), 4),
    }


def test_axes_are_drawn_in_and_returned_and_no_style_changes(fitted):
    model, before = fitted("sleepstudy_ml"), matplotlib.rcParams.copy()
    for name, (draw, n_panels) in many(model).items():
        figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5))
        picture = promised(draw(right))
        assert picture is right, name
        assert len(picture.panels) == n_panels, name
        assert plt.get_fignums() == [figure.number], name
        assert not left.has_data()
        place = right.get_position()
        for panel in picture.panels:
            assert panel.get_position().x0 > place.x0 - 0.01, name
        plt.close("all")
    assert dict(matplotlib.rcParams) == dict(before)


def test_axes_that_are_none(fitted):
    with pytest.raises(mm.ControlError, match="ax must be one matplotlib Axes"):
        mm.plot_ranef(fitted("sleepstudy"), ax=plt.subplots(2)[1])
    loose = plt.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    assert mm.plot_qq(fitted("sleepstudy"), ax=loose) is loose
    with pytest.raises(mm.ControlError, match="come from a grid"):
        mm.plot_ranef(fitted("sleepstudy"), ax=loose)


@pytest.mark.parametrize("function", [mm.plot_ranef, mm.plot_qq, mm.plot_effects, mm.plot, mm.plot_profile])
def test_without_matplotlib_one_error_names_the_extra(function, fitted, monkeypatch):
    for name in [*sys.modules]:
        if name.split(".")[0] == "matplotlib":
            monkeypatch.setitem(sys.modules, name, None)
    arguments = ["Days"] if function is mm.plot_effects else []
    with pytest.raises(mm.NotAvailableError, match=r"pip install 'mixedmodels\[plot\]'"):
        function(fitted("sleepstudy"), *arguments)


@pytest.mark.parametrize(
    "name", [n for n in mm.__all__ if n.startswith("plot_") and n != "plot_scaled_residuals"]
)
def test_what_is_no_model_is_named(name):
    arguments = ["x"] if name in ("plot_effects", "plot_attenuation") else []
    with pytest.raises(mm.MixedModelsError, match=r"needs a (fitted )?model|neither|no fitted"):
        getattr(mm, name)([1.0], *arguments)
