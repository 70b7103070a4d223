"""What people type out of habit from other programs, and what to write here: plain data.

Each table gives the advice first and then the names it answers: lower case, dots as underscores. A sentence
completes "lmer() has no argument 'family': ...".
"""

from __future__ import annotations

from collections.abc import Mapping


def by_name(names: Mapping[str, str]) -> dict[str, str]:
    """Return name -> advice for a table of advice -> names."""
    return {name: advice for advice, listed in names.items() for name in listed.split()}


_SEARCH = "the search has no settings; m.optimization shows what it did and m.convergence() its verdict"
_SMALL_SAMPLE = (
    "m.summary() has t tests with degrees of freedom by Satterthwaite's method, "
    "m.summary(ddf='kenward-roger') by Kenward and Roger's"
)
_RESIDUAL_STRUCTURE = (
    "write residual='ar1(time | g)' for correlation of residuals within groups and dispersion='~ x' or "
    "'power(x)' for their variances, in lmer() or, without random effects, mm.gls()"
)
_RE_FORM = "write re_form=mm.NA for predictions without random effects, re_form='~(1 | g)' for some of them"
_BAYES = "there are no priors or chains: the fit is by (restricted) maximum likelihood"
_TESTS = "m.summary().coefficients has estimates, standard errors and tests"
_ERRORS = "write m.standard_errors()"
_PLOTS = (
    "write m.plot() for the first pictures; mm.plot_residuals(m), mm.plot_ranef(m), "
    "mm.plot_effects(m, 'x') and others draw one"
)
_R2 = "write mm.r2(m), or mm.icc(m) for the intraclass correlation"
_MEANS = "write mm.emmeans(m, 'factor'): its pairs() and contrast() compare the means"
_TRENDS = "write mm.emtrends(m, 'factor', var='covariate')"
_EFFECTS = "write mm.average_marginal_effects(m), or mm.emmeans(m, 'factor') for means"
_SCALED = "write mm.scaled_residuals(m), and .test_uniformity() and its like of it"
_INFLUENCE = "write mm.influence(m, 'group'), or mm.influence(m) for each row, and .dfbetas() of it"
_BOOTSTRAP = "write mm.bootstrap(m, nsim=1000), and .confint() of what it returns"
_PROFILE = "write m.profile()"

#: Arguments, by the function they are given to; "" holds for any function.
ARGUMENTS: dict[str, dict[str, str]] = {
    "gee": by_name(
        {
            "write groups='g', the column whose rows are correlated": "id subject subjects cluster group",
            "write corr='exchangeable', 'ar1' or another": "corstr cov_struct cor correlation type working",
            "write time='visit', the column that says where rows are in their groups": "waves repeated",
            "a fixed correlation matrix is corr=R": "zcor",
            "write scale=1 for a known scale": "scale_fix scale_value",
            "write cov_type='robust', 'mancl-derouen' or another": "std_err vcov",
            "write start=, one number for each coefficient": "b start_params",
        }
    ),
    "": by_name(
        {
            "grouping goes into the formula, as in 'y ~ x + (1 | g)'": "groups group",
            "random slopes go into the formula, as in 'y ~ x + (x | g)'": "re_formula exog_re",
            "further variance components go into the formula, as in '(1 | g) + (1 | g:h)'": "vc_formula",
            "predictors go into the formula, as in 'y ~ x + (1 | g)'; new ones into predict(newdata)": "exog",
            "the response goes into the formula, as in 'y ~ x + (1 | g)'": "endog",
            "write na_action='omit' (the default), 'exclude' or 'fail'": "missing",
            "write weights=, the name of a column or one number a row": "freq_weights var_weights",
            "write offset='log(exposure)', with the name of the column": "exposure",
            _SEARCH: "maxiter full_output disp use_sqrt optimizer optctrl",
            "structures of covariance go into the formula, as in 'diag(x | g)'": "free",
            "write start={'theta': ..., 'fixef': ...}": "fe_params",
            "write start={'theta': ...}": "start_params",
            "a robust covariance is asked of the model: m.summary(vcov='CR2'), m.vcov('CR2')": "cov_type",
            _RESIDUAL_STRUCTURE: "cov_struct correlation cor dispformula",
            "write env={'name': value}": "eval_env",
            "the fixed part goes into the formula, as in 'y ~ x + (1 | g)'": "fixed",
            "the random part goes into the formula: random = ~ x | g is '(x | g)'": "random",
            "zero inflation is part of the family: family='zero_inflated_poisson', or mm.poisson(zi=True)": (
                "ziformula zi zi_formula"
            ),
            "a model with a family is fitted by glmer(formula, data, family=...)": "family",
            "a link belongs to a family: family=mm.binomial(link='probit')": "link",
            "a known theta belongs to the family: family=mm.negative_binomial(theta=2)": "theta",
            "theta is estimated and needs no start; known, it is mm.negative_binomial(theta=2)": "init_theta",
            _BAYES: "prior priors chains iter",
            "a fit uses the threads of the BLAS by itself": "cores n_jobs",
            "contrasts of factors are written contrasts={'f': 'contr.sum'}": "factors",
            "an ordered factor is a pandas Categorical with ordered=True": "ordered",
            "ranks are taken before the fit: data['y'].rank()": "rank",
            "permutation tests are not available": "permute",
            "intervals are m.confint()": "conf_int",
            "write print(m.summary())": "summarize",
            "lmer() and glmer() have verbose=; other fits are done at once": "verbose",
            "the deviance as a function of theta is not available": "devfunonly",
            _SMALL_SAMPLE: "ddf p_values",
            "write REML=True or REML=False, in capitals, to lmer()": "reml",
            "write REML=False for maximum likelihood": "ml",
            "write nAGQ=, with small n and capitals AGQ, to glmer()": "nagq",
            "write nAGQ=": "agq n_agq quad_points",
            (
                "write nAGQ= for nodes of quadrature; criteria with other penalties are -2 * m.loglik() + k"
                " * m.npar"
            ): "k",
            "write na_action='omit'": "na_rm",
            "levels that do not occur are dropped always": "drop_unused_levels",
            "the model keeps its matrices: m.model_matrix()": "x",
            "the model keeps its variables: m.model_frame()": "model",
            "write newdata= to predict(), simulate() or model_matrix()": "newdata",
            "write newdata=": "new_data",
            "write newdata= for new rows": "data",
            "write allow_new_levels=True": "allow_new_levels allownewlevels new_levels",
            _RE_FORM: "re_form reform re_form_formula use_rfx",
            "level= belongs to confint()": "level",
            "write se_fit=True": "se sefit return_se",
            "write type='link' or type='response'": "pred_type",
            "write type='link' for the linear predictor, type='response' for the mean": "linear",
            "type='link' or type='response' chooses the scale of a prediction": "which",
            "write level=0.95 for alpha=0.05": "alpha",
            "write level=0.95": "prob conf_level",
            "write parm='x' or parm=['x', 'z']": "parameters param params",
            f"for bootstrap intervals {_BOOTSTRAP}": "boot_type",
            "names of intervals are those of the fixed effects": "oldnames signames",
            "conditional variances come always: m.ranef().to_frame() has condsd": "condvar postvar",
            "write add_dropped=True to fixef()": "add_dropped",
            "write correlation=True or False to summary()": "cor_fixed corr",
            "m.VarCorr() has the parameters of the random effects": "ran_pars",
            "write nsim=, the number of simulated responses": "n size",
            "write seed=": "random_state",
            "write use_u=True to keep the random effects at their modes": "use_re",
        }
    ),
    "lmer": by_name(
        {
            "write REML=True or REML=False in place of method='REML' or method='ML'": "method",
            "quadrature belongs to glmer(formula, data, family=...)": "nagq",
            "the kind of information belongs to glmer()": "hessian",
            "dense or sparse is chosen by the structure of the model; m.factorization shows it": "sparse",
        }
    ),
    "glmer": by_name(
        {
            "REML belongs to linear models, lmer(formula, data, REML=True)": "reml",
            "dense or sparse is chosen by the structure of the model; m.factorization shows it": "sparse",
            "theta of the negative binomial is estimated from the start by itself": "init",
        }
    ),
    "glm": by_name(
        {
            "REML belongs to linear mixed models, lmer(formula, data, REML=True)": "reml",
            "there is nothing to integrate without random effects; glmer() has nAGQ": "nagq",
            "a generalized linear model is fitted by maximum likelihood, by Newton or Fisher scoring": (
                "method"
            ),
            _SEARCH: "control epsilon",
            "a generalized linear model finds its starting values by itself": "start",
            "relmat belongs to models with random effects, lmer() and glmer()": "relmat",
        }
    ),
    "lm": by_name(
        {
            "a generalized linear model is fitted by glm(formula, data, family=...)": "family link",
            "REML belongs to linear mixed models, lmer(formula, data, REML=True)": "reml",
            "there is nothing to integrate without random effects; glmer() has nAGQ": "nagq",
            "least squares has one method": "method",
            "least squares has a closed form, without options": "control",
            "least squares has a closed form, without a start": "start",
            "relmat belongs to models with random effects, lmer() and glmer()": "relmat",
            "m.model_matrix() gives the matrix to factorize": "qr",
            "m.summary(vcov='CR2') has robust standard errors": "robust",
        }
    ),
    "predict": by_name(
        {
            "REML is chosen when the model is fitted": "reml",
            "this model has no random effects and predicts from the fixed effects alone: leave it out": (
                "re_form reform random_only allow_new_levels"
            ),
            "contributions of single terms are columns of m.model_matrix(newdata=...) times m.fixef()": (
                "terms"
            ),
            "write newdata=": "x",
        }
    ),
    "simulate": by_name(
        {
            "responses are simulated on their own scale": "type",
            "there are no random effects": "use_u re_form allow_new_levels",
        }
    ),
    "specify": by_name(
        {
            "write data": "newdata",
            "write beta=, theta= (or sd= and cor=), sigma= and phi=, each by its name": "newparams params",
            "write beta=": "fixef fixed coef coefs effects",
            "write sd={'subject': [25, 6]} and cor={'subject': 0.1}": "varcorr vcov random",
            "write phi=": "dispersion shape",
        }
    ),
    "power": by_name(
        {
            "write rng=1": "seed random_state",
            "write nsim=1000": "n_sim n_simulations n_sims replicates",
            "write method='satterthwaite', 'kenward-roger', 'residual', 'z' or 'lrt'": "ddf",
            "write extend={'subject': 60}": "along n",
            "write newparams={'beta': {'x': 0.4}}": "effect effect_size effects",
            "write mm.power_curve(m, along='subject', breaks=[20, 40, 60])": "breaks",
        }
    ),
    "power_curve": by_name(
        {
            "write rng=1": "seed random_state",
            "write method='satterthwaite', 'kenward-roger', 'residual', 'z' or 'lrt'": "ddf",
            "write along='subject' and breaks=[20, 40, 60]": "extend",
            "write newparams={'beta': {'x': 0.4}}": "effect effect_size effects",
        }
    ),
    "confint": by_name(
        {
            "write method='boot' and rng=1": "seed random_state",
            "write method='boot' and type='percentile', 'basic' or 'bca'": "boot_type",
            "write mm.bootstrap(m, statistic=...), and .confint() of what it returns": "fun",
        }
    ),
    "bootstrap": by_name(
        {
            "write rng=1": "seed random_state",
            "write nsim=1000": "r b n_boot nboot n_resamples",
            "write statistic=lambda m: m.sigma()": "fun func f",
            "write kind='parametric', 'semiparametric', 'cluster' or 'wild'": "type method sim",
            "write n_jobs=2": "ncpus cl parallel cores",
        }
    ),
    "scaled_residuals": by_name(
        {
            "write rng=1": "seed random_state",
            "write nsim=250": "n size n_sim",
            "write re_form=None for conditional simulations, re_form='0' for unconditional ones": (
                "simulate_res conditional unconditional use_u use_re"
            ),
            "write by='g'": "group groups cluster aggregate_by sel",
            "whole numbers are found out by themselves": "integerresponse integer_response",
            "correlated random effects are kept by re_form=None, and need no rotation": "rotation",
            "write n_jobs=2": "ncpus cl parallel cores",
            "print what it returns; .residuals has what pictures show": "plot",
        }
    ),
    "anova": by_name(
        {
            "write type=1, 2 or 3": "typ",
            "write test='F' or 'Chisq'": "test_statistic",
            "write vcov='CR2', or a matrix": "robust cov_type",
            "models are compared by likelihood ratios after a refit by maximum likelihood": "method",
            "write model_names=['m1', 'm2']": "names",
            "write refit=False to compare REML criteria": "reml",
        }
    ),
    "Anova": by_name(
        {
            "write test='F' or 'Chisq'": "test_statistic",
            "write vcov='CR2', or a matrix": "robust cov_type white_adjust",
        }
    ),
    "drop1": by_name(
        {
            "every term that no other contains is left out in turn": "scope",
        }
    ),
    "VarCorr": by_name(
        {
            "write m.VarCorr().to_string(comp=('Variance', 'Std.Dev.'))": "comp",
        }
    ),
    "ranef": by_name(
        {
            "the result is by grouping factor: m.ranef()['g']": "whichel drop",
        }
    ),
    "residuals": by_name(
        {
            "write scaled=True": "scale",
            "write scaled=True for residuals divided by sigma": "standardized",
        }
    ),
    "vcov": by_name(
        {
            "m.summary().fixed_correlation has the correlations": "correlation",
        }
    ),
    "summary": by_name(
        {
            "the dispersion is estimated; m.dispersion() gives it": "dispersion",
            "write vcov='CR2'": "robust cov_type",
        }
    ),
}

#: Options of lme4's control objects.
OPTIONS: dict[str, str] = by_name(
    {
        _SEARCH: (
            "optimizer optctrl maxfun maxeval maxiter ftol xtol tolpwrss compdev calc_derivs boundary_tol "
            "restart_edge use_last_params tol autoscale nagq0initstep"
        ),
        "a singular fit gives no warning; m.is_singular() and m.convergence() tell": (
            "check_conv_singular check_conv_grad check_conv_hess"
        ),
        "write check_random_terms='warning' or 'ignore'": (
            "check_nobs_vs_nlev check_nobs_vs_rankz check_nobs_vs_nre check_nlev_gtreq_5 check_nlev_gtr_1"
        ),
        "write check_rank='stop' or 'ignore'": "check_rankx",
        "predictors may have any scale": "check_scalex",
    }
)

#: Attributes of fitted models.
ATTRIBUTES: dict[str, str] = by_name(
    {
        "write mm.power(m, test='x')": "power powersim",
        "write m.fixef() for the fixed effects": (
            "params fe_params coefs coefficients fixed_effects fixedeffects coef coefficient betas "
            "intercept exog_names x_names exog_re_names fe"
        ),
        _ERRORS: "bse bse_fe se stderr stderror std_err std_errors std_error se_coef standard_error sd",
        _TESTS: (
            "pvalues pvalue p_value p_values p tvalues tvalue zvalues tstat zstat coeftable "
            "coef_table result results summary2 table tables test use_t get_summary"
        ),
        "write m.ranef() for the random effects by grouping factor": (
            "random_effects randomeffects ranefs blup blups eblup random_effects_cov modes condval re"
        ),
        "write m.VarCorr() for variances, standard deviations and correlations": (
            "cov_re vcomp ranef_var ranef_corr varcorr var_corr variance_components vc sigmas "
            "cov_re_unscaled variances sdcor tau"
        ),
        "a model is fitted when it is made; m.refit(newresp) fits it to another response": (
            "fit fit_regularized train estimate run model"
        ),
        _PLOTS: (
            "plots plot_summary plot_diagnostics qqplot dotplot qqmath residplot plot_partial plot_residuals "
            "plot_ranef plot_effects sjplot"
        ),
        "write m.loglik()": "llf loglike loglikelihood log_likelihood logl ll",
        _R2: (
            "r2 rsquared r_squared r2_marginal r2_conditional rsquared_adj icc r2_nakagawa pseudo_rsquared "
            "prsquared score"
        ),
        _MEANS: "lsmeans ls_means difflsmeans post_hoc posthoc contrasts contrast pairs ref_grid cld",
        _TRENDS: "slopes lstrends",
        _EFFECTS: "marginal_effects margins get_margeff comparisons avg_predictions avg_slopes effects",
        _SCALED: "scaled_residuals quantile_residuals simulate_residuals",
        _INFLUENCE: "influence get_influence dfbeta dfbetas dffits covratio mdffits rvc",
        "write m.hatvalues()": "hat leverage leverages hat_matrix_diag",
        "write m.cooks_distance() or, by refits, mm.influence(m, 'group').cooks_distance()": "cooks",
        "write m.rstudent()": "outlier_test resid_studentized resid_studentized_internal",
        _BOOTSTRAP: "bootstrap bootmer boot bootci boot_ci permute",
        _PROFILE: "profile_re prof get_profile",
        "write m.vcov()": "cov_params normalized_cov_params covariance cov",
        "write m.confint()": "conf_int ci conf",
        "write m.predict(newdata, se_fit=True)": "get_prediction get_forecast",
        "write m.predict(newdata, type='response')": "predict_proba",
        "write m.predict()": "predictions prediction",
        "write m.fitted()": "fittedvalues fits yhat fitted_values",
        "write m.residuals()": "resid residual resids",
        "write m.residuals(type='response')": "resid_response",
        "write m.residuals(type='pearson')": "resid_pearson",
        "write m.residuals(type='deviance')": "resid_deviance",
        "write m.residuals(type='working')": "resid_working",
        "write m.sigma() ** 2": "scale sigma2 mse_resid",
        "write m.sigma(), or the root of the mean of m.residuals() ** 2": "rmse",
        "write m.deviance(), of a linear model": "ssr rss",
        "write m.df_residual()": "df_resid dof_residual rdf",
        "len(m.terms()) terms have len(m.fixef()) coefficients": "df_model",
        "write m.npar": "dof",
        "write m.npar, or m.df_residual()": "df",
        "write m.nobs()": "n n_obs",
        "write m.ngrps()": "n_groups ngroups grps",
        "write m.ngrps(), or m.model_frame() for the variables": "groups",
        "write m.convergence() for the verdict and its reasons": "converged warnings messages",
        "write m.optimization": "mle_retvals",
        "write m.optimization, and m.convergence() for the verdict": "optinfo",
        "write m.is_singular()": "issingular singular",
        "write m.is_reml": "reml isreml",
        "write m.REMLcrit()": "remlcrit",
        "write -2 * m.loglik()": "objective",
        "write m.aic()": "aic",
        "write m.bic()": "bic bic_llf",
        "m.estimates.null_deviance has it, of a generalized linear model": "null_deviance",
        "write (m.residuals('pearson') ** 2).sum()": "pearson_chi2",
        "write m.model_matrix()": "exog design_matrix x modelmatrix",
        "write m.model_matrix(type='random')": "z",
        "write m.model_frame()": "modelframe getdata",
        "write m.model_frame() for the variables": "endog",
        "write m.getME('theta')": "getme",
        "write m.getME('Lambda')": "lambda",
        "write m.anova()": "anova_lm anova_table",
        "write m.anova(other)": "lrt compare_lr_test compare_f_test",
        "write m.drop1()": "dropterm",
        "write m.linear_hypothesis('x1 = x2')": (
            "linearhypothesis contest contest1d contestmd f_test t_test wald_test"
        ),
        "write m.ranova()": "rand",
        "write mm.compare(m1, m2)": "compare aicc caic",
        "fit the larger model and compare: m.anova(larger)": "add1",
        "write m.drop1() for one step": "step",
        "a model never changes, so it needs no copy": "copy",
        "write pickle.dump(m, file)": "save",
        "write m.summary().coefficients.to_latex()": "to_latex as_latex",
        "write m.summary().coefficients": "to_pandas to_df",
        "write m.fixef(); a model is no scikit-learn estimator": "get_params",
        "write m.getME('u')": "u",
        "write m.optimization.gradient_norm": "gradient",
        "write m.vcov() for its inverse in the fixed effects": "hess hessian information",
    }
)

#: Names of models with random effects, and what is said where a model without has none of them.
OF_MIXED_MODELS = "ranef VarCorr ngrps is_singular getME REMLcrit theta factorization joint_system spherical"
MIXED_ONLY = "it has no random effects; lmer() and glmer() fit models that do"
#: Attributes of one kind of model, before those of all.
_PROFILE_OF_RESIDUALS = by_name({"write mm.profile(m)": "profile profile_re prof"})
ATTRIBUTES_OF: dict[str, dict[str, str]] = {
    "GlsModel": _PROFILE_OF_RESIDUALS,
    "MmrmModel": _PROFILE_OF_RESIDUALS,
    "LinearModel": by_name(
        {
            "its intervals are m.confint(), without a profile": "profile profile_re prof",
            "write m.r_squared()": "r2 rsquared r_squared score",
            "write m.r_squared(adjusted=True)": "rsquared_adj adj_r_squared adjusted_r_squared",
            "write m.f_statistic()": "fvalue f_pvalue fstatistic f_test fstat",
            "m.summary().coefficients has estimates, standard errors and t tests": (
                "pvalues pvalue p_value p_values p tvalues tvalue tstat coeftable t_test table results"
            ),
        }
    ),
    "GeneralizedLinearModel": by_name(
        {
            f"shares of variance are those of mixed models, and {MIXED_ONLY}": (
                "r2 rsquared r_squared r2_nakagawa pseudo_rsquared prsquared icc"
            ),
            "m.summary().coefficients has estimates, standard errors and tests": (
                "pvalues pvalue p_value p_values p tvalues tvalue zvalues tstat zstat coeftable results"
            ),
        }
    ),
    "GeneralizedLinearMixedModel": by_name(
        {
            "m.summary().coefficients has estimates, standard errors and z tests": (
                "pvalues pvalue p_value p_values p tvalues tvalue zvalues zstat coeftable table results"
            )
        }
    ),
}

#: Names of the package.
PACKAGE: dict[str, str] = by_name(
    {
        "write mm.lmer('y ~ x + (1 | g)', data); grouping goes into the formula, as in 'y ~ x + (1 | g)'": (
            "mixedlm mixed_lm mixed lmm mixedmodel lme blmer model fit mixedeffects mixed_model lmer"
        ),
        "write mm.power(m, test='x')": "powersim power_sim",
        "write mm.power_curve(m, along='subject', breaks=[20, 40])": "powercurve",
        "write mm.specify('y ~ x + (1 | g)', data, beta=[10, 0.5], sd=1, sigma=2)": (
            "makelmer makeglmer make_lmer make_glmer simulate_formula"
        ),
        _SMALL_SAMPLE: "lmertest satmodcomp kenward_roger satterthwaite ddf",
        "write mm.kr_modcomp(large, small)": "krmodcomp",
        "write m.vcov('kenward-roger')": "vcovadj",
        "write mm.glmer('y ~ x + (1 | g)', data, family='binomial')": (
            "glmm glmmtmb bglmer mixed_model_glm glmmadaptive binomialbayesmixedglm poissonbayesmixedglm "
            "glmer"
        ),
        "write mm.glm('y ~ x', data, family='binomial')": "logit probit logisticregression glm_binomial glm",
        "write mm.lm('y ~ x', data)": "ols wls linear_regression linearregression regress lm",
        "write mm.glmer_nb('y ~ x + (1 | g)', data)": "glmer_nb glmernb glm_nb negbin",
        "write mm.glmer(formula, data, family, method='pql')": "glmmpql",
        "write mm.nlmer('y ~ SSlogis(x, Asym, xmid, scal) ~ Asym | g', data)": "nlme nlmer nlmm saemix",
        "nonlinear models without random effects are not available": "nls gnls",
        "smooths are not available; bs() and ns() are splines in a formula": "gam gamm gamm4 bam",
        "write mm.gee('y ~ x', data, groups='g', family='binomial')": "gee geeglm geese",
        "models of ordered or many classes are not available": "clm clmm polr mnlogit orderedmodel",
        "models of survival times are not available": "coxme coxph",
        _BAYES: "brm stan_lmer stan_glmer mcmcglmm bambi",
        "write 'from mixedmodels.sklearn import MixedModelRegressor'": "mixedmodelregressor",
        "write 'from mixedmodels.sklearn import MixedModelClassifier'": "mixedmodelclassifier",
        "write mm.LmerControl()": "lmercontrol",
        "write mm.GlmerControl()": "glmercontrol",
        "write mm.fixef(m), or m.fixef()": "fixed_effects",
        "write mm.ranef(m), or m.ranef()": "random_effects",
        _ERRORS: "standard_errors se stderror se_fixef std_error",
        "write mm.fixef(m) or, of each level, mm.coef(m)": "coefs",
        "write mm.VarCorr(m)": "var_corr varcorr",
        "write m.is_reml": "is_reml isreml",
        "write m.optimization": "optimization",
        _R2: "r2_nakagawa r_squaredglmm performance r_squared model_performance variance_decomposition r2_xu",
        "write mm.r2(m, method='rights-sterba')": "r2mlm r2mlm_manual",
        "write mm.check_zero_inflation(m)": "check_zeroinflation",
        "write mm.check_collinearity(m)": "vif gvif multicollinearity",
        "write mm.demean(data, 'x', by='g')": "degroup detrend group_center group_mean_center within_between",
        _MEANS: "lsmeans ls_means difflsmeans contrasts contrast pairs glht ref_grid cld ggpredict effects",
        _TRENDS: "slopes lstrends",
        _BOOTSTRAP: "bootmer boot",
        "write mm.pb_modcomp(large, small)": "pbkrtest pbmodcomp",
        "write mm.exact_rlrt(m)": "exactrlrt rlrtsim rlrsim",
        "write mm.exact_lrt(m, null)": "exactlrt",
        "write mm.pool(fits)": "pool_fits mitools mice testestimates",
        "write mm.refit_many(m, Y)": "lmer_many",
        "write profile(m)": "thpr profile_likelihood",
        _SCALED: (
            "simulateresiduals simulate_residuals dharma testresiduals testuniformity testdispersion "
            "testoutliers testzeroinflation testquantiles testtemporalautocorrelation "
            "testspatialautocorrelation recalculateresiduals qresiduals qresid check_residuals "
            "randomized_quantile_residuals quantile_residuals"
        ),
        _INFLUENCE: "case_delete hlm_influence estex dfbeta dfbetas covratio covtrace mdffits rvc",
        "write mm.hatvalues(m)": "leverage",
        _PLOTS: "plots sjplot autoplot",
        "write mm.plot_ranef(m)": "dotplot caterpillar caterpillarplot",
        "write mm.plot_ranef_qq(m) for random effects, mm.plot_qq(m) for residuals": "qqmath qqnorm qqplot",
        "write mm.plot_effects(m, 'x') for effects, mm.plot_coefs(m) for coefficients": "plot_model",
        "write mm.plot_effects(m, 'x')": "effect_plot alleffects plot_predictions emmip interact_plot",
        "write mm.plot_coefs(m)": "modelplot coefplot dwplot ggcoef ggcoef_model plot_summs",
        "write mm.plot_profile(m) for profiles, mm.plot_groups(m) for fits of groups": "xyplot",
        "write mm.plot_profile_density(m)": "densityplot",
        "write mm.plot_profile_pairs(m), or mm.plot_ranef_pairs(m) of random effects": "splom pairsplot",
        "write mm.plot_shrinkage(m)": "shrinkageplot",
        "write mm.plot_binned_residuals(m)": "binnedplot binned_residuals",
        "write mm.anova(m)": "anova_lm",
        "write mm.anova(m0, m1)": "lrtest lrt",
        "write mm.compare(m1, m2)": "compare_performance model_sel aictab aicctab caic aicc",
        "write mm.linear_hypothesis(m, 'x1 = x2')": (
            "linearhypothesis contest contest1d contestmd lht wald_test"
        ),
        "write mm.ranova(m)": "rand",
        "one optimiser reaches the optimum; m.convergence() says how surely": "allfit",
        "write mm.is_singular(m)": "issingular",
        "write mm.model_terms(formula, data)": "lformula",
        "the deviance as a function of theta is not available; mm.model_terms() has the matrices": (
            "mklmerdevfun"
        ),
        "it belongs to pandas; any of its data frames will do as data": (
            "read_csv read_excel read_table read_parquet dataframe series categorical"
        ),
        "write mm.load_dataset('sleepstudy'); mm.list_datasets() has the names": (
            "data dataset get_rdataset load_data load get_data"
        ),
        "it belongs inside the text of a formula": (
            "cbind factor offset log exp poly i c bs ns center relevel ordered contr_sum contr_treatment "
            "contr_helmert sum treatment us ar1 cs diag dummy"
        ),
        "it belongs inside the text of a formula; the residual standard deviation is m.sigma()": "scale",
        "write None": "null",
        "write True": "true",
        "write False": "false",
        "write mm.inverse_gaussian()": "inversegaussian inverse_gaussian",
        "write mm.nbinom2(), or mm.negative_binomial(theta) with theta known": "negativebinomial nbinom nb",
        "write mm.betabinomial()": "betabinomial",
        "write mm.beta()": "beta_family",
        "families are functions of the package: mm.binomial(), mm.poisson(), mm.Gamma()": "families",
        "a link is a name: mm.binomial(link='probit')": "links",
        "this family is not available": "student_t t_family tweedie lognormal",
        "there are no global options; control=mm.LmerControl(...) has those of a fit": "options",
        "the environment variable OPENBLAS_NUM_THREADS sets the threads": "set_threads",
    }
)

# Values of arguments in an example of a call, and those of some functions that differ.
EXAMPLE_VALUES = {"formula": "'y ~ x + (1 | g)'", "data": "data", "model": "m", "fit": "m", "name": "'theta'"}
EXAMPLE_VALUES_OF = {
    "glm": {"formula": "'y ~ x'"},
    "gee": {"formula": "'y ~ x'", "groups": "groups='g'"},
    "lm": {"formula": "'y ~ x'"},
    "lm_list": {"formula": "'y ~ x | g'"},
    "load_dataset": {"name": "'sleepstudy'"},
    "demean": {"x": "'x'", "by": "'g'"},
    "model_terms": {"formula": "'y ~ x'"},
    "power": {"model": "m, test='x'"},
    "power_curve": {"model": "m, along='subject', breaks=[20, 40]"},
    "extend": {"data": "data, subject=60"},
    "specify": {"data": "data, beta=[10, 0.5], sd=1, sigma=2"},
}

#: What a function takes that is given things one by one where it has one list of them.
LISTS = {"pool": "one list of fits, one for each imputed data set: write pool([m1, m2, m3])"}
