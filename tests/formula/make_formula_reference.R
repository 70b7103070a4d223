# Writes formula_reference.json: what R (lme4::lFormula) makes of formulas on the bundled data sets.
# Usage, from the top of the repository: Rscript tests/formula/make_formula_reference.R
suppressMessages({library(lme4); library(jsonlite); library(splines); library(MASS)})

folder <- "datasets"
catalogue <- fromJSON(file.path(folder, "datasets.json"), simplifyVector = FALSE)$datasets
names(catalogue) <- vapply(catalogue, function(entry) entry$name, "")

load_dataset <- function(name) {
  entry <- catalogue[[name]]
  raw <- read.csv(file.path(folder, entry$file), colClasses = "character", na.strings = "", check.names = FALSE)
  for (column in entry$columns) {
    x <- raw[[column$name]]
    raw[[column$name]] <- switch(column$type,
      factor = , ordered = {
        listed <- length(column$levels) > 1
        levels <- if (listed) unlist(column$levels) else as.character(sort(unique(as.integer(x))))
        factor(x, levels = levels, ordered = column$type == "ordered")
      },
      integer = as.integer(x), numeric = as.numeric(x),
      logical = x %in% c("TRUE", "True", "true"), x)
  }
  raw
}

loose <- list(check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore", check.nlev.gtr.1 = "ignore",
              check.scaleX = "ignore")

# Sums that change when any entry, row or column moves.
row_weights <- function(n) (seq_len(n) %% 97) / 97 + 0.5
checksum <- function(M) as.vector(crossprod(as.matrix(M), row_weights(nrow(M))))

describe <- function(data, formula, contrasts = NULL, subset = NULL, family = NULL, prep = NULL) {
  d <- load_dataset(data)
  if (!is.null(prep)) eval(parse(text = prep))
  if (!is.null(subset)) d <- d[with(d, eval(parse(text = subset))) %in% TRUE, , drop = FALSE]
  f <- as.formula(formula)
  build <- if (is.null(family)) {
    function() lFormula(f, d, contrasts = contrasts, control = do.call(lmerControl, loose))
  } else {
    function() glFormula(f, d, family = family, contrasts = contrasts,
                         control = do.call(glmerControl, c(loose, check.response.not.const = "ignore")))
  }
  parts <- suppressMessages(suppressWarnings(build()))
  X <- parts$X
  re <- parts$reTrms
  offset <- model.offset(parts$fr)
  dropped <- attr(X, "col.dropped")
  list(data = data, formula = formula, contrasts = contrasts, subset = subset, family = family, prep = prep,
       n = nrow(X), x_names = if (ncol(X)) I(colnames(X)) else I(character(0)), dropped = if (is.null(dropped)) I(character(0)) else I(names(dropped)), x_checksum = I(checksum(X)),
       groups = I(names(re$cnms)), columns = lapply(unname(re$cnms), I), n_theta = length(re$theta),
       levels = lapply(re$flist, function(g) I(c(head(levels(g), 3), tail(levels(g), 1)))),
       n_levels = lapply(re$flist, nlevels), z_dim = I(rev(dim(re$Zt))),
       z_checksum = sum((re$Zt %*% row_weights(ncol(re$Zt))) * row_weights(nrow(re$Zt))),
       offset_checksum = if (is.null(offset)) NULL else sum(offset * row_weights(length(offset))))
}

cases <- list()
add <- function(data, ..., contrasts = NULL, subset = NULL, family = NULL, prep = NULL) {
  for (formula in c(...)) {
    cases[[length(cases) + 1]] <<- list(data = data, formula = formula, contrasts = contrasts, subset = subset,
                                        family = family, prep = prep)
  }
}

# One grouping factor
add("sleepstudy",
    "Reaction ~ 1 + (1 | Subject)", "Reaction ~ Days + (1 | Subject)", "Reaction ~ Days + (Days | Subject)",
    "Reaction ~ Days + (1 + Days | Subject)", "Reaction ~ Days + (0 + Days | Subject)",
    "Reaction ~ Days + (Days - 1 | Subject)", "Reaction ~ Days + (-1 + Days | Subject)",
    "Reaction ~ Days + (Days || Subject)", "Reaction ~ Days + (1 | Subject) + (0 + Days | Subject)",
    "Reaction ~ 0 + Days + (1 | Subject)", "Reaction ~ Days - 1 + (1 | Subject)", "Reaction ~ 1 | Subject",
    "Reaction ~ Days | Subject", "Reaction ~ Days + (Days + I(Days^2) || Subject)",
    "Reaction ~ Days + I(Days^2) + (Days + I(Days^2) | Subject)", "log(Reaction) ~ Days + (1 | Subject)",
    "I(Reaction / 1000) ~ Days + (1 | Subject)", "sqrt(Reaction) ~ exp(-Days) + (1 | Subject)",
    "Reaction ~ log(Days + 1) + (log(Days + 1) | Subject)", "Reaction ~ log1p(Days) + (log1p(Days) || Subject)",
    "Reaction ~ log(Days + 1, 2) + log2(Days + 1) + (1 | Subject)", "Reaction ~ log10(Days + 10) + (1 | Subject)",
    "Reaction ~ sin(Days) + cos(Days) + (1 | Subject)", "Reaction ~ abs(Days - 4.5) + (1 | Subject)",
    "Reaction ~ poly(Days, 2) + (1 | Subject)", "Reaction ~ poly(Days, degree = 3) + (1 | Subject)",
    "Reaction ~ poly(Days, 2, raw = TRUE) + (1 | Subject)", "Reaction ~ poly(Days, 2) + (poly(Days, 2) | Subject)",
    "Reaction ~ scale(Days) + (scale(Days) | Subject)", "Reaction ~ scale(Days, scale = FALSE) + (1 | Subject)",
    "Reaction ~ scale(Days, center = FALSE) + (1 | Subject)",
    "Reaction ~ bs(Days, df = 4) + (1 | Subject)", "Reaction ~ bs(Days) + (1 | Subject)",
    "Reaction ~ bs(Days, knots = c(3, 6)) + (1 | Subject)", "Reaction ~ bs(Days, degree = 2, df = 5) + (1 | Subject)",
    "Reaction ~ bs(Days, df = 5, intercept = TRUE) - 1 + (1 | Subject)",
    "Reaction ~ ns(Days, 3) + (1 | Subject)", "Reaction ~ ns(Days, df = 2) + (ns(Days, df = 2) | Subject)",
    "Reaction ~ ns(Days, knots = c(2, 5)) + (1 | Subject)", "Reaction ~ ns(Days, df = 4, intercept = TRUE) + (1 | Subject)",
    "Reaction ~ ns(Days, df = 3, Boundary.knots = c(1, 8)) + (1 | Subject)", "Reaction ~ ns(Days) + (1 | Subject)",
    "Reaction ~ factor(Days) + (1 | Subject)", "Reaction ~ as.factor(Days) + (1 | Subject)",
    "Reaction ~ ordered(Days) + (1 | Subject)", "Reaction ~ (Days > 4) + (1 | Subject)",
    "Reaction ~ I(Days > 4) + (1 | Subject)", "Reaction ~ I(Days > 2 & Days < 7) + (1 | Subject)",
    "Reaction ~ Days:I(Days > 4) + (1 | Subject)", "Reaction ~ cut(Days, 3) + (1 | Subject)",
    "Reaction ~ cut(Days, c(-1, 2, 5, 9)) + (1 | Subject)", "Reaction ~ cut(Days, c(0, 5, 9), include.lowest = TRUE) + (1 | Subject)",
    "Reaction ~ cut(Days, breaks = c(-Inf, 3, Inf), labels = c('early', 'late')) + (1 | Subject)",
    "Reaction ~ cut(Days, c(0, 3, 10), right = FALSE) + (1 | Subject)",
    "Reaction ~ offset(3 * Days) + (1 | Subject)", "Reaction ~ Days + offset(Days) + offset(log(Days + 1)) + (1 | Subject)",
    "Reaction ~ Days + (1 | Subject) + (1 | Subject)", "Reaction ~ Days + ((1 | Subject))",
    "Reaction ~ (1 | Subject) + Days", "Reaction ~ Days + Days + (1 | Subject)", "Reaction ~ (Days) + (1 | Subject)",
    "Reaction ~ I(Days - mean(Days)) + (1 | Subject)", "Reaction ~ I(Days * 2) + (1 | Subject)",
    "Reaction ~ I(Days %% 2) + I(Days %/% 2) + (1 | Subject)", "Reaction ~ I(-Days) + (1 | Subject)",
    "Reaction ~ Days + I(1e5 * Days) + (1 | Subject)", "Reaction ~ ifelse(Days > 4, Days, 0) + (1 | Subject)",
    "Reaction ~ round(Days / 3) + (1 | Subject)", "Reaction ~ cbind(Days, Days^2) + (1 | Subject)",
    "Reaction ~ cbind(a = Days, b = log(Days + 1)) + (1 | Subject)", "Reaction ~ factor(Days > 4) + (1 | Subject)",
    "Reaction ~ -1 + factor(Days > 4) + (1 | Subject)", "Reaction ~ pmin(Days, 5) + (1 | Subject)",
    "Reaction ~ 1 + (1 | Days) + (1 | Subject)", "Reaction ~ poly(Days, 2):factor(Days > 4) + (1 | Subject)",
    "Reaction ~ factor(Days > 4) * poly(Days, 2) + (1 | Subject)",
    "Reaction ~ factor(Days, levels = 9:0) + (1 | Subject)",
    "Reaction ~ I(Days %in% c(1, 2)) + (1 | Subject)")
add("sleepstudy", "Reaction ~ sin(2 * pi * Days / 9) + (1 | Subject)", "Reaction ~ splines::ns(Days, 3) + (1 | Subject)",
    "Reaction ~ stats::poly(Days, 2) + (1 | Subject)", "Reaction ~ c(scale(Days)) + (c(scale(Days)) | Subject)",
    "Reaction ~ cut(Days, quantile(Days, c(0, 0.5, 1)), include.lowest = TRUE) + (1 | Subject)", "Reaction ~ plogis(Days - 4) + pnorm(Days / 9) + (1 | Subject)",
    "Reaction ~ I((Days - 4.5)^2) + (1 | Subject)", "Reaction ~ poly(Days, 1) + (1 | Subject)", "Reaction ~ bs(Days, degree = 1) + (1 | Subject)",
    "Reaction ~ Days^2 + (Days^2 | Subject)", "Reaction ~ I(Days > T) + (1 | Subject)", "Reaction ~ ave(Days, Subject) + (1 | Subject)")
add("Machines", "score ~ Machine + (0 + dummy(Machine, 'B') | Worker)", "score ~ Machine + (dummy(Machine) | Worker)", "score ~ dummy(Machine, c('C', 'B')) + (1 | Worker)")
add("sleepstudy", "Reaction ~ Days + (Days | Subject)", subset = "Days > 1 & Subject != '308'")
add("sleepstudy", "Reaction ~ late + (late | Subject)", "Reaction ~ 0 + late + (1 | Subject)", "Reaction ~ late:Days + (1 | Subject)",
    "Reaction ~ late * Days + (0 + late | Subject)", prep = "d$late <- d$Days > 4")
add("sleepstudy", "Reaction ~ `days off` + (`days off` | Subject)", "Reaction ~ `days off`:Days + (1 | Subject)",
    "Reaction ~ I(`days off`^2) + (1 | Subject)", prep = "d[['days off']] <- d$Days + 1")
add("sleepstudy", "Reaction ~ .d_x + my.var + (my.var || Subject)", "Reaction ~ .d_x:my.var + (.d_x | Subject)",
    prep = "d$.d_x <- d$Days; d$my.var <- sqrt(d$Days)")
add("sleepstudy", "Reaction ~ kind + (1 | Subject)", "Reaction ~ kind:Days + (1 | Subject)", "Reaction ~ 0 + kind + (kind | Subject)",
    prep = "d$kind <- ifelse(d$Days < 3, 'base', ifelse(d$Days < 7, 'Zmid', 'late'))")
add("sleepstudy", "Reaction ~ Days + (Days | Subject)", "Reaction ~ poly(x, 2) + (1 | Subject)",
    prep = "d$Days[c(3, 50)] <- NA; d$Reaction[7] <- NA; d$Subject[9] <- NA; d$x <- (1:180)^0.5")

# Several factors, crossed and nested
add("Penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", "diameter ~ (1 | sample) + (1 | plate)", "diameter ~ 1 + (1 | plate:sample)",
    "diameter ~ 1 + (1 | sample:plate)", "diameter ~ sample + (1 | plate)")
add("Pastes", "strength ~ 1 + (1 | batch/cask)", "strength ~ 1 + (1 | batch:cask) + (1 | batch)", "strength ~ 1 + (1 | sample) + (1 | batch)",
    "strength ~ 1 + (1 | batch) + (1 | sample)", "strength ~ (1 | cask:batch)", "strength ~ cask + (1 | batch / cask)",
    "strength ~ (1 | batch/cask/sample)", "strength ~ batch %in% cask + (1 | sample)", "strength ~ 0 + cask + (0 + cask | batch)",
    "strength ~ 1 + (cask | batch)")
add("Oats", "yield ~ nitro + (1 | Block/Variety)", "yield ~ nitro * Variety + (1 | Block/Variety)", "yield ~ factor(nitro) * Variety + (1 | Block) + (1 | Block:Variety)",
    "yield ~ nitro:Variety + (1 | Block)", "yield ~ Variety/nitro + (1 | Block)", "yield ~ Variety + nitro %in% Variety + (1 | Block)",
    "yield ~ 0 + Variety + Variety:nitro + (1 | Block)", "yield ~ nitro + Variety:nitro + (1 | Block)", "yield ~ Variety:nitro + nitro + (nitro | Block)",
    "yield ~ (nitro | Block/Variety)", "yield ~ nitro + (nitro || Block/Variety)", "yield ~ Variety + (Variety | Block)", "yield ~ nitro^2 + (1 | Block)",
    "yield ~ relevel(Variety, 'Victory') + (1 | Block)", "yield ~ relevel(Variety, ref = \"Marvellous\") * nitro + (1 | Block)")
add("Oats", "yield ~ Variety * nitro + (1 | Block)", contrasts = list(Variety = "contr.sum"))
add("Oats", "yield ~ Variety * nitro + (1 | Block)", contrasts = list(Variety = "contr.helmert"))
add("Oats", "yield ~ Variety + (1 | Block)", contrasts = list(Variety = "contr.SAS"))
add("Oats", "yield ~ Variety + (1 | Block)", contrasts = list(Variety = "contr.sdif"))
add("Oats", "yield ~ Variety + (1 | Block)", contrasts = list(Variety = "contr.poly"))
add("Oats", "yield ~ C(Variety, contr.sum) + (1 | Block)", "yield ~ C(Variety, contr.helmert):nitro + (1 | Block)",
    "yield ~ C(Variety, contr.treatment(3, base = 2)) + (1 | Block)", "yield ~ 0 + C(Variety, contr.sum) + (1 | Block)",
    "yield ~ C(Variety, contr.sum) * nitro + (1 | Block)")
add("Machines", "score ~ Machine + (1 | Worker)", "score ~ Machine + (Machine | Worker)", "score ~ Machine + (0 + Machine | Worker)",
    "score ~ Machine + (1 | Worker/Machine)", "score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", "score ~ Machine - 1 + (Machine - 1 | Worker)")
add("cake", "angle ~ recipe * temperature + (1 | recipe:replicate)", "angle ~ recipe * temp + (1 | replicate:recipe)", "angle ~ temperature + (1 | replicate)",
    "angle ~ recipe + temperature + (1 | replicate/recipe)", "angle ~ temperature:recipe + (1 | replicate)", "angle ~ recipe:temperature + recipe + (1 | replicate)",
    "angle ~ 0 + temperature + (1 | replicate)", "angle ~ (recipe + temp)^2 + (1 | replicate)", "angle ~ recipe + I(temp / 10) + (temp | replicate)",
    "angle ~ factor(temp) + (1 | recipe:replicate)", "angle ~ recipe:factor(temp) - 1 + (1 | replicate)",
    "angle ~ interaction(recipe, temperature) + (1 | replicate)", "angle ~ as.numeric(temperature) + (1 | replicate)")
add("cake", "angle ~ recipe * temperature + (1 | replicate)", contrasts = list(recipe = "contr.sum", temperature = "contr.treatment"))
add("cake", "angle ~ temperature + (temperature | replicate)", subset = "temperature != '185'")
add("Alfalfa", "Yield ~ Variety * Date + (1 | Block/Variety)", "Yield ~ Variety:Date + (1 | Block)", "Yield ~ Date + Variety:Date + (1 | Block)",
    "Yield ~ Variety + Variety:Date + (Date | Block)", "Yield ~ (Variety + Date)^2 - Date + (1 | Block)", "Yield ~ Variety * Date - Variety + (1 | Block)",
    "Yield ~ Variety * Date - Variety:Date + (1 | Block)", "Yield ~ 0 + Variety * Date + (1 | Block)", "Yield ~ Date - 1 + Variety + (1 | Block)",
    "Yield ~ 0 + Variety:Date + (1 | Block)", "Yield ~ Date %in% Variety + (1 | Block)", "Yield ~ . + (1 | Block)", "Yield ~ . - Block + (1 | Block)",
    "Yield ~ (. - Block)^2 + (1 | Block)")
add("npk", "yield ~ N * P * K + (1 | block)", "yield ~ (N + P + K)^2 + (1 | block)", "yield ~ (N + P + K)^3 - N:P:K + (1 | block)",
    "yield ~ N:P:K + (1 | block)", "yield ~ N + N:P + N:P:K + (1 | block)", "yield ~ N / P / K + (1 | block)", "yield ~ N / (P + K) + (1 | block)",
    "yield ~ (N + P) / K + (1 | block)", "yield ~ P:N + N + K + (1 | block)", "yield ~ K:P:N + P + (1 | block)", "yield ~ (N * P) %in% K + (1 | block)",
    "yield ~ 0 + N:P + K + (1 | block)", "yield ~ 0 + N + P:K + (1 | block)", "yield ~ N * (P + K) - 1 + (1 | block)", "yield ~ -1 + N * P * K + (1 | block)",
    "yield ~ N:P + P:K + (1 | block)", "yield ~ N * P + (N:P | block)", "yield ~ N + (N * P | block)", "yield ~ N + (0 + N:P | block)", "yield ~ N + (0 + N + P | block)",
    "yield ~ N + (0 + P:K + N | block)")
add("npk", "yield ~ N * P * K + (1 | block)", contrasts = list(N = "contr.sum", P = "contr.sum", K = "contr.helmert"))
add("npk", "yield ~ N:P + (1 | block)", contrasts = list(N = "contr.sum"))
add("ChickWeight", "weight ~ Time * Diet + (Time | Chick)", "weight ~ poly(Time, 2) * Diet + (poly(Time, 2) | Chick)", "weight ~ Diet:poly(Time, 2) + (1 | Chick)",
    "weight ~ ns(Time, 3) * Diet + (1 | Chick)", "weight ~ bs(Time, df = 4):Diet + (Time || Chick)", "weight ~ Time + I(Time^2) + Diet + (Time + I(Time^2) | Chick)",
    "weight ~ scale(Time) * Diet + (scale(Time) | Chick)", "log(weight) ~ Diet / Time - 1 + (1 | Chick)", "weight ~ Time:Diet - 1 + (1 | Chick)")
add("Orthodont", "distance ~ age * Sex + (age | Subject)", "distance ~ I(age - 11) * Sex + (I(age - 11) | Subject)", "distance ~ age + Sex:age + (0 + age | Subject) + (1 | Subject)",
    "distance ~ Sex / age - 1 + (1 | Subject)")
add("Arabidopsis", "total.fruits ~ nutrient * amd + rack + status + (1 | popu) + (1 | gen)", "log(1 + total.fruits) ~ nutrient * amd + (amd * nutrient | popu) + (amd | gen)",
    "total.fruits ~ factor(nutrient) * amd + (1 | reg/popu/gen)", "total.fruits ~ factor(rack) + (1 | reg) + (1 | popu:gen)")
add("VerbAgg", "as.numeric(r2) ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)", "as.numeric(r2) ~ (Anger + Gender + btype)^2 + mode * situ + (Anger || id) + (1 | item)", prep = "d <- d[seq(1, nrow(d), 3), ]")
add("Contraception", "as.numeric(use) ~ age + I(age^2) + urban + livch + (1 | district)", "as.numeric(use) ~ age * (livch != '0') + I(age^2) + urban + (1 | urban:district)",
    "as.numeric(use) ~ age + urban + (urban | district)", "as.numeric(use) ~ age + urban + (0 + urban | district)")
add("InstEval", "y ~ service + (1 | s) + (1 | d)", "y ~ studage + lectage * service + (1 | d) + (1 | dept:service)", prep = "d <- d[1:5000, ]")
add("BodyWeight", "weight ~ Time * Diet + (Time | Rat)", "weight ~ I(Time / 7):Diet + Diet + (1 | Rat)")
add("egsingle", "math ~ year + (year | schoolid/childid)", "math ~ year * female + retained + (1 | childid) + (year | schoolid)", prep = "d <- d[1:2000, ]")
add("carrots", "Preference ~ sens2 + Homesize + (1 + sens2 | Consumer)", "Preference ~ Age + (sens1 + sens2 | Consumer) + (1 | Product)", "Preference ~ Age * Homesize + (1 | Consumer)")
add("kb07", "RTtrunc ~ S * P * C + (S * P | subj) + (P | item)", "RTtrunc ~ S + P + (1 + S + P | subj) + (0 + S | item) + (1 | item)", prep = "d <- d[1:800, ]")
add("Oxide", "Thickness ~ Source + (1 | Lot/Wafer)", "Thickness ~ 1 + (Source | Lot) + (1 | Lot:Wafer)")
add("quine", "Days ~ Eth * Sex * Age + (1 | Lrn:Age)", "Days ~ Eth:Sex + Sex:Age + (1 | Lrn)", "Days ~ Age + Age:Eth + (1 | Lrn)")
add("cbpp", "cbind(incidence, size - incidence) ~ period + (1 | herd)", "incidence/size ~ period + (1 | herd)", "cbind(incidence, size - incidence) ~ period - 1 + (1 | herd)",
    "cbind(incidence, size - incidence) ~ period + (0 + period | herd)", family = "binomial")
add("grouseticks", "TICKS ~ YEAR + scale(HEIGHT) + (1 | BROOD) + (1 | LOCATION) + (1 | INDEX)", "TICKS ~ YEAR + offset(log(HEIGHT)) + (1 | LOCATION/BROOD)", family = "poisson")
add("Owls", "SiblingNegotiation ~ FoodTreatment * SexParent + offset(logBroodSize) + (1 | Nest)", "SiblingNegotiation ~ poly(ArrivalTime, 2) * FoodTreatment + (poly(ArrivalTime, 2) | Nest)", family = "poisson")
add("Salamanders", "count ~ spp * mined + (1 | site)", "count ~ spp:mined + Wtemp + (spp | site)", family = "poisson")

describe_case <- function(case) {
  tryCatch(do.call(describe, case), error = function(e) {
    message(case$data, ": ", case$formula, ": ", conditionMessage(e))
    NULL
  })
}
results <- Filter(Negate(is.null), lapply(cases, describe_case))
writeLines(toJSON(results, digits = 10, auto_unbox = TRUE, null = "null", pretty = FALSE), "tests/formula/formula_reference.json")
cat(length(results), "formulas\n")
