# Processor seconds of one fit by nlme, and by glmmTMB where it has the structure: Rscript residual.R FOLDER
suppressMessages(library(nlme))
has_tmb <- requireNamespace("glmmTMB", quietly = TRUE)
folder <- commandArgs(TRUE)[1]
models <- readLines(file.path(folder, "names.txt"))

seconds <- function(fit, repeats) {
  best <- Inf
  ll <- NA
  for (k in seq_len(repeats)) {
    found <- NULL
    own <- system.time(found <- tryCatch(fit(), error = function(e) NULL))
    if (is.null(found)) return(c(NA, NA))
    best <- min(best, own[["user.self"]] + own[["sys.self"]])
    ll <- as.numeric(logLik(found))
  }
  c(best, ll)
}

visits <- function(d) {
  d$v <- as.integer(factor(d$visit))
  function() gls(y ~ arm * visit, d, correlation = corSymm(form = ~ v | id), weights = varIdent(form = ~ 1 | visit))
}
tmb_visits <- function(d) function() {
  # No residual variance beside the unstructured one.
  glmmTMB::glmmTMB(y ~ arm * visit + us(0 + visit | id), d, dispformula = ~ 0, REML = TRUE)
}
cycle <- follicles ~ sin(2 * pi * Time) + cos(2 * pi * Time)
rows <- list()
for (k in seq_along(models)) {
  name <- models[k]
  d <- read.csv(file.path(folder, paste0(k - 1, ".csv")), stringsAsFactors = TRUE)
  small <- nrow(d) < 5000
  fit <- switch(name,
    "Ovary, ARMA(1,1)" = function() gls(cycle, d, correlation = corARMA(form = ~ 1 | Mare, p = 1, q = 1)),
    "BodyWeight, power(Time)" = function() lme(weight ~ Time * factor(Diet), d, ~ Time | Rat, weights = varPower(form = ~ Time)),
    "BodyWeight, power(fitted)" = function() lme(weight ~ Time * factor(Diet), d, ~ Time | Rat, weights = varPower()),
    "series of 2,000, AR(1)" = function() gls(y ~ x, d, correlation = corAR1(form = ~ t)),
    # corARMA factors a matrix of all rows each time: minutes for 2,000, and corSymm for 100,000 rows.
    "series of 2,000, ARMA(1,1)" = NULL,
    if (small) visits(d))
  nlme_time <- if (is.null(fit)) c(NA, NA) else seconds(fit, if (nrow(d) < 700) 3 else 1)
  is_us <- startsWith(name, "us")
  tmb_time <- if (has_tmb && is_us && small) seconds(tmb_visits(d), 1) else c(NA, NA)
  message(name)
  rows[[k]] <- data.frame(model = name, nlme = nlme_time[1], "nlme, loglik" = nlme_time[2],
                          glmmTMB = tmb_time[1], "glmmTMB, loglik" = tmb_time[2], check.names = FALSE)
}
write.csv(do.call(rbind, rows), file.path(folder, "times.csv"), row.names = FALSE)
