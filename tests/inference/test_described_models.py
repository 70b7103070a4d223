"""Tables of several models tell them apart where their formulas are equal."""

import mixedmodels as mm


def test_anova_and_compare_show_residual_and_dispersion():
    data = mm.load_dataset("Orthodont")
    one = mm.gls("distance ~ age", data, residual="cs(age | Subject)", REML=False)
    other = mm.gls("distance ~ age", data, residual="cs(age | Subject)", dispersion="~ Sex", REML=False)
    for text in (str(mm.anova(one, other)), str(mm.compare(one, other))):
        assert 'distance ~ age, residual="cs(age | Subject)"\n' in text
        assert 'residual="cs(age | Subject)", dispersion="~ Sex"' in text


def test_bootstrap_of_a_modelled_dispersion_draws_each_row_with_its_own():
    data = mm.load_dataset("Salamanders")
    model = mm.glmer("count ~ mined + (1 | site)", data, "nbinom2", dispersion="~ DOY")
    drawn = mm.bootstrap(model, nsim=40, rng=1)
    errors = model.dispersion_coefficients()["Std. Error"]
    spread = drawn.to_frame()["disp.DOY"].std()
    assert 0.6 < spread / errors["DOY"] < 1.6  # 40 draws: a standard deviation within about 35 %
