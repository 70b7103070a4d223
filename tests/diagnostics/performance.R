# Values of R's performance that test_performance.py compares with: Rscript performance.R > performance.json
suppressMessages({
  library(lme4); library(glmmTMB); library(performance); library(insight); library(jsonlite)
})
data(Machines, package = "nlme"); data(Orthodont, package = "nlme"); data(Oats, package = "nlme")
Machines$Worker <- factor(as.character(Machines$Worker)); Orthodont$Subject <- factor(as.character(Orthodont$Subject))
Oats$Block <- factor(as.character(Oats$Block)); Oats$Variety <- factor(as.character(Oats$Variety))
Orthodont <- as.data.frame(Orthodont); Oats <- as.data.frame(Oats)
cbpp$obs <- factor(seq_len(nrow(cbpp))); sleepstudy$w <- rep(c(1, 2, 0.5), 60)
bobyqa <- function(f) f(optimizer = "bobyqa", optCtrl = list(maxfun = 1e6, rhoend = 1e-9))
L <- bobyqa(lmerControl)
herd <- "cbind(incidence, size - incidence) ~ period + (1 | herd)"
ticks <- "TICKS ~ YEAR + cHEIGHT + (1 | BROOD)"
spec <- list(
  list("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
  list("sleepstudy", "Reaction ~ Days + (1 | Subject)", REML = FALSE),
  list("sleepstudy", "Reaction ~ Days + (1 | Subject)", weights = "w"),
  list("sleepstudy", "Reaction ~ poly(Days, 2) + (1 | Subject)"),
  list("Pastes", "strength ~ 1 + (1 | batch) + (1 | sample)"),
  list("cake", "angle ~ recipe * temp + (1 | recipe:replicate)"),
  list("cake", "angle ~ recipe + temperature + (1 | recipe:replicate)"),
  list("Machines", "score ~ Machine + (1 | Worker)"),
  list("Orthodont", "distance ~ age * Sex + (age | Subject)"),
  list("Oats", "yield ~ nitro + Variety + (1 | Block)"),
  list("cbpp", herd, family = binomial()),
  list("cbpp", herd, family = binomial("probit")),
  list("cbpp", herd, family = binomial("cloglog")),
  list("cbpp", paste(herd, "+ (1 | obs)"), family = binomial()),
  list("grouseticks", ticks, family = poisson()),
  list("grouseticks", "TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX)", family = poisson()),
  list("grouseticks", ticks, family = nbinom2()),
  list("grouseticks", ticks, family = nbinom1()),
  list("sleepstudy", "Reaction ~ Days + (1 | Subject)", family = Gamma("log"))
)
quiet <- function(x) suppressMessages(suppressWarnings(tryCatch(x, error = function(e) NULL)))
fit <- function(s) {
  f <- as.formula(s[[2]]); d <- get(s[[1]])
  if (!is.null(s$weights)) d$.w <- d[[s$weights]]
  cl <- if (is.null(s$family)) {
    bquote(lmer(.(f), d, REML = .(is.null(s$REML)), control = L))
  } else bquote(glmmTMB(.(f), d, family = s$family))
  if (!is.null(s$weights)) cl$weights <- quote(.w)
  eval(cl)
}
# check_heteroscedasticity(lmer) of 0.10.2 takes sigma = 1: its own formula with sigma(m).
breusch_pagan <- function(m) {
  r <- residuals(m, type = "pearson"); U <- r^2 / (df.residual(m) * sigma(m)^2 / length(r))
  pchisq(anova(lm(U ~ fitted(m)))[["Sum Sq"]][1] / 2, 1, lower.tail = FALSE)
}
out <- lapply(spec, function(s) {
  # performance refits the model from its call, so that its parts must be found.
  assign("s", s, globalenv()); d <- get(s[[1]]); if (!is.null(s$weights)) d$.w <- d[[s$weights]]
  assign("d", d, globalenv()); m <- quiet(fit(s))
  r <- quiet(r2_nakagawa(m)); i <- quiet(icc(m)); o <- quiet(check_overdispersion(m)); z <- quiet(check_zeroinflation(m))
  v <- quiet(check_collinearity(m)); n <- quiet(check_normality(m))
  b <- quiet(check_normality(m, effects = "random")); g <- quiet(icc(m, by_group = TRUE))
  list(data = s[[1]], formula = s[[2]], family = s$family$family, link = s$family$link, REML = is.null(s$REML),
       weights = s$weights, loglik = as.numeric(logLik(m)), r2_conditional = unname(r$R2_conditional),
       r2_marginal = unname(r$R2_marginal), icc_adjusted = i$ICC_adjusted, icc_unadjusted = i$ICC_unadjusted,
       by_group = if (is.data.frame(g)) as.list(setNames(g$ICC, g$Group)),
       overdispersion = if (!is.null(o)) unname(unlist(o)[c("chisq_statistic", "dispersion_ratio", "residual_df", "p_value")]),
       zeros = if (!is.null(z)) unname(unlist(z)[c("predicted.zeros", "observed.zeros")]),
       vif = if (!is.null(v)) list(term = v$Term, vif = v$VIF, low = v$VIF_CI_low, high = v$VIF_CI_high),
       heteroscedasticity = if (is.null(s$family)) breusch_pagan(m), normality = if (!is.null(n)) as.numeric(n),
       random_normality = if (!is.null(b)) as.numeric(b))
})
cat(toJSON(out, auto_unbox = TRUE, digits = 12, null = "null", na = "null", pretty = FALSE))
