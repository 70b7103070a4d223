# Log-likelihoods and estimates of the models in test_by_correlation.py, by glmmTMB 1.1.5.
suppressMessages(library(glmmTMB))
d <- read.csv("series.csv"); d$s <- factor(d$s); d$f <- factor(d$t)
p <- read.csv("places.csv"); p$g <- factor(p$g); p$pos <- numFactor(p$x, p$z)
show <- function(m, what) {
  v <- VarCorr(m)$cond[[1]]
  cat(sprintf("%-5s %s: %.8f beta %s sigma %.6f sd %s cor %s\n", what, c("ML", "REML")[1 + m$modelInfo$REML],
    logLik(m), paste(format(fixef(m)$cond, digits = 7), collapse = " "), sigma(m),
    paste(format(attr(v, "stddev")[1:4], digits = 6), collapse = " "),
    paste(format(attr(v, "correlation")[1, 2:4], digits = 6), collapse = " ")))
}
for (reml in c(FALSE, TRUE)) {
  show(glmmTMB(y ~ x + toep(0 + f | s), d, REML = reml), "toep")
  show(glmmTMB(y ~ cov + exp(pos + 0 | g), p, REML = reml), "exp")
  show(glmmTMB(y ~ cov + gau(pos + 0 | g), p, REML = reml), "gau")
}
show(glmmTMB(y2 ~ 1 + exp(pos + 0 | g), p, family = poisson), "exp")
