"""Families and links of other programs, and what to write here: plain data, as in names.py."""

from __future__ import annotations

from mixedmodels.foreign.names import by_name

#: Families of other programs that are not here.
FAMILIES: dict[str, str] = by_name(
    {
        "it is lmer() of the logarithm, 'log(y) ~ x + (1 | g)'": "lognormal log_normal",
        "of more than two classes two at a time are compared with family='binomial'": (
            "multinomial categorical"
        ),
        "an ordered response is fitted cut by cut with family='binomial', as in y >= 2 and y >= 3": (
            "cumulative ordinal ordered sratio cratio acat clm clmm polr proportional_odds"
        ),
        "lmer() of a transformed response may do where errors have heavy tails or are skewed": (
            "t student student_t studentt t_family cauchy laplace skew_normal skewnormal asym_laplace sn "
            "logistic exgaussian gumbel"
        ),
        "for positive responses there are 'Gamma' and 'inverse.gaussian' with a log link": (
            "tweedie compound_poisson weibull exponential pareto frechet loggamma generalized_gamma "
            "chi_squared"
        ),
        (
            "for counts with more spread than the Poisson there are 'nbinom2', 'nbinom1' and observation-"
            "level effects"
        ): (
            "compois genpois com_poisson generalized_poisson conway_maxwell_poisson truncated_compois "
            "truncated_genpois hurdle_lognormal geometric quasinegbin"
        ),
        (
            "zero parts are available for counts: 'zero_inflated_poisson', 'zero_inflated_nbinom2', "
            "'hurdle_poisson'"
        ): (
            "ordbeta zero_inflated_binomial zero_inflated_beta zero_one_inflated_beta hurdle_gamma zigamma "
            "zi_gamma zoib beta_zi hurdle_beta"
        ),
        "no family here is near it": "von_mises vonmises dirichlet wiener bell nbinom12",
    }
)

#: Families under other names, which are suggested and not guessed.
FAMILY_MEANT: dict[str, str] = by_name(
    {
        "nbinom2": "nb negbin negbinomial nbinom nb2 neg_binomial nbinomial",
        "nbinom1": "nb1",
        "binomial": "binary logistic_regression bin binom dichotomous",
        "poisson": "pois count counts",
        "gaussian": "gauss norm linear ols lm",
        "quasipoisson": "quasi_poisson overdispersed_poisson",
        "quasibinomial": "quasi_binomial",
        "zero_inflated_poisson": "zi_poisson zipoisson zero_inflated",
        "zero_inflated_nbinom2": "zinbinom zero_inflated_negbinomial zero_inflated_negative_binomial",
        "hurdle_poisson": "hurdle hurdle_pois",
        "hurdle_nbinom2": "hurdle_negbinomial hurdle_negative_binomial",
        "inverse.gaussian": "ig wald invgauss",
    }
)

#: Links given as a family, and a constructor that has them.
LINKS: dict[str, str] = by_name(
    {
        "binomial": "logit probit cloglog loglog cauchit",
        "poisson": "log sqrt",
        "gaussian": "identity",
        "Gamma": "inverse",
        "inverse_gaussian": "1/mu^2",
    }
)
