# Tests of terms by lmerTest and car on unbalanced data with an empty cell: Rscript tests.R > tests.json
suppressMessages(library(lmerTest))
suppressMessages(library(car))
d <- read.csv("data.csv", stringsAsFactors = TRUE)
d$g <- factor(d$g)
d$ao <- factor(d$a, ordered = TRUE)
formulas <- c("y ~ a*b*c + x + (1|g)", "y ~ a*x + b + (1|g)", "y ~ a*b*x + (1|g)", "y ~ a:b + (1|g)",
  "y ~ 0 + a + b + (1|g)", "y ~ 0 + a*b + (1|g)", "y ~ a*poly(x,2) + (1|g)", "y ~ lg*b + x + (1|g)",
  "y ~ ao*b + (1|g)", "y ~ x*z + (1|g)", "y ~ 0 + a:b + x + (1|g)", "y ~ a*b*c - a:b:c + (1|g)")
found <- list()
keep <- function(formula, coding, what, rows, statistic, df, denominator = numeric(0))
  found[[length(found) + 1]] <<- list(formula = formula, coding = coding, what = what, rows = I(rows),
    statistic = I(signif(statistic, 12)), df = I(df), denominator = I(signif(denominator, 9)))
for (f in formulas) for (coding in c("contr.treatment", "contr.sum")) {
  own <- intersect(c("a", "b", "c", "ao"), all.vars(as.formula(f)))
  contrasts <- if (coding == "contr.sum" && length(own)) setNames(as.list(rep(coding, length(own))), own)
  m <- suppressMessages(suppressWarnings(lmer(as.formula(f), d, contrasts = contrasts,
    control = lmerControl(calc.derivs = FALSE, optCtrl = list(ftol_abs = 1e-14, xtol_abs = 1e-12)))))
  for (type in 1:3) {
    t <- suppressMessages(anova(m, type = type))
    keep(f, coding, paste0("anova", type), rownames(t), t[["F value"]], t$NumDF, t$DenDF)
  }
  t <- suppressMessages(drop1(m))
  keep(f, coding, "drop1", rownames(t), t[["F value"]], t$NumDF, t$DenDF)
  for (type in 2:3) {
    t <- Anova(m, type = type, singular.ok = TRUE)
    keep(f, coding, paste0("Anova", type), rownames(t), t$Chisq, t$Df)
  }
}
cat(jsonlite::toJSON(found, digits = NA, auto_unbox = TRUE, na = "null"), "\n")
