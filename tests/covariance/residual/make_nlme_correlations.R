# Correlation matrices and standard deviations by nlme, printed as Python literals for test_nlme_values.py.
suppressMessages(library(nlme))
d <- data.frame(t = c(1, 2, 4, 5), x = c(0.1, 0.9, 1.7, 3.2), z = c(0, 1.1, 0.3, 2.2), g = factor(1), y = 0,
                s = factor(c("a", "b", "a", "b")))
show <- function(name, object) {
  m <- corMatrix(Initialize(object, data = d))
  if (is.list(m)) m <- m[[1]]
  cat(sprintf('"%s": [%s],\n', name, paste(format(m[lower.tri(m)], digits = 15), collapse = ", ")))
}
show("ar1", corAR1(0.4, form = ~ t | g))
show("arma11", corARMA(c(0.5, -0.3), form = ~ t | g, p = 1, q = 1))
show("arma20", corARMA(c(0.5, 0.2), form = ~ t | g, p = 2, q = 0))
show("arma02", corARMA(c(0.4, 0.3), form = ~ t | g, p = 0, q = 2))
print(ARMAacf(ar = -0.6, ma = c(0.4, 0.3), lag.max = 4), digits = 15)
print(ARMAacf(ar = 0.5, ma = c(0.4, 0.3, 0.2), lag.max = 4), digits = 15)
show("car1", corCAR1(0.7, form = ~ x | g))
show("cs", corCompSymm(-0.2, form = ~ t | g))
show("us", corSymm(c(0.1, 0.2, 0.3, 0.4, 0.5, 0.6), form = ~ 1 | g))
for (k in c("Exp", "Gaus", "Lin", "Ratio", "Spher")) {
  f <- get(paste0("cor", k))
  show(k, f(1.9, form = ~ x | g))
  show(paste0(k, "_nugget"), f(c(1.9, 0.25), form = ~ x | g, nugget = TRUE))
  if (k != "Lin") show(paste0(k, "_2d"), f(c(1.9, 0.25), form = ~ x + z | g, nugget = TRUE))
}
sds <- function(name, object) {
  v <- 1 / varWeights(Initialize(object, data = d))
  cat(sprintf('"%s": [%s],\n', name, paste(format(v, digits = 15), collapse = ", ")))
}
sds("ident", varIdent(c(b = 1.7), form = ~ 1 | s))
sds("power", varPower(0.6, form = ~ x))
sds("power_strata", varPower(c(a = 0.6, b = -0.3), form = ~ x | s))
sds("exp", varExp(0.4, form = ~ x))
sds("fixed", varFixed(~ x))
sds("comb", varComb(varIdent(c(b = 1.7), form = ~ 1 | s), varPower(0.6, form = ~ x)))
