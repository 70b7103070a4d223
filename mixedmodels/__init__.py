"""Linear and generalized linear mixed models with lme4's formulas, names and results, without R."""
