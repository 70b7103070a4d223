# lme4, by the same protocol as worker.py:
#   Rscript lme4.R request.dcf response.dcf
# The request holds formula, family, reml, nagq, data, budget, refit; the response the fields of worker.py.

arguments <- commandArgs(trailingOnly = TRUE)
request <- as.list(read.dcf(arguments[1])[1, ])
MAX_REPEATS <- 51

answer <- function(response) {
  text <- vapply(response, function(value) gsub("\\s+", " ", format(value, digits = 17)), "")
  writeLines(paste0(names(text), ": ", text), arguments[2])
}

resident <- function(field) {
  lines <- readLines("/proc/self/status")
  as.numeric(sub("[^0-9]*([0-9]+) kB", "\\1", grep(paste0("^", field), lines, value = TRUE))) / 1024
}

reset_peak <- function() {
  tryCatch(cat("5", file = "/proc/self/clear_refs"), error = function(e) NULL)
  resident("VmRSS")
}

read_frame <- function(path) {
  levels <- read.csv(sub("\\.csv$", ".levels.csv", path), colClasses = "character", na.strings = character())
  header <- names(read.csv(path, nrows = 1, check.names = FALSE))
  classes <- ifelse(header %in% levels$column, "character", NA)
  frame <- read.csv(path, colClasses = classes, check.names = FALSE)
  for (column in unique(levels$column)) {
    frame[[column]] <- factor(frame[[column]], levels = levels$level[levels$column == column])
  }
  frame
}

# Call once to warm up, then while the budget lasts; where the first call is the only one it counts (0 repeats).
repeated <- function(call, budget) {
  walls <- cpus <- numeric()
  repeat {
    if (length(walls) > 0 && (sum(walls) + walls[length(walls)] > budget || length(walls) > MAX_REPEATS)) break
    value <- NULL
    cpu <- sum(proc.time()[1:2])
    wall <- Sys.time()
    value <- call()
    walls <- c(walls, as.numeric(difftime(Sys.time(), wall, units = "secs")))
    cpus <- c(cpus, sum(proc.time()[1:2]) - cpu)
  }
  warm <- if (length(walls) > 1) -1 else 1
  list(
    value = value, seconds = median(walls[warm]), fastest = min(walls[warm]), cpu_seconds = mean(cpus[warm]),
    first = walls[1], repeats = length(walls) - 1
  )
}

# lme4 1.x leaves the saturated likelihood out of the log-likelihood of quadrature fits.
saturated <- function(fit) {
  y <- model.response(model.frame(fit))
  if (is.null(dim(y))) return(0)
  size <- rowSums(y)
  -2 * sum(dbinom(y[, 1], size, y[, 1] / size, log = TRUE))
}

# The BLAS decides lme4's speed on large models; its folder or file tells which one it is.
version_and_blas <- function() {
  blas <- extSoftVersion()[["BLAS"]]
  known <- regmatches(blas, regexpr("openblas|mkl|atlas|blis|vecLib", blas))
  paste0(packageVersion("lme4"), " (", if (length(known)) known else "reference BLAS", ")")
}

scalar <- function(formula) {
  bars <- lme4::findbars(formula)
  length(bars) == 1 && identical(deparse(bars[[1]][[2]]), "1")
}

measure <- function() {
  suppressPackageStartupMessages(library(lme4))
  frame <- read_frame(request$data)
  formula <- as.formula(request$formula)
  linear <- request$family == "gaussian"
  if (request$family == "betabinomial") {
    return(list(status = "unsupported", reason = "no betabinomial family here"))
  }
  nAGQ <- as.integer(request$nagq)
  if (nAGQ > 1 && !scalar(formula)) {
    return(list(status = "unsupported", reason = "quadrature for one scalar random effect only"))
  }
  fit_once <- if (linear) {
    function() lmer(formula, frame, REML = request$reml == "true")
  } else {
    family <- get(request$family, mode = "function")
    function() glmer(formula, frame, family = family, nAGQ = nAGQ)
  }
  suppressWarnings(suppressMessages(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)))
  gc()
  before <- reset_peak()
  peak <- NULL
  call <- function() {
    fit <- suppressWarnings(suppressMessages(fit_once()))
    if (is.null(peak)) peak <<- resident("VmHWM")
    fit
  }
  budget <- as.numeric(request$budget)
  timing <- repeated(call, budget)
  fit <- timing$value
  errors <- repeated(function() suppressWarnings(as.matrix(vcov(fit))), 0)
  objective <- if (linear && isREML(fit)) REMLcrit(fit) else -2 * as.numeric(logLik(fit))
  if (!linear && nAGQ > 1 && packageVersion("lme4") < "2") objective <- objective + saturated(fit)
  response <- list(
    status = "ok", version = version_and_blas(), rows = nrow(frame),
    frame_mb = as.numeric(object.size(frame)) / 1e6,
    seconds = timing$seconds, fastest = timing$fastest, cpu_seconds = timing$cpu_seconds, first = timing$first,
    repeats = timing$repeats, peak_mb = peak, fit_mb = peak - before, objective = objective,
    evaluations = fit@optinfo$feval, errors_seconds = errors$seconds, errors_cpu_seconds = errors$cpu_seconds
  )
  if (request$refit == "true") {
    observed <- model.response(model.frame(fit))
    new <- frame$new_response
    if (!is.null(dim(observed))) new <- cbind(new, rowSums(observed) - new)
    refit_once <- function() suppressWarnings(suppressMessages(refit(fit, new)))
    refits <- repeated(refit_once, budget)
    response$refit_seconds <- refits$seconds
    response$refit_cpu_seconds <- refits$cpu_seconds
  }
  response
}

answer(tryCatch(
  if (requireNamespace("lme4", quietly = TRUE)) measure() else list(status = "absent", reason = "R has no package lme4"),
  error = function(e) list(status = "failed", reason = conditionMessage(e))
))
