# Writes structure_reference.json: fits with structured covariances by glmmTMB and nlme.
# Usage, from the top of the repository: Rscript tests/covariance/make_structure_reference.R
suppressMessages({library(glmmTMB); library(nlme); library(jsonlite)})

catalogue <- fromJSON("datasets/datasets.json", simplifyVector = FALSE)$datasets
names(catalogue) <- vapply(catalogue, function(entry) entry$name, "")
load_dataset <- function(name) {
  entry <- catalogue[[name]]
  raw <- read.csv(file.path("datasets", entry$file), colClasses = "character", na.strings = "", check.names = FALSE)
  for (column in entry$columns) {
    x <- raw[[column$name]]
    listed <- length(column$levels) > 1
    raw[[column$name]] <- switch(column$type,
      factor = , ordered = factor(x, levels = if (listed) unlist(column$levels) else as.character(sort(unique(as.integer(x)))),
                                  ordered = column$type == "ordered"),
      integer = as.integer(x), numeric = as.numeric(x), x)
  }
  raw
}

tight <- glmmTMBControl(optCtrl = list(iter.max = 5000, eval.max = 5000, rel.tol = 1e-14, x.tol = 1e-10))
with_glmmTMB <- function(data, formula, ours, family = "gaussian", REML = FALSE, start = NULL) {
  d <- load_dataset(data)
  fit <- suppressWarnings(glmmTMB(as.formula(formula), d, family = family, REML = REML, start = start,
                                  control = tight))
  term <- VarCorr(fit)$cond[[1]]
  list(source = "glmmTMB", data = data, formula = ours, family = family, REML = REML, loglik = as.numeric(logLik(fit)),
       fixef = unname(fixef(fit)$cond), sd = unname(attr(term, "stddev")), rho = attr(term, "correlation")[2, 1])
}
with_nlme <- function(data, fixed, random, ours, REML) {
  d <- load_dataset(data)
  fit <- lme(fixed, d, random, method = if (REML) "REML" else "ML",
             control = lmeControl(msTol = 1e-12, tolerance = 1e-10, msMaxIter = 500, opt = "nlminb", niterEM = 50))
  V <- getVarCov(fit)
  list(source = "nlme", data = data, formula = ours, family = "gaussian", REML = REML, loglik = as.numeric(logLik(fit)),
       fixef = unname(fixef(fit)), sd = unname(sqrt(diag(V))), rho = cov2cor(V)[2, 1])
}

results <- list(
  with_glmmTMB("sleepstudy", "Reaction ~ Days + cs(Days | Subject)", "Reaction ~ Days + cs(Days | Subject)"),
  with_glmmTMB("sleepstudy", "Reaction ~ Days + diag(Days | Subject)", "Reaction ~ Days + diag(Days | Subject)", REML = TRUE),
  with_glmmTMB("sleepstudy", "Reaction ~ Days + ar1(0 + factor(Days) | Subject)", "Reaction ~ Days + ar1(0 + factor(Days) | Subject)", REML = TRUE,
               start = list(theta = c(log(50), 2))), # from its own start glmmTMB stops 2.5 units of log-likelihood lower
  with_glmmTMB("Machines", "score ~ Machine + cs(0 + Machine | Worker)", "score ~ Machine + cs(0 + Machine | Worker)"),
  with_glmmTMB("Machines", "score ~ Machine + cs(0 + Machine | Worker)", "score ~ Machine + cs(0 + Machine | Worker)", REML = TRUE),
  with_glmmTMB("cbpp", "cbind(incidence, size - incidence) ~ period + cs(0 + period | herd)", "cbind(incidence, size - incidence) ~ period + cs(0 + period | herd)", family = "binomial"),
  with_glmmTMB("cbpp", "cbind(incidence, size - incidence) ~ period + ar1(0 + period | herd)", "cbind(incidence, size - incidence) ~ period + ar1(0 + period | herd)", family = "binomial"),
  with_glmmTMB("Contraception", "use ~ age + urban + cs(1 + urban | district)", "use ~ age + urban + cs(1 + urban | district)", family = "binomial"),
  with_glmmTMB("Contraception", "use ~ age + urban + diag(1 + urban | district)", "use ~ age + urban + diag(1 + urban | district)", family = "binomial"),
  with_glmmTMB("epil", "y ~ lbase * trt + lage + ar1(0 + factor(period) | subject)", "y ~ lbase * trt + lage + ar1(0 + factor(period) | subject)", family = "poisson"),
  with_nlme("Machines", score ~ Machine, list(Worker = pdCompSymm(~ Machine - 1)), "score ~ Machine + cs(0 + Machine | Worker, hom = TRUE)", TRUE),
  with_nlme("Machines", score ~ Machine, list(Worker = pdCompSymm(~ Machine - 1)), "score ~ Machine + cs(0 + Machine | Worker, hom = TRUE)", FALSE),
  with_nlme("Machines", score ~ Machine, list(Worker = pdDiag(~ Machine - 1)), "score ~ Machine + diag(0 + Machine | Worker)", TRUE),
  with_nlme("Machines", score ~ Machine, list(Worker = pdIdent(~ Machine - 1)), "score ~ Machine + diag(0 + Machine | Worker, hom = TRUE)", TRUE),
  with_nlme("Orthodont", distance ~ age * Sex, list(Subject = pdDiag(~ age)), "distance ~ age * Sex + diag(age | Subject)", TRUE))
writeLines(toJSON(results, digits = 12, auto_unbox = TRUE, pretty = TRUE), "tests/covariance/structure_reference.json")
cat(length(results), "fits\n")
