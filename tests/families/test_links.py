"""Links: inverses of each other, right derivatives, right at the ends, R's names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixedmodels import families as mf
from mixedmodels.errors import FamilyError
from mixedmodels.families.links import LINK_NAMES, get_link, power

LINKS = (*LINK_NAMES, "mu^0.333", "mu^-0.5", "mu^2")
UNIT = ("logit", "probit", "cloglog", "loglog", "cauchit")


@pytest.mark.parametrize("name", LINKS)
@given(mu=st.floats(1e-3, 1.0 - 1e-3))
def test_inverse_of_link_is_the_mean(name, mu):
    link = get_link(name)
    assert link.name == name
    assert link.inverse(link.link(np.array([mu])))[0] == pytest.approx(mu, rel=1e-11)


@pytest.mark.parametrize("name", LINKS)
@given(eta=st.floats(0.05, 4.0))
def test_derivatives_of_the_inverse(name, eta):
    link, step = get_link(name), 1e-5
    here, up, down = (link.derivatives(np.array([at])) for at in (eta, eta + step, eta - step))
    np.testing.assert_allclose(here[0], link.inverse(np.array([eta])), rtol=1e-13)
    for order in (1, 2, 3):
        numeric = (up[order - 1] - down[order - 1]) / (2 * step)
        np.testing.assert_allclose(here[order], numeric, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", LINKS)
@given(eta=st.floats(-3.0, 3.0))
def test_logarithms_of_the_mean_and_its_complement(name, eta):
    link, at = get_link(name), np.array([eta])
    mu, m1, m2, _ = link.derivatives(at)
    if link.gives_positive_mean(at).all() and abs(eta) > 0.05:
        value, d1, d2, _ = link.log_mean(at)
        # As mu nears 1 the logarithm taken here is exact to 1e-16 only.
        expected = [np.log(mu), m1 / mu, m2 / mu - (m1 / mu) ** 2]
        np.testing.assert_allclose([value, d1, d2], expected, rtol=1e-9, atol=1e-15)
    # The direct form of the right side loses its digits as mu nears 1.
    if link.gives_unit_mean(at).all() and abs(eta) > 0.05 and mu[0] < 0.99:
        value, d1, d2, _ = link.log_complement(at)
        expected = [np.log1p(-mu), -m1 / (1 - mu), -m2 / (1 - mu) - (m1 / (1 - mu)) ** 2]
        np.testing.assert_allclose([value, d1, d2], expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", UNIT)
def test_log_probabilities_meet_their_derivatives_everywhere(name):
    link = get_link(name)
    eta = np.concatenate([-np.geomspace(700.0, 1e-3, 200), np.geomspace(1e-3, 700.0, 200)])
    step = 1e-5 * np.maximum(1.0, np.abs(eta))
    for part in (link.log_mean, link.log_complement):
        here, up, down = part(eta), part(eta + step), part(eta - step)
        # Beyond +-690 a double exponential is clamped within the step.
        inside = np.abs(eta) < 690.0
        for order in (1, 2, 3):
            numeric = (up[order - 1] - down[order - 1]) / (2 * step)
            scale = np.maximum(np.abs(here[order]), 1e-4 * np.maximum(1.0, np.abs(here[order - 1])))
            assert np.max((np.abs(numeric - here[order]) / scale)[inside]) < 1e-3


@pytest.mark.parametrize(
    ("name", "eta", "mu"),
    [
        ("logit", -700.0, 9.859676543759770e-305),
        ("probit", -37.0, 5.725571222524576e-300),
        ("cloglog", -700.0, 9.859676543759770e-305),
        ("loglog", 700.0, 1.0),
        ("cauchit", -1e10, 3.1830988618379067e-11),
        ("log", 700.0, 1.0142320547350045e304),
        ("sqrt", -2.0, 4.0),
        ("inverse", 1e-300, 1e30),
        ("identity", -5.0, -5.0),
    ],
)
def test_ends(name, eta, mu):
    assert get_link(name).inverse(np.array([eta]))[0] == pytest.approx(mu, rel=1e-13)


def test_powers():
    assert power(1).name == "identity"
    assert power(0).name == "log"
    assert power(-1).name == "inverse"
    assert power(-2).name == "1/mu^2"
    # R prints power(0.5) so, although it is the square root.
    assert power(0.5).name == "mu^0.5"
    assert power(1 / 3).name == "mu^0.333"
    np.testing.assert_allclose(power(1 / 3).inverse(np.array([2.0])), 8.0)
    with pytest.raises(FamilyError, match="finite"):
        power(np.inf)


def test_unknown_link_lists_the_links():
    with pytest.raises(FamilyError, match=r"'logti'.*logit, probit, cloglog"):
        get_link("logti")
    with pytest.raises(FamilyError, match="mu\\^x"):
        get_link("mu^x")


@pytest.mark.parametrize(
    ("text", "exponent"),
    [
        ("power(0.5)", 0.5),
        ("power(1/3)", 1 / 3),
        ("power( lambda = -0.25 )", -0.25),
        ("mu^0.7", 0.7),
        ("power(2)", 2),
    ],
)
def test_a_power_by_its_name(text, exponent):
    assert get_link(text) == power(exponent)
    assert mf.Gamma(link=text).link == power(exponent)


@pytest.mark.parametrize("text", ["power(x)", "power()", "power(1/0)", "mu^1/3", "power(1, 2)", "mu^x"])
def test_what_is_no_power(text):
    with pytest.raises(FamilyError, match=r"'power\(0.5\)' of any exponent"):
        mf.Gamma(link=text)
