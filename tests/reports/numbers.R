# What R's format, format.pval, zapsmall, round and abbreviate make of random input.
#   Rscript numbers.R FOLDER     (R 4.2.2)
set.seed(20)
out <- commandArgs(TRUE)[1]
exact <- function(x) paste(sub("^ +", "", formatC(x, digits = 17, format = "g")), collapse = " ")
lines <- character()
for (i in 1:250) {
  n <- sample(1:5, 1); d <- sample(c(1, 2, 3, 4, 5, 7), 1); small <- sample(c(0, 0, 3), 1)
  x <- switch(sample(5, 1), rnorm(n), rnorm(n) * 10^sample(-8:8, n, TRUE), round(rnorm(n) * 100) + 0.25, exp(rnorm(n) * 3),
              c(0, rnorm(n) * 10^sample(-3:6, 1)))
  p <- pmin(1, abs(x) / 10)
  lines <- c(lines, paste(exact(x), d, small, paste(format(x, digits = d, nsmall = small), collapse = ";"),
                          paste(format.pval(p, digits = d), collapse = ";"), exact(zapsmall(x, d)), exact(round(x, d)), sep = "|"))
}
writeLines(lines, file.path(out, "numbers.txt"))
words <- c("(Intercept)", "period2", "period3", "btypescold", "situself", "GenderM", "age:chY", "I(age^2)", "poly(x, 2)1",
           "Machine B:x", "followupTRUE:group", "treatmentGuideline", "a", "abcdefgh", "AbcDefGhi", "as.factor(week)4",
           "service1:dept10", "lectage.L", "recipeB:temperature^4", "1234567890123", "livch3+", "aeiouaeiou", "YEAR97")
lines <- character()
for (i in 1:120) {
  k <- sample(length(words), 4); v <- c(paste0(words[k], sample(9, 4)), words[k]); m <- sample(3:11, 1)
  lines <- c(lines, paste(m, paste(v, collapse = "~"), paste(abbreviate(v, minlength = m), collapse = "~"), sep = "|"))
}
writeLines(lines, file.path(out, "abbreviations.txt"))
