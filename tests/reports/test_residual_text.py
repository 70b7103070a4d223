"""Residual structures print as nlme prints them (3.1-162, summary(m$modelStruct) of fits to Orthodont)."""

import numpy as np
import pandas as pd

from mixedmodels.fits.residual_description import correlation_description, variance_description
from mixedmodels.formula.design.build import build_design
from mixedmodels.reports.residual_text import correlation_text, variances_text


def design(residual=None, dispersion=None):
    data = pd.DataFrame(
        {
            "Subject": pd.Categorical(np.repeat([f"M{k:02d}" for k in range(1, 7)], 4)),
            "age": np.tile([8.0, 10.0, 12.0, 14.0], 6),
            "t": np.tile([1, 2, 3, 4], 6),
            "Sex": pd.Categorical(np.repeat(["Male", "Female"] * 3, 4), categories=["Male", "Female"]),
            "y": np.random.default_rng(0).normal(size=24),
        }
    )
    return build_design("y ~ age", data, residual=residual, dispersion=dispersion)


def correlation(text, rho):
    return correlation_text(correlation_description(design(text).residual, np.array(rho)))


def variances(text, *deltas):
    terms = design(None, text).dispersion
    pairs = zip(terms, deltas, strict=True)
    return variances_text([variance_description(term, np.array(delta)) for term, delta in pairs])


def test_one_correlation():
    assert correlation("ar1(t | Subject)", [0.6984062]) == (
        "Correlation Structure: AR(1)\n"
        " Formula: ~t | Subject \n"
        " Parameter estimate(s):\n"
        "      Phi \n"
        "0.6984062 "
    )
    assert correlation("cs(1 | Subject)", [0.6857391]) == (
        "Correlation Structure: Compound symmetry\n"
        " Formula: ~1 | Subject \n"
        " Parameter estimate(s):\n"
        "      Rho \n"
        "0.6857391 "
    )


def test_several_parameters():
    assert correlation("exp(age | Subject, nugget = TRUE)", [39.8256152, 0.2519233]) == (
        "Correlation Structure: Exponential spatial correlation\n"
        " Formula: ~age | Subject \n"
        " Parameter estimate(s):\n"
        "     range     nugget \n"
        "39.8256152  0.2519233 "
    )
    assert correlation("arma(1 | Subject, p = 1, q = 1)", [0.9510212, -0.5816515]) == (
        "Correlation Structure: ARMA(1,1)\n"
        " Formula: ~1 | Subject \n"
        " Parameter estimate(s):\n"
        "      Phi1     Theta1 \n"
        " 0.9510212 -0.5816515 "
    )


def test_a_general_matrix():
    rho = [0.654, 0.692, 0.592, 0.610, 0.744, 0.768]
    assert correlation("us(t | Subject)", rho) == (
        "Correlation Structure: General\n"
        " Formula: ~t | Subject \n"
        " Parameter estimate(s):\n"
        " Correlation: \n"
        "  1     2     3    \n"
        "2 0.654            \n"
        "3 0.692 0.610      \n"
        "4 0.592 0.744 0.768"
    )


def test_parameters_by_arm():
    assert correlation("ar1(t | Sex / Subject)", [0.5, 0.25]) == (
        "Correlation Structure: AR(1)\n"
        " Formula: ~t | Sex:Subject \n"
        " Parameter estimate(s):\n"
        " Male:\n"
        "Phi \n"
        "0.5 \n"
        " Female:\n"
        " Phi \n"
        "0.25 "
    )


def test_variance_functions():
    assert variances("ident(Sex)", [1.048527]) == (
        "Variance function:\n"
        " Structure: Different standard deviations per stratum\n"
        " Formula: ~1 | Sex \n"
        " Parameter estimates:\n"
        "    Male   Female \n"
        "1.000000 1.048527 "
    )
    assert variances("power(fitted)", [1.128697]) == (
        "Variance function:\n"
        " Structure: Power of variance covariate\n"
        " Formula: ~fitted(.) \n"
        " Parameter estimates:\n"
        "   power \n"
        "1.128697 "
    )
    assert variances("power(age | Sex)", [0.3028704, 0.3189807]) == (
        "Variance function:\n"
        " Structure: Power of variance covariate, different strata\n"
        " Formula: ~age | Sex \n"
        " Parameter estimates:\n"
        "     Male    Female \n"
        "0.3028704 0.3189807 "
    )
    assert variances("constpower(age)", [79778.130336, 3.756025]) == (
        "Variance function:\n"
        " Structure: Constant plus power of variance covariate\n"
        " Formula: ~age \n"
        " Parameter estimates:\n"
        "       const        power \n"
        "79778.130336     3.756025 "
    )
    assert variances("fixed(age)", []) == ("Variance function:\n Structure: fixed weights\n Formula: ~age ")


def test_products_of_variance_functions():
    assert variances("ident(Sex) * power(age)", [1.021573], [0.3138879]) == (
        "Combination of variance functions: \n"
        " Structure: Different standard deviations per stratum\n"
        " Formula: ~1 | Sex \n"
        " Parameter estimates:\n"
        "    Male   Female \n"
        "1.000000 1.021573 \n"
        " Structure: Power of variance covariate\n"
        " Formula: ~age \n"
        " Parameter estimates:\n"
        "    power \n"
        "0.3138879 "
    )


def test_constants_and_powers_by_stratum():
    assert variances("constpower(age | Sex)", [1.5, 0.5, 2.5, 0.25]).splitlines()[-3:] == [
        "      Male Female",
        "const 1.50   2.50",
        "power 0.50   0.25",
    ]
