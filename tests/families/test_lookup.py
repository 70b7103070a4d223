"""get_family: names, constructors, objects, statsmodels by duck typing, and helpful refusals."""

import numpy as np
import pytest

from mixedmodels import families as mf
from mixedmodels.errors import FamilyError
from mixedmodels.families.lookup import FAMILY_NAMES, get_family


@pytest.mark.parametrize("name", FAMILY_NAMES)
def test_every_name(name):
    family = get_family(name)
    assert family.link.name
    start = family.start_phi(np.full(4, 0.5), np.full(4, 0.4), np.full(4, 2.0))
    assert len(start) == len(family.phi_names)


@pytest.mark.parametrize(
    ("given", "name", "link"),
    [
        ("binomial", "binomial", "logit"),
        ("Gamma", "Gamma", "inverse"),
        ("gamma", "Gamma", "inverse"),
        ("Poisson", "poisson", "log"),
        ("inverse.gaussian", "inverse.gaussian", "1/mu^2"),
        ("beta_family", "beta", "logit"),
        ("nbinom2", "nbinom2", "log"),
        ("truncated_nbinom2", "truncated nbinom2", "log"),
        ("hurdle_poisson", "hurdle poisson", "log"),
        ("binomial()", "binomial", "logit"),
        (mf.binomial, "binomial", "logit"),
        (mf.poisson(link="sqrt"), "poisson", "sqrt"),
        (type(mf.binomial()), "binomial", "logit"),
        (type(mf.Gamma()), "Gamma", "inverse"),
        (mf.negative_binomial(theta=2.0), "Negative Binomial(2)", "log"),
        (mf.nbinom1(zi=True), "zero-inflated nbinom1", "log"),
        (mf.quasipoisson, "quasipoisson", "log"),
    ],
)
def test_spellings(given, name, link):
    family = get_family(given)
    assert (family.name, family.link.name) == (name, link)


class Logit:
    pass


class CLogLog:
    pass


class Power:
    def __init__(self, power):
        self.power = power


class InversePower(Power):
    pass


class Binomial:
    def __init__(self, link):
        self.link = link


class Gamma(Binomial):
    pass


class NegativeBinomial(Binomial):
    def __init__(self, link, alpha):
        super().__init__(link)
        self.alpha = alpha


class Tweedie(Binomial):
    pass


def test_statsmodels_objects():
    assert get_family(Binomial(CLogLog())).link.name == "cloglog"
    assert get_family(Gamma(InversePower(-1.0))).link.name == "inverse"
    assert get_family(Gamma(Power(0.25))).link.name == "mu^0.25"
    assert get_family(NegativeBinomial(Power(1.0), alpha=0.5)).name == "Negative Binomial(2)"
    with pytest.raises(FamilyError, match="link 'logit' not available for Gamma family"):
        get_family(Gamma(Logit()))
    with pytest.raises(FamilyError, match="not a family"):
        get_family(Tweedie(Logit()))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("binomal", "Did you mean 'binomial'"),
        ("possion", "Did you mean 'poisson'"),
        ("xyz", "Families are binomial"),
        (3.5, "not a family"),
        (None, "not a family"),
        (dict, "not a family class"),
        (len, "does not make a family"),
        (lambda: 3, "does not make a family"),
    ],
)
def test_refusals_help(given, words):
    with pytest.raises(FamilyError, match=words):
        get_family(given)


def test_wrong_links_list_the_right_ones():
    with pytest.raises(
        FamilyError, match=r"'inverse' not available for binomial.*available links are logit, p"
    ):
        mf.binomial(link="inverse")
    with pytest.raises(
        FamilyError, match=r"'logit' not available for poisson.*available links are log, sqrt"
    ):
        mf.poisson(link="logit")
    with pytest.raises(FamilyError, match=r"link 'bogus' not available for binomial family"):
        mf.binomial(link="bogus")
    with pytest.raises(FamilyError, match="positive number"):
        mf.negative_binomial(theta=-1.0)
    with pytest.raises(FamilyError, match=r"positive number, not 'sqrt'.*link='sqrt'"):
        mf.negative_binomial("sqrt")
    with pytest.raises(FamilyError, match="variance function 'mu4'"):
        mf.quasi(variance="mu4")


def test_quasi_families_are_refused_in_mixed_models_with_alternatives():
    with pytest.raises(FamilyError, match=r"no likelihood.*betabinomial.*random effect of the observation"):
        mf.refuse_quasi(mf.quasibinomial())
    with pytest.raises(FamilyError, match="nbinom2"):
        mf.refuse_quasi(mf.quasipoisson())
    mf.refuse_quasi(mf.poisson())


def test_families_are_values():
    assert mf.binomial("probit") == mf.binomial("probit") != mf.binomial()
    assert hash(mf.nbinom2(zi=True)) == hash(mf.nbinom2(zi=True))
