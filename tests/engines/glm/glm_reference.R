# Makes glm_reference.json: generalized linear models fitted by R's glm, MASS::glm.nb and glmmTMB.
# Run in this folder: Rscript glm_reference.R. Made with R 4.2.2, MASS 7.3-58.2, glmmTMB 1.1.5.
suppressMessages({library(glmmTMB); library(MASS); library(jsonlite)})
set.seed(20)
n <- 60
x <- round(seq(-1.5, 1.5, length.out = n), 4)
z <- rep(c(0, 1, 0), length.out = n)
mu <- exp(0.6 + 0.5 * x - 0.4 * z)
trials <- rep(c(4, 7, 12), length.out = n)
d <- data.frame(
  x = x, z = z, w = rep(c(1, 2, 0.5), length.out = n), trials = trials,
  exposure = rep(c(1, 2.5, 4), length.out = n),
  bernoulli = rbinom(n, 1, plogis(0.3 + x - 0.5 * z)),
  successes = rbinom(n, trials, plogis(0.3 + x - 0.5 * z)),
  overdispersed = rbinom(n, trials, rbeta(n, 3 * plogis(0.3 + x), 3 * plogis(-0.3 - x))),
  count = rpois(n, mu), nb = rnbinom(n, mu = 2 * mu, size = 1.5),
  zeros = ifelse(runif(n) < 0.25, 0, rnbinom(n, mu = 3 * mu, size = 3)),
  positive = round(rgamma(n, 4, 4 / mu), 6), fraction = round(rbeta(n, 6 * plogis(x), 6 * plogis(-x)), 6)
)
d$fraction <- pmin(pmax(d$fraction, 1e-4), 1 - 1e-4)
tight <- glm.control(epsilon = 1e-14, maxit = 200)

glm_record <- function(id, formula, family, data = d, ...) {
  fit <- do.call(glm, list(formula, family = family, data = data, control = tight, ...))
  list(id = id, engine = "glm", beta = unname(coef(fit)), vcov = unname(vcov(fit)), deviance = deviance(fit),
       null_deviance = fit$null.deviance, df_residual = fit$df.residual, df_null = fit$df.null,
       dispersion = summary(fit)$dispersion, loglik = as.numeric(logLik(fit)),
       pearson_X2 = sum(residuals(fit, "pearson")^2), deviance_residuals = unname(residuals(fit, "deviance")[1:6]))
}
polish <- function(fit) {
  p <- fit$fit$par
  for (i in 1:6) {
    g <- as.vector(fit$obj$gr(p)); p <- p - solve(optimHess(p, fit$obj$fn, fit$obj$gr, control = list(ndeps = rep(1e-4, length(p)))), g)
  }
  p
}
tmb_record <- function(id, formula, family, zi = ~0, ...) {
  fit <- glmmTMB(formula, family = family, data = d, ziformula = zi, ...)
  p <- polish(fit)
  H <- optimHess(p, fit$obj$fn, fit$obj$gr, control = list(ndeps = rep(1e-4, length(p))))
  list(id = id, engine = "glmmTMB", beta = unname(p[names(p) == "beta"]), betazi = unname(p[names(p) == "betazi"]),
       betad = unname(p[names(p) == "betad"]), loglik = -fit$obj$fn(p),
       vcov = unname(solve(H)[names(p) == "beta", names(p) == "beta", drop = FALSE]))
}
records <- list()
for (link in c("logit", "probit", "cloglog", "cauchit")) {
  records <- c(records, list(glm_record(paste0("bernoulli_", link), bernoulli ~ x + z, binomial(link)),
    glm_record(paste0("binomial_", link), cbind(successes, trials - successes) ~ x + z, binomial(link))))
}
records <- c(records, list(
  glm_record("binomial_log", I(1 - bernoulli) ~ z, binomial("log")),
  glm_record("binomial_quasi", cbind(successes, trials - successes) ~ x + z, quasibinomial),
  glm_record("poisson_log", count ~ x + z, poisson),
  glm_record("poisson_offset", count ~ x + z + offset(log(exposure)), poisson),
  glm_record("poisson_weights", count ~ x + z, poisson, weights = d$w),
  glm_record("poisson_no_intercept", count ~ 0 + x, poisson),
  glm_record("poisson_sqrt", count ~ x + z, poisson("sqrt"), start = c(1, 0, 0)),
  glm_record("poisson_identity", count ~ z, poisson("identity")),
  glm_record("poisson_quasi", count ~ x + z, quasipoisson),
  glm_record("quasi_mu2", positive ~ x + z, quasi("log", "mu^2")),
  glm_record("gamma_log", positive ~ x + z, Gamma("log")),
  glm_record("gamma_inverse", positive ~ x + z, Gamma("inverse")),
  glm_record("gamma_weights", positive ~ x + z, Gamma("log"), weights = d$w),
  glm_record("inverse_gaussian_log", positive ~ x + z, inverse.gaussian("log"), start = c(0.5, 0, 0)),
  glm_record("inverse_gaussian_canonical", positive ~ x + z, inverse.gaussian, start = c(0.2, 0, 0)),
  glm_record("gaussian_identity", positive ~ x + z, gaussian),
  glm_record("gaussian_log", positive ~ x + z, gaussian("log"), start = c(0.5, 0, 0)),
  glm_record("gaussian_inverse", positive ~ x + z, gaussian("inverse"), start = c(0.5, 0, 0)),
  glm_record("negative_binomial_fixed", nb ~ x + z, negative.binomial(1.5)),
  tmb_record("tmb_nbinom1", nb ~ x + z, nbinom1), tmb_record("tmb_nbinom2", nb ~ x + z, nbinom2),
  tmb_record("tmb_gamma_log", positive ~ x + z, Gamma("log")),
  tmb_record("tmb_gaussian_log", positive ~ x + z, gaussian("log")),
  tmb_record("tmb_beta", fraction ~ x + z, beta_family()),
  tmb_record("tmb_beta_probit", fraction ~ x + z, beta_family("probit")),
  tmb_record("tmb_betabinomial", cbind(overdispersed, trials - overdispersed) ~ x + z, betabinomial()),
  tmb_record("tmb_betabinomial_cloglog", cbind(overdispersed, trials - overdispersed) ~ x + z, betabinomial("cloglog")),
  tmb_record("tmb_zip", zeros ~ x + z, poisson, ~1), tmb_record("tmb_zinb1", zeros ~ x + z, nbinom1, ~1),
  tmb_record("tmb_zinb2", zeros ~ x + z, nbinom2, ~1),
  tmb_record("tmb_hurdle_poisson", zeros ~ x + z, truncated_poisson, ~1),
  tmb_record("tmb_hurdle_nbinom2", zeros ~ x + z, truncated_nbinom2, ~1),
  tmb_record("tmb_hurdle_nbinom1", zeros ~ x + z, truncated_nbinom1, ~1)
))
nb <- glm.nb(nb ~ x + z, d, control = glm.control(epsilon = 1e-14, maxit = 500))
records <- c(records, list(list(id = "glm_nb", engine = "glm.nb", beta = unname(coef(nb)), theta = nb$theta,
  loglik = as.numeric(logLik(nb)), vcov = unname(vcov(nb)), deviance = deviance(nb))))
write_json(list(data = d, records = records), "glm_reference.json", digits = NA, auto_unbox = TRUE, dataframe = "columns", pretty = TRUE)
