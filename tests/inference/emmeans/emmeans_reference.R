# Tables of R's emmeans for models of every kind: Rscript emmeans_reference.R > emmeans_reference.json
# Each case has the call in Python, so that R and this package are asked the same.
suppressPackageStartupMessages({library(emmeans); library(lme4); library(splines); library(jsonlite)})
emm_options(opt.digits = FALSE, lmer.df = "asymptotic")
set.seed(42)
n <- 90
d <- data.frame(a = factor(rep(c("a1", "a2", "a3"), each = 30)), b = factor(rep(c("u", "v", "w", "x", "y"), 18)),
                g = factor(rep(1:9, 10)), x = round(runif(n, 1, 9), 2), k = rep(c(0, 1), 45), s = rep(1:3, 30),
                L = rep(c(TRUE, FALSE, FALSE), 30), w = round(runif(n, .5, 3), 2), t = round(runif(n, 1, 20), 1))
d <- d[-c(2, 7, 33, 34, 71, 88), ]
d$y <- round(10 + 2 * as.integer(d$a) + as.integer(d$b) * (d$a == "a2") + .5 * d$x + .7 * d$k + rnorm(nrow(d)), 2)
d$n <- rpois(nrow(d), exp(.2 * as.integer(d$a) + .1 * d$x + log(d$t) - 1))
d$z <- rbinom(nrow(d), 1, plogis(-1 + .5 * as.integer(d$a) + .1 * d$x))
d$q <- round(rgamma(nrow(d), 3, 3 / (2 + as.integer(d$a))), 3)
e <- d[!(d$a == "a3" & d$b %in% c("x", "y")), ]               # empty cells
nest <- data.frame(h = factor(rep(c("h1", "h2", "h3"), c(12, 8, 16))), r = factor(rep(c("p", "q", "r", "s", "t", "u", "v", "w", "z"), each = 4)),
                   f = factor(rep(c("lo", "hi"), 18)))
nest$y <- round(rnorm(36) + as.integer(nest$r) + 2 * (nest$f == "lo"), 2)
cases <- list(); tight <- list(epsilon = 1e-15, maxit = 100)
add <- function(id, data, fit, ask, table) {
  table <- try(table, silent = TRUE)
  if (inherits(table, "try-error")) { message("no table for ", id, ": ", table); return(invisible()) }
  table <- as.data.frame(table)
  cols <- lapply(table, function(v) if (is.numeric(v)) ifelse(is.finite(v), v, ifelse(is.na(v), NA, sign(v) * 1e300)) else as.character(v))
  cases[[length(cases) + 1]] <<- list(id = id, data = data, fit = fit, ask = ask, columns = cols)
}
tt <- function(o, ...) summary(o, infer = c(TRUE, TRUE), ...)

# With a function in the formula emmeans sums the weights of the cells; without one it counts rows.
m <- lm(y ~ a * b + I(x), d, weights = w); f <- "lm('y ~ a * b + I(x)', d, weights='w')"
add("lm_weights", "d", f, "emmeans(m, 'a').summary(infer=True)", tt(emmeans(m, ~ a)))
for (wt in c("proportional", "outer", "cells", "flat")) add(paste0("lm_", wt), "d", f, sprintf("emmeans(m, 'a', weights='%s').summary(infer=True)", wt), tt(emmeans(m, ~ a, weights = wt)))
add("lm_given_weights", "d", f, "emmeans(m, 'a', weights=[1, 2, 3, 4, 5]).summary(infer=True)", tt(emmeans(m, ~ a, weights = 1:5)))
add("lm_two", "d", f, "emmeans(m, '~ b | a').pairs().summary(infer=True)", tt(pairs(emmeans(m, ~ b | a))))
for (ad in c("scheffe", "hommel", "hochberg", "BH", "BY", "fdr", "bonferroni", "holm", "sidak", "none"))
  add(paste0("adjust_", ad), "d", f, sprintf("emmeans(m, '~ b | a').pairs().summary(infer=True, adjust='%s')", ad), tt(pairs(emmeans(m, ~ b | a)), adjust = ad))
for (me in c("del.eff", "mean_chg", "consec", "eff", "poly", "trt.vs.ctrlk", "identity"))
  add(paste0("contrast_", me), "d", f, sprintf("emmeans(m, 'b').contrast('%s').summary(infer=True, adjust='none')", me), tt(contrast(emmeans(m, ~ b), me), adjust = "none"))
add("contrast_ref", "d", f, "emmeans(m, 'b').contrast('trt.vs.ctrl', ref='w').summary(infer=(False, True))", test(contrast(emmeans(m, ~ b), "trt.vs.ctrl", ref = 3)))
add("contrast_refs", "d", f, "emmeans(m, 'b').contrast('trt.vs.ctrl', ref=['u', 'w'], reverse=True).summary(infer=(False, True))", test(contrast(emmeans(m, ~ b), "trt.vs.ctrl", ref = c(1, 3), reverse = TRUE)))
add("contrast_exclude", "d", f, "emmeans(m, 'b').contrast('pairwise', exclude='v').summary(infer=True)", tt(contrast(emmeans(m, ~ b), "pairwise", exclude = 2)))
add("contrast_custom", "d", f, "emmeans(m, 'a').contrast({'late': [-1, 0.5, 0.5], 'sum': [1, 1, 1]}).summary(infer=True)", tt(contrast(emmeans(m, ~ a), list(late = c(-1, .5, .5), sum = c(1, 1, 1)))))
add("contrast_simple", "d", f, "emmeans(m, ['a', 'b']).contrast('consec', simple='a').summary(infer=True, adjust='none')", tt(contrast(emmeans(m, ~ a * b), "consec", simple = "a"), adjust = "none"))
add("contrast_interaction", "d", f, "emmeans(m, ['a', 'b']).contrast(interaction=['pairwise', 'consec']).summary(infer=True)", tt(contrast(emmeans(m, ~ a * b), interaction = c("pairwise", "consec"))))
add("pairs_reverse", "d", f, "emmeans(m, 'a').pairs(reverse=True).summary(infer=True)", tt(pairs(emmeans(m, ~ a), reverse = TRUE)))
add("both_pairs", "d", f, "emmeans(m, ['a', 'b']).pairs().summary(infer=(False, True))", test(pairs(emmeans(m, ~ a * b))))
add("side", "d", f, "emmeans(m, 'a').pairs().test(null=-1, side='<', adjust='none')", test(pairs(emmeans(m, ~ a)), null = -1, side = "<", adjust = "none"))
add("equivalence", "d", f, "emmeans(m, 'a').pairs().test(delta=1, adjust='none')", test(pairs(emmeans(m, ~ a)), delta = 1, adjust = "none"))
add("joint_tests", "d", f, "joint_tests(m)", joint_tests(m)); add("joint_by", "d", f, "joint_tests(m, by='a')", joint_tests(m, by = "a"))
add("joint", "d", f, "emmeans(m, '~ b | a').pairs().test(joint=True)", test(pairs(emmeans(m, ~ b | a)), joint = TRUE, by = "a"))
add("one", "d", f, "emmeans(m, '~ 1').summary()", summary(emmeans(m, ~ 1)))
add("eff_size", "d", f, "emmeans(m, 'a').eff_size(m.sigma(), m.df_residual()).summary(infer=True)", tt(eff_size(emmeans(m, ~ a), sigma(m), df.residual(m))))

m <- lm(y ~ a * poly(x, 2) + ns(t, 3) + k, d); f <- "lm('y ~ a * poly(x, 2) + ns(t, 3) + k', d)"
add("poly", "d", f, "emmeans(m, 'a').summary()", summary(emmeans(m, ~ a)))
add("poly_at", "d", f, "emmeans(m, '~ a | x', at={'x': [2, 5.5], 't': 7, 'k': 0}).summary()", summary(emmeans(m, ~ a | x, at = list(x = c(2, 5.5), t = 7, k = 0))))
add("cov_reduce", "d", f, "emmeans(m, ['a', 'x'], cov_reduce=lambda v: [v.min(), v.max()]).summary()", summary(emmeans(m, ~ a * x, cov.reduce = range)))
add("two_valued", "d", f, "emmeans(m, 'k').summary()", summary(emmeans(m, ~ k)))
h <- 1e-3; r <- as.data.frame(tt(contrast(emmeans(ref_grid(m, at = list(x = c(4 - h, 4 + h))), ~ x | a), list(slope = c(-1, 1) / (2 * h)), adjust = "none")))
names(r)[names(r) == "estimate"] <- "x.trend"; add("trend_at", "d", f, "emtrends(m, 'a', var='x', at={'x': 4}).summary(infer=True)", r[-1])
m <- lm(y ~ a * log(x) + offset(t / 10) + L + factor(s), d); f <- "lm('y ~ a * log(x) + offset(t / 10) + L + factor(s)', d)"
add("log_x", "d", f, "emmeans(m, 'a').summary()", summary(emmeans(m, ~ a)))
add("logical", "d", f, "emmeans(m, 'L').summary()", summary(emmeans(m, ~ L)))
add("factor_s", "d", f, "emmeans(m, 's').pairs().summary(infer=True)", tt(pairs(emmeans(m, ~ s))))
add("offset_zero", "d", f, "emmeans(m, 'a', offset=0).summary()", summary(emmeans(m, ~ a, offset = 0)))
m <- lm(y ~ a * x + b * x, d); f <- "lm('y ~ a * x + b * x', d)"
add("trends", "d", f, "emtrends(m, 'a', var='x').summary(infer=True)", tt(emtrends(m, ~ a, var = "x")))
add("trends_by", "d", f, "emtrends(m, '~ a | b', var='x').pairs().summary(infer=True)", tt(pairs(emtrends(m, ~ a | b, var = "x"))))
add("joint_cov", "d", f, "joint_tests(m)", joint_tests(m))

for (tr in c("log(q)", "sqrt(q)", "log(q + 1)", "log10(q)", "2 * sqrt(q)")) {
  m <- lm(as.formula(paste(tr, "~ a + x")), d); f <- sprintf("lm('%s ~ a + x', d)", tr)
  add(paste("response", tr), "d", f, "emmeans(m, 'a', type='response').summary(infer=True)", tt(emmeans(m, ~ a, type = "response")))
  add(paste("pairs", tr), "d", f, "emmeans(m, 'a', type='response').pairs().summary(infer=True)", tt(pairs(emmeans(m, ~ a, type = "response"))))
  add(paste("regrid", tr), "d", f, "emmeans(m, 'a').regrid().pairs().summary(infer=True)", tt(pairs(regrid(emmeans(m, ~ a)))))
}
m <- lm(log(q) ~ a + x, d); f <- "lm('log(q) ~ a + x', d)"
add("bias", "d", f, "emmeans(m, 'a', type='response', bias_adjust=True).summary()", summary(emmeans(m, ~ a, type = "response", bias.adjust = TRUE)))
m <- glm(n ~ a * x + offset(log(t)), poisson, d, control = tight); f <- "glm('n ~ a * x + offset(log(t))', d, 'poisson')"
add("poisson", "d", f, "emmeans(m, 'a').summary(infer=True)", tt(emmeans(m, ~ a)))
add("poisson_response", "d", f, "emmeans(m, 'a', type='response').summary(infer=True)", tt(emmeans(m, ~ a, type = "response")))
add("poisson_pairs", "d", f, "emmeans(m, 'a', type='response').pairs().summary(infer=True)", tt(pairs(emmeans(m, ~ a, type = "response"))))
add("poisson_offset", "d", f, "emmeans(m, 'a', offset=log(5), type='response').summary()", summary(emmeans(m, ~ a, offset = log(5), type = "response")))
add("poisson_regrid", "d", f, "emmeans(m, 'a').regrid().contrast('eff').summary(infer=True, adjust='none')", tt(contrast(regrid(emmeans(m, ~ a)), "eff"), adjust = "none"))
for (lk in c("logit", "probit", "cloglog")) {
  m <- glm(z ~ a + x, binomial(lk), d, control = tight); f <- sprintf("glm('z ~ a + x', d, mm.binomial(link='%s'))", lk)
  add(paste("binomial", lk), "d", f, "emmeans(m, 'a', type='response').summary(infer=True)", tt(emmeans(m, ~ a, type = "response")))
  add(paste("pairs", lk), "d", f, "emmeans(m, 'a', type='response').pairs().summary(infer=True)", tt(pairs(emmeans(m, ~ a, type = "response"))))
}
m <- glm(q ~ a + x, Gamma, d, control = tight); f <- "glm('q ~ a + x', d, 'Gamma')"
add("gamma", "d", f, "emmeans(m, 'a', type='response').summary(infer=True)", tt(emmeans(m, ~ a, type = "response")))

m <- lm(y ~ a * b + x, e); f <- "lm('y ~ a * b + x', d)"
add("empty", "e", f, "emmeans(m, ['a', 'b']).summary()", summary(emmeans(m, ~ a * b)))
add("empty_a", "e", f, "emmeans(m, 'a').summary()", summary(emmeans(m, ~ a)))
add("empty_pairs", "e", f, "emmeans(m, '~ b | a').pairs().summary(infer=True, adjust='none')", tt(pairs(emmeans(m, ~ b | a)), adjust = "none"))
add("empty_holm", "e", f, "emmeans(m, '~ b | a').pairs().summary(infer=(False, True), adjust='holm')", test(pairs(emmeans(m, ~ b | a)), adjust = "holm"))
add("empty_cells", "e", f, "emmeans(m, 'a', weights='cells').summary()", summary(emmeans(m, ~ a, weights = "cells")))
add("empty_joint", "e", f, "joint_tests(m)", joint_tests(m))
m <- lm(y ~ h / r + f, nest); f <- "lm('y ~ h / r + f', d)"
add("nested", "nest", f, "emmeans(m, 'h').summary()", summary(emmeans(m, ~ h)))
add("nested_pairs", "nest", f, "emmeans(m, 'h').pairs().summary(infer=True)", tt(pairs(emmeans(m, ~ h))))
add("nested_r", "nest", f, "emmeans(m, 'r').summary()", summary(emmeans(m, ~ r)))
add("nested_r_pairs", "nest", f, "emmeans(m, '~ r | h').pairs().summary(infer=(False, True), adjust='none')", test(pairs(emmeans(m, ~ r | h)), adjust = "none"))
add("nested_f", "nest", f, "emmeans(m, 'f').summary()", summary(emmeans(m, ~ f)))
add("nested_joint", "nest", f, "joint_tests(m)", joint_tests(m))
m <- lm(y ~ h * f + r:f, nest); f <- "lm('y ~ h * f + r:f', d)"
add("nested_by_f", "nest", f, "emmeans(m, '~ h | f').pairs().summary(infer=True)", tt(pairs(emmeans(m, ~ h | f))))
m <- lmer(y ~ a * x + k + (1 | g), d); f <- "lmer('y ~ a * x + k + (1 | g)', d)"
add("lmer", "d", f, "emmeans(m, 'a', ddf='z').summary(infer=True)", tt(emmeans(m, ~ a)))
add("lmer_joint", "d", f, "joint_tests(m, ddf='z')", joint_tests(m))
cat(toJSON(list(data = list(d = d, e = e, nest = nest), cases = cases), dataframe = "columns", digits = NA, auto_unbox = TRUE, na = "null"))
