# Make the golden texts: what R 4.2 / lme4 1.1-31 prints, at tightly converged fits, in lme4 2.x's layout.
#   Rscript golden.R FOLDER
# Differences of lme4 2.x that are applied here: the column "deviance" is called "-2*log(L)", and the
# log-likelihood of a quadrature fit includes the saturated constant.
suppressMessages({library(lme4); library(nlme, include.only = "Machines")})
out <- commandArgs(TRUE)[1]
data(Machines, package = "nlme", envir = environment())
Machines <- data.frame(score = Machines$score, Machine = factor(Machines$Machine, ordered = FALSE),
                       Worker = factor(Machines$Worker, levels = sort(levels(Machines$Worker)), ordered = FALSE))
cbpp$obs <- factor(seq_len(nrow(cbpp)))
sleepstudy$w <- rep(c(1, 2, 0.5), 60)
sleepstudy$shift <- rep(c(0, 10), 90)
sleepstudy$Double <- 2 * sleepstudy$Days
linear <- lmerControl(optimizer = "nloptwrap", optCtrl = list(xtol_abs = 1e-13, ftol_abs = 1e-13, xtol_rel = 0, ftol_rel = 0))
tight <- glmerControl(tolPwrss = 1e-13, optimizer = "bobyqa", optCtrl = list(maxfun = 1e5, rhoend = 1e-9),
                      check.conv.grad = "ignore")

quiet <- function(x) suppressMessages(suppressWarnings(x))

tab <- function(fit, constant, digits) {
  ll <- as.numeric(logLik(fit)) - constant / 2
  k <- attr(logLik(fit), "df")
  v <- round(c(AIC = -2 * ll + 2 * k, BIC = -2 * ll + k * log(nobs(fit)), logLik = ll, "-2*log(L)" = -2 * ll,
               df.resid = df.residual(fit)), digits)
  f <- format(v)
  f["df.resid"] <- format(v["df.resid"])
  capture.output(print(f, quote = FALSE))
}
relabel <- function(lines, fit, constant, digits) {
  at <- grep("^ *AIC +BIC", lines)
  if (length(at)) lines[at + 0:1] <- tab(fit, constant, digits)
  lines
}
# lme4 differences a coarse Hessian and stops early: polish the optimum by Newton steps on its own objective,
# refit from there, and give the fit an accurate Hessian.
exact <- function(fit) {
  dev <- update(fit, devFunOnly = TRUE)
  par <- c(getME(fit, "theta"), fixef(fit))
  for (i in 1:3) par <- par - solve(numDeriv::hessian(dev, par), numDeriv::grad(dev, par))
  k <- length(getME(fit, "theta"))
  at <- list(theta = par[seq_len(k)], fixef = par[-seq_len(k)])
  polish <- glmerControl(tolPwrss = 1e-13, optimizer = "bobyqa", nAGQ0initStep = FALSE, calc.derivs = TRUE,
                         optCtrl = list(rhobeg = 1e-7, rhoend = 1e-10), check.conv.grad = "ignore")
  call <- fit@call
  new <- suppressMessages(suppressWarnings(update(fit, start = at, control = polish)))
  new@call <- call
  new@optinfo$derivs$Hessian <- numDeriv::hessian(dev, c(getME(new, "theta"), fixef(new)))
  new
}
put <- function(name, what, lines) writeLines(lines, file.path(out, paste0(name, ".", what, ".txt")))
emit <- function(name, fit, constant = 0) {
  # the control argument is how this script converges tightly, not part of the model
  if (isGLMM(fit)) fit <- exact(fit)
  fit@call$control <- NULL
  put(name, "print", relabel(capture.output(print(fit)), fit, constant, 4))
  put(name, "summary", relabel(capture.output(print(summary(fit))), fit, constant, 1))
  # cake has degrees of freedom of 257.811817, of which lme4's optimum gives seven digits and R prints eight
  if (!isGLMM(fit) && length(fixef(fit)) && name != "cake") tests(name, fit)
  invisible(fit)
}
# lmerTest 3.1-3 and pbkrtest 0.5-2; the latter leaves out prior weights, so it has no text of a weighted fit.
tests <- function(name, fit) {
  new <- quiet(lmerTest::as_lmerModLmerTest(fit))
  put(name, "satterthwaite", relabel(capture.output(print(summary(new))), fit, 0, 1))
  if (isREML(fit) && is.null(fit@call$weights))
    put(name, "kenward-roger", capture.output(print(summary(new, ddf = "Kenward-Roger"))))
}
# The mean of Dyestuff is 1527.5, and rounding noise would decide how four digits of it print.
tie <- function(fit) { fit@beta <- round(fit@beta, 9); fit }

emit("dyestuff", tie(lmer(Yield ~ 1 + (1 | Batch), Dyestuff, control = linear)))
emit("dyestuff_ml", lmer(Yield ~ 1 + (1 | Batch), Dyestuff, REML = FALSE, control = linear))
emit("dyestuff2", quiet(lmer(Yield ~ 1 + (1 | Batch), Dyestuff2, control = linear)))
fm <- emit("sleepstudy", lmer(Reaction ~ Days + (Days | Subject), sleepstudy, control = linear))
emit("sleepstudy_ml", lmer(Reaction ~ Days + (Days | Subject), sleepstudy, REML = FALSE, control = linear))
emit("sleepstudy_double_bar", lmer(Reaction ~ Days + (Days || Subject), sleepstudy, control = linear))
emit("sleepstudy_rank", quiet(lmer(Reaction ~ Days + Double + (1 | Subject), sleepstudy, control = linear)))
emit("sleepstudy_arguments", lmer(Reaction ~ Days + (1 | Subject), sleepstudy, weights = w, offset = shift,
                                  subset = Days > 1, control = linear))
emit("sleepstudy_no_fixed", quiet(lmer(Reaction ~ 0 + (1 | Subject), sleepstudy, REML = FALSE, control = linear)))
emit("penicillin", lmer(diameter ~ 1 + (1 | plate) + (1 | sample), Penicillin, control = linear))
emit("pastes", lmer(strength ~ 1 + (1 | batch/cask), Pastes, control = linear))
emit("cake", lmer(angle ~ recipe + temp + (1 | recipe:replicate), cake, control = linear))
emit("cake_large", quiet(lmer(angle ~ recipe * temperature + (1 | recipe:replicate), cake, control = linear)))
emit("machines", quiet(lmer(score ~ Machine + (Machine | Worker), Machines, control = linear)))
saturated <- -2 * sum(dbinom(cbpp$incidence, cbpp$size, cbpp$incidence / cbpp$size, log = TRUE))
g1 <- emit("cbpp", quiet(glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, family = binomial, control = tight)))
emit("cbpp_agq9", quiet(glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), cbpp, family = binomial, nAGQ = 9, control = tight)), saturated)
emit("cbpp_obs", quiet(glmer(cbind(incidence, size - incidence) ~ period + (1 | herd) + (1 | obs), cbpp, family = binomial, control = tight)))
emit("cbpp_weights", quiet(glmer(incidence/size ~ period + (1 | herd), cbpp, family = binomial(link = "probit"), weights = size, control = tight)))
emit("grouseticks", quiet(glmer(TICKS ~ YEAR + cHEIGHT + (1 | BROOD) + (1 | INDEX) + (1 | LOCATION), grouseticks, family = poisson, control = tight)))
vc <- VarCorr(fm)
put("sleepstudy", "VarCorr", capture.output(print(vc)))
put("sleepstudy", "VarCorr_variance", capture.output(print(vc, comp = "Variance")))
put("sleepstudy", "VarCorr_both", capture.output(print(vc, comp = c("Variance", "Std.Dev."))))
put("machines", "VarCorr", capture.output(print(VarCorr(quiet(lmer(score ~ Machine + (Machine | Worker), Machines, control = linear))))))

rename <- function(a) { names(a)[names(a) == "deviance"] <- "-2*log(L)"; a }
m1 <- lmer(Reaction ~ Days + (1 | Subject), sleepstudy, control = linear)
m2 <- fm
put("sleepstudy", "anova", capture.output(print(rename(quiet(anova(m1, m2))))))
put("sleepstudy", "anova_one", capture.output(print(anova(fm))))
put("sleepstudy", "drop1", capture.output(print(drop1(fm, test = "Chisq"))))
put("cake", "anova_one", capture.output(print(anova(lmer(angle ~ recipe * temperature + (1 | recipe:replicate), cake, control = linear)))))
put("cake", "drop1", capture.output(print(drop1(lmer(angle ~ recipe + temp + (1 | recipe:replicate), cake, control = linear), test = "Chisq"))))
m1 <- quiet(glmer(cbind(incidence, size - incidence) ~ 1 + (1 | herd), cbpp, family = binomial, control = tight))
m2 <- g1
put("cbpp", "anova", capture.output(print(rename(anova(m1, m2)))))
put("cbpp", "anova_one", capture.output(print(anova(g1))))
