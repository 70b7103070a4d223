# Makes pql_reference.json: MASS::glmmPQL's algorithm iterated until eta is still (it stops at 1e-6 itself).
# Run in this folder: Rscript pql_reference.R. Made with R 4.2.2, MASS 7.3-58.2, nlme 3.1-162.
suppressMessages({library(nlme); library(jsonlite)})
read <- function(name) read.csv(file.path("../../datasets", paste0(name, ".csv")), stringsAsFactors = TRUE)
tight <- lmeControl(msTol = 1e-14, tolerance = 1e-13, niterEM = 0, msMaxIter = 500, opt = "nlminb",
                    msMaxEval = 2000, maxIter = 200, msVerbose = FALSE, returnObject = TRUE)

pql <- function(id, formula, random, family, data, group, method = "ML") {
  start <- glm(formula, family = family, data = data)
  shift <- if (is.null(start$offset)) 0 else start$offset
  eta <- start$linear.predictors; y <- start$y; w <- start$prior.weights
  X <- model.matrix(start); X <- as.data.frame(X); names(X) <- paste0("X", seq_along(X))
  frame <- cbind(data, X)
  fixed <- reformulate(c("0", names(X)), ".z")
  for (i in 1:200) {
    mu <- family$linkinv(eta); slope <- family$mu.eta(eta)
    frame$.z <- eta - shift + (y - mu) / slope
    frame$.inverse <- 1 / (w * slope^2 / family$variance(mu))
    fit <- lme(fixed, random = random, data = frame, weights = varFixed(~.inverse), method = method, control = tight)
    new <- fitted(fit) + shift
    change <- sqrt(sum((new - eta)^2) / sum(new^2)); eta <- new
    if (change < 1e-11) break
  }
  list(id = id, method = method, beta = unname(fixef(fit)), se = unname(sqrt(diag(fit$varFix))), sigma = fit$sigma,
       sd = unname(as.numeric(VarCorr(fit)[seq_len(ncol(ranef(fit))), "StdDev"])), iterations = i, change = change,
       covariance = matrix(as.numeric(getVarCov(fit)), ncol(ranef(fit))))
}
contraception <- read("Contraception")
seizures <- read("seizures"); seizures$followup <- seizures$visit > 0
toxoplasmosis <- read("toxoplasmosis"); toxoplasmosis$x <- (toxoplasmosis$rain - 1900) / 100
seeds <- read("seeds"); seeds$seed <- factor(seeds$seed, levels = c("aegyptiaca75", "aegyptiaca73"))
seeds$extract <- factor(seeds$extract, levels = c("bean", "cucumber"))
bacteria <- read("bacteria"); bacteria$trt <- factor(bacteria$trt, levels = c("placebo", "drug", "drug+"))
toenail <- read("toenail")
toenail <- transform(toenail, Response = as.integer(outcome == "moderate or severe"), Month = time,
                     Treatment = as.integer(treatment == "terbinafine"), ID = patientID)
cases <- list(
  pql("bacteria", y ~ trt + I(week > 2), ~ 1 | ID, binomial(), bacteria),
  pql("contraception", use ~ age + I(age^2) + urban + livch, ~ urban | district, binomial(), contraception),
  pql("seeds", cbind(r, n - r) ~ seed * extract, ~ 1 | plate, binomial(), seeds),
  pql("seizures", count ~ offset(log(weeks)) + followup * group, ~ 1 | id, poisson(), seizures),
  pql("toxoplasmosis", cbind(r, m - r) ~ x + I(x^2) + I(x^3), ~ 1 | city, binomial(), toxoplasmosis),
  pql("toxoplasmosis_probit", cbind(r, m - r) ~ x, ~ 1 | city, binomial("probit"), toxoplasmosis),
  pql("seeds_reml", cbind(r, n - r) ~ seed * extract, ~ 1 | plate, binomial(), seeds, method = "REML"),
  pql("orthodont_gamma", distance ~ age + Sex, ~ 1 | Subject, Gamma("log"),
      transform(read("Orthodont"), Sex = factor(Sex, levels = c("Male", "Female")))),
  pql("toenail", Response ~ Month * Treatment, ~ 1 | ID, binomial(), toenail)
)
write_json(cases, "pql_reference.json", digits = NA, auto_unbox = TRUE, pretty = TRUE)
