# Writes random_formula_reference.json: model.matrix() of formulas put together at random.
# Usage, from the top of the repository: Rscript tests/formula/make_random_formula_reference.R
suppressMessages(library(jsonlite))
set.seed(20)

d <- read.csv("datasets/bdf.csv")[seq(1, 2000, by = 29), ]
levels_of <- function(name) {
  for (entry in fromJSON("datasets/datasets.json", simplifyVector = FALSE)$datasets)
    if (entry$name == "bdf") for (column in entry$columns) if (column$name == name) return(unlist(column$levels))
}
for (name in c("sex", "Minority", "denomina", "repeatgr")) d[[name]] <- factor(as.character(d[[name]]), levels_of(name))
d <- droplevels(d)

common <- c("sex", "denomina", "Minority", "IQ.verb", "ses")
rare <- c("poly(IQ.verb, 2)", "I(ses^2)", "factor(repeatgr)", "log(ses)", "(IQ.verb > 11)", "ordered(denomina)")
leaf <- function() sample(c(rep(common, 3), rare), 1)
wrapped <- function(text) if (grepl("^[A-Za-z.]+$", text)) text else paste0("(", text, ")")
grow <- function(depth) {
  if (depth == 0 || runif(1) < 0.25) return(leaf())
  kind <- runif(1)
  if (kind < 0.12) return(paste0("(", grow(depth - 1), ")^", sample(2:3, 1)))
  if (kind < 0.2) return(paste0("(", grow(depth - 1), ")"))
  if (kind < 0.26) return(paste(grow(depth - 1), sample(c("-", "+"), 1), sample(0:1, 1)))
  operator <- sample(c("+", "+", "+", "*", "*", ":", ":", "/", "-", "%in%"), 1)
  paste(if (operator %in% c("+", "-")) grow(depth - 1) else wrapped(grow(depth - 1)), operator, wrapped(grow(depth - 1)))
}
formulas <- unique(replicate(900, grow(sample(2:4, 1))))
formulas <- formulas[nchar(formulas) < 90]

w <- (seq_len(nrow(d)) %% 17) / 17 + 0.5
describe <- function(text) {
  X <- suppressWarnings(model.matrix(as.formula(paste("~", text)), d))
  if (ncol(X) == 0 || ncol(X) > 40) return(NULL)
  list(formula = text, names = I(colnames(X)), checksum = I(as.vector(crossprod(X, w))))
}
results <- head(Filter(Negate(is.null), lapply(formulas, describe)), 300)
writeLines(toJSON(results, digits = 10, auto_unbox = TRUE), "tests/formula/random_formula_reference.json")
cat(length(results), "formulas\n")
