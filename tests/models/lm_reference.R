# Makes lm_reference.json: linear models and the tests of generalized linear models with a dispersion, by R.
# Run in this folder: Rscript lm_reference.R. Made with R 4.2.2.
library(jsonlite)
options(width = 80)
set.seed(31)
n <- 40
d <- data.frame(
  x = round(rnorm(n), 4), z = round(runif(n, 10, 20), 3), f = rep(c("a", "b", "c", "d"), length.out = n),
  w = rep(c(1, 2, 0.5, 3), each = 10), v = rep(c(1, 0, 2, 1.5), length.out = n), o = round(rnorm(n, 5), 3)
)
d$y <- round(2 + 0.7 * d$x - 0.1 * d$z + (d$f == "b") + rnorm(n, sd = 0.6), 4)
d$twice <- 2 * d$x + 1
d$holes <- ifelse(seq_len(n) %in% c(3, 17), NA, d$x)
d$positive <- round(rgamma(n, 4, 4 / exp(0.5 + 0.4 * d$x)), 5)
d$f <- factor(d$f)
small <- d[1:6, ]
saturated <- d[1:2, ]

lines_of <- function(x) capture.output(print(x))
record <- function(id, call) {
  m <- eval(call)
  s <- summary(m)
  full <- length(coef(m)) > 0
  list(
    id = id, coef = as.list(coef(m)), vcov = unname(vcov(m, complete = FALSE)), sigma = sigma(m),
    df = df.residual(m), rsq = s$r.squared, adj = s$adj.r.squared, f = unname(s$fstatistic),
    table = unname(coef(s)), loglik = as.numeric(logLik(m)), aic = AIC(m), bic = BIC(m), deviance = deviance(m),
    confint = unname(confint(m)[!is.na(coef(m)), , drop = FALSE]), hat = unname(hatvalues(m)),
    residuals = unname(residuals(m)), pearson = unname(residuals(m, "pearson")), fitted = unname(fitted(m)),
    summary = lines_of(s), print = lines_of(m), anova = if (full) unname(as.matrix(anova(m))) else NULL,
    anova_text = if (full) lines_of(anova(m)) else NULL
  )
}
records <- list(
  record("simple", quote(lm(formula = y ~ x, data = d))),
  record("factor", quote(lm(formula = y ~ x * f + z, data = d))),
  record("weights", quote(lm(formula = y ~ x + f, data = d, weights = w))),
  record("zero_weights", quote(lm(formula = y ~ x + z, data = d, weights = v))),
  record("no_intercept", quote(lm(formula = y ~ 0 + x + z, data = d))),
  record("offset", quote(lm(formula = y ~ x + offset(o), data = d))),
  record("offset_weights", quote(lm(formula = y ~ x, data = d, weights = w, offset = o))),
  record("mean", quote(lm(formula = y ~ 1, data = d))),
  record("missing", quote(lm(formula = y ~ holes + f, data = d))),
  record("dropped", quote(lm(formula = y ~ x + twice + f, data = d))),
  record("poly", quote(lm(formula = y ~ poly(z, 3), data = d))),
  record("small", quote(lm(formula = y ~ x + z, data = small)))
)
new <- data.frame(x = c(0.5, -1), z = c(12, 19), f = c("a", "d"), w = c(1, 2), o = c(4, 6))
m <- lm(y ~ x * f + z, d, weights = w)
p <- predict(m, new, se.fit = TRUE)
models <- list(lm(y ~ 1, d), lm(y ~ x + z, d), lm(y ~ x * f + z, d))
several <- anova(models[[1]], models[[3]], models[[2]])
pair <- anova(models[[1]], models[[2]])

glm_record <- function(id, formula, family) {
  m <- glm(formula, family, d, control = glm.control(epsilon = 1e-14, maxit = 200))
  s <- summary(m)
  list(id = id, table = unname(coef(s)), columns = colnames(coef(s)), dispersion = s$dispersion, df = s$df[2], hat = unname(hatvalues(m)))
}
glms <- list(
  glm_record("gaussian", y ~ x + f, gaussian), glm_record("gaussian_log", positive ~ x, gaussian("log")),
  glm_record("Gamma_log", positive ~ x + z, Gamma("log")), glm_record("Gamma", positive ~ x, Gamma),
  glm_record("inverse", positive ~ x, inverse.gaussian("log")), glm_record("quasi", positive ~ x, quasi("log", "mu^2"))
)
write_json(list(data = d, records = records, new = new,
  prediction = list(fit = unname(p$fit), se = unname(p$se.fit)), several = unname(as.matrix(several)),
  pair = unname(as.matrix(pair)), glms = glms),
  "lm_reference.json", digits = 16, auto_unbox = TRUE, na = "null")
