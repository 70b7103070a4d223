# Writes broom_mixed.json: tables of broom.mixed 0.2.9.4 for the models of test_broom_mixed.py.
suppressMessages({library(lme4); library(broom.mixed); library(jsonlite)})
args <- commandArgs(trailingOnly = FALSE)
out <- file.path(dirname(sub("--file=", "", grep("--file=", args, value = TRUE))), "broom_mixed.json")
tight <- lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-10))
gtight <- glmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-9), tolPwrss = 1e-12)
show <- function(x) lapply(as.data.frame(x), function(v) if (is.numeric(v)) as.numeric(v) else as.character(v))
plain <- function(m) {
  a <- suppressWarnings(as.data.frame(augment(m)))
  list(
    default = show(tidy(m)), wald = show(tidy(m, effects = "fixed", conf.int = TRUE)),
    modes = show(head(tidy(m, effects = "ran_vals", conf.int = TRUE), 20)),
    coefs = show(head(tidy(m, effects = "ran_coefs"), 20)), vcov = show(tidy(m, "ran_pars", scales = "vcov")),
    glance = show(glance(m)), augment = show(head(a[startsWith(names(a), ".")], 8)))
}
sleep <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = tight)
split <- lmer(Reaction ~ Days + (Days || Subject), sleepstudy, weights = rep(1:2, 90), REML = FALSE, control = tight)
pastes <- lmer(strength ~ 1 + (1 | batch/cask), Pastes, control = tight)
cbpp1 <- glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, binomial, control = gtight)
ticks <- glmer(TICKS ~ YEAR + (1 | BROOD) + (1 | LOCATION), grouseticks, poisson, control = gtight)
result <- lapply(list(sleepstudy = sleep, weighted = split, pastes = pastes, cbpp = cbpp1, ticks = ticks), plain)
result$sleepstudy$profile <- show(suppressMessages(tidy(sleep, conf.int = TRUE, conf.method = "profile")))
result$cbpp$ratios <- show(tidy(cbpp1, "fixed", conf.int = TRUE, exponentiate = TRUE))
tests <- lmerTest::lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = tight)
result$sleepstudy$satterthwaite <- show(tidy(tests, conf.int = TRUE))
result$sleepstudy$kenward_roger <- show(tidy(tests, "fixed", ddf.method = "Kenward-Roger"))
write(toJSON(result, digits = I(10), na = "null"), out)
