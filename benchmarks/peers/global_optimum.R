# The objective of lme4's optimisers from their default start: Rscript global_optimum.R FOLDER
# FOLDER/models.csv lists file, formula and REML; the answer is FOLDER/objectives.csv.
suppressMessages(library(lme4))
folder <- commandArgs(trailingOnly = TRUE)[1]
models <- read.csv(file.path(folder, "models.csv"))
objective <- function(formula, data, REML, optimizer) {
  environment(formula) <- environment()
  arguments <- list(formula, data = data, REML = REML, control = lmerControl(optimizer = optimizer, calc.derivs = FALSE))
  if ("w" %in% names(data)) arguments$weights <- data$w
  if ("off" %in% names(data)) arguments$offset <- data$off
  m <- suppressMessages(suppressWarnings(do.call(lmer, arguments)))
  if (isREML(m)) REMLcrit(m) else -2 * as.numeric(logLik(m))
}
optimizers <- c("bobyqa", "Nelder_Mead", "nlminbwrap")
out <- file.path(folder, "objectives.csv")
writeLines(paste(optimizers, collapse = ","), out)
for (k in seq_len(nrow(models))) {
  data <- read.csv(file.path(folder, models$file[k]), stringsAsFactors = TRUE)
  REML <- as.logical(models$REML[k])
  f <- as.formula(models$formula[k])
  row <- sapply(optimizers, function(o) tryCatch(objective(f, data, REML, o), error = function(e) NA))
  cat(paste(format(row, digits = 15, trim = TRUE), collapse = ","), "\n", file = out, append = TRUE)
}
