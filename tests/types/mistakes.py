"""Lines that a type checker must find fault with; tests/test_types.py counts them."""

import mixedmodels as mm

m = mm.lmer("Reaction ~ Days + (Days | Subject)", mm.load_dataset("sleepstudy"))
m.fixf()
m.params  # noqa: B018
m.fixef(add_droped=True)
mm.fixef(m, add_droped=True)
mm.fixef("m")
mm.ranova(m, reduce=True)
m.predict(m, type="probability")
mm.predict(m, m, type="probability")
m.confint(method="bayes")
mm.lmer("y ~ x", m, reml=False)
mm.glmer("y ~ x + (1 | g)", m, "binomial", method="reml")
mm.glmer("y ~ x + (1 | g)", m, "binomial").ranef()
mm.lm("y ~ x", m).ranef()
mm.lmer("y ~ x + (1 | g)", m, verbose="yes")
mm.nlmer("y ~ a ~ a | g", m, method="foce")
mm.nlmer("y ~ a ~ a | g", m).fixf()
mm.gee("y ~ x", m, "g", cov_type="HC3")
mm.moments("y ~ x", m).fixef()
mm.lm_list("y ~ x | g", m).fixf()
