"""Replicate crossover trials: all thirty sets by lme4, and degrees of freedom by dense algebra."""

import warnings

import numpy as np
import pytest

import mixedmodels as mm
from mixedmodels.errors import IdentificationWarning

FIXED = "log(PK) ~ sequence + period + treatment"


def trial(name):
    return mm.load_dataset("bioequivalence").query("set == @name and PK.notna()")


def model_c(data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IdentificationWarning)
        return mm.lmer(f"{FIXED} + (0 + treatment | subject)", data, dispersion="ident(treatment)")


# -2 restricted log-likelihood, T - R, its standard error and degrees of freedom by lmerTest 3.1-3.
LMERTEST = {
    "rds01": (536.20114879, 0.146088176, 0.0465130065, 216.938614),
    "rds02": (-28.58817102, 0.0223914271, 0.0295355747, 45.0000006),
    "rds03": (436.51167656, 0.21892221, 0.0567375389, 143.266814),
    "rds04": (316.05056716, 0.316370189, 0.091357787, 99.0000011),
    "rds05": (-74.54174147, 0.0755880234, 0.022848514, 74.0000006),
    "rds06": (536.20114879, -0.146088176, 0.0465130065, 216.938614),
    "rds07": (1388.53679067, -0.110073706, 0.0215309558, 717.00001),
    "rds08": (2345.96274074, -0.205448205, 0.0443525438, 662.000006),
    "rds09": (2985.72416979, -0.205448205, 0.0443525441, 662.000001),
    "rds10": (-15.89382595, 0.0175536737, 0.0328342507, 33.0000006),
    "rds11": (253.05107869, -0.105712134, 0.0659984794, 107),
    "rds12": (1143.36304904, 0.177571791, 0.168965581, 219.173422),
    "rds13": (2090.10396024, -0.236516344, 0.0485581058, 554.656674),
    "rds14": (1050.30945494, -0.0875583641, 0.169686403, 197.440111),
    "rds15": (2090.10396024, -0.236516344, 0.0485581058, 554.656674),
    "rds16": (326.53614304, -0.237839239, 0.0756145532, 110.000001),
    "rds17": (78.84472798, 0.293502445, 0.085964888, 34.1012042),
    "rds18": (937.98558675, -0.227914618, 0.179915308, 177.922003),
    "rds19": (815.22508020, -0.315719326, 0.183321791, 156.428809),
    "rds20": (827.98452988, -0.359836237, 0.190402644, 156.682772),
    "rds21": (474.08826546, 0.177784206, 0.0405509641, 215.009423),
    "rds22": (249.25371191, -0.0947892249, 0.0924745196, 81.0000001),
    "rds23": (129.16329544, 0.110482855, 0.0836049266, 62.0000047),
    "rds24": (283.59476106, -0.0212781636, 0.0694947212, 113.000001),
    "rds25": (678.74530619, -0.134275292, 0.069666584, 206),
    "rds26": (435.44528875, 0.413998147, 0.0755232489, 153.96022),
    "rds27": (1125.08343236, -0.175322222, 0.0377032134, 308.040473),
    "rds28": (331.80845105, -0.0643403901, 0.0393493398, 188.000002),
    "rds29": (45.30491445, 0.0362709094, 0.0931826229, 24.864669),
    "rds30": (32.41804784, -0.0754381321, 0.0882103644, 17.8641692),
}
# -2 restricted log-likelihood of nlme::lme, which stops up to 0.8 above the optimum.
NLME = {
    "rds01": 530.22770411,
    "rds02": -30.67455875,
    "rds03": 425.52361725,
    "rds04": 314.22176897,
    "rds05": -74.85271147,
    "rds06": 530.22009838,
    "rds07": 1387.09282738,
    "rds08": 2342.68969582,
    "rds09": 2984.04945702,
    "rds10": -16.41729808,
    "rds11": 250.94514924,
    "rds12": 1140.43436532,
    "rds13": 2087.87866504,
    "rds14": 1012.35169892,
    "rds15": 2087.87866504,
    "rds16": 324.06478301,
    "rds17": 77.56902301,
    "rds18": 904.87439459,
    "rds19": 782.93959050,
    "rds20": 796.31244365,
    "rds21": 470.59090099,
    "rds22": 248.99027590,
    "rds23": 119.80621162,
    "rds24": 274.35130257,
    "rds25": 660.12330175,
    "rds26": 433.84199879,
    "rds27": 1123.65566548,
    "rds28": 329.25942217,
    "rds29": 26.96606087,
    "rds30": 26.31652761,
}


@pytest.mark.parametrize("name", LMERTEST)
def test_the_random_intercept_is_that_of_lmertest(name):
    m = mm.lmer(f"{FIXED} + (1 | subject)", trial(name))
    row = m.summary().coefficients.loc["treatmentT"]
    ours = [-2.0 * m.loglik(), row["Estimate"], row["Std. Error"], row["df"]]
    assert ours[0] == pytest.approx(LMERTEST[name][0], abs=1e-7)
    np.testing.assert_allclose(ours[1:], LMERTEST[name][1:], rtol=1e-6)


@pytest.mark.parametrize("name", NLME)
def test_the_model_of_the_fda_is_at_least_as_good_as_nlmes(name):
    m = model_c(trial(name))
    assert -2.0 * m.loglik() < NLME[name] + 1e-6
    assert m.convergence().verdict in ("converged", "boundary", "not identified")


def test_two_rows_a_subject_and_two_effects_are_enough_where_a_subject_has_one_treatment():
    # 623 rows and 624 effects, of which those of a treatment that a subject did not take say nothing.
    data = trial("rds27")
    assert len(data) < 2 * data["subject"].nunique()
    assert model_c(data).convergence().verdict == "converged"


@pytest.mark.parametrize(("name", "held"), [("rds04", 4), ("rds04", 1), ("rds16", 2)])
def test_degrees_of_freedom_are_those_of_the_parameters_that_the_data_tell(name, held):
    # rds04: nobody takes T twice, either variance of T may be held; rds16: the correlation is at 1.
    data = trial(name)
    m = model_c(data)
    table = m.covariance_parameters()["estimate"].to_numpy()
    found = dict(
        zip(m.covariance_parameters().index + " " + m.covariance_parameters()["group"], table, strict=True)
    )
    correlation = next(v for key, v in found.items() if key.startswith("Corr"))
    at = np.array(
        [
            found["Var(treatmentR) subject"],
            found["Var(treatmentT) subject"],
            correlation,
            found["Residual R"],
            found["Residual T"],
        ]
    )
    free = [k for k in range(5) if k != held]
    place = list(m.fixef().index).index("treatmentT")
    is_test, codes = (data["treatment"] == "T").to_numpy(), m.design.random[0].codes
    V = _Dense(m.design.X, m.y, is_test, codes)
    steps = 1e-3 * np.abs(at)
    H, slope = np.empty((4, 4)), np.empty(4)
    units = np.diag(steps)[free]
    for a in range(4):
        up, down = V.solved(at + units[a])[1], V.solved(at - units[a])[1]
        slope[a] = (up[place, place] - down[place, place]) / (2.0 * units[a].sum())
        for b in range(a + 1):
            corners = [
                V.solved(at + s * units[a] + t * units[b])[0] * s * t for s in (1, -1) for t in (1, -1)
            ]
            H[a, b] = H[b, a] = sum(corners) / (4.0 * units[a].sum() * units[b].sum())
    variance = V.solved(at)[1][place, place]
    df = variance**2 / (slope @ np.linalg.solve(H, slope))
    ours = m.summary(ddf="satterthwaite").coefficients.loc["treatmentT", "df"]
    assert ours == pytest.approx(df, rel=1e-4)


class _Dense:
    """The restricted likelihood of model C by subjects, each with a dense matrix."""

    def __init__(self, X, y, is_test, codes):
        self.X, self.y, self.is_test = X, y, is_test
        self.subjects = [np.flatnonzero(codes == k) for k in range(codes.max() + 1)]

    def solved(self, at):
        """Return -2 log-likelihood, constants left out, and the covariance of the fixed effects."""
        var_r, var_t, rho, res_r, res_t = at
        cov = rho * np.sqrt(var_r * var_t)
        G = np.array([[var_r, cov], [cov, var_t]])
        p = self.X.shape[1]
        total, log_det = np.zeros((p + 1, p + 1)), 0.0
        for rows in self.subjects:
            test = self.is_test[rows].astype(int)
            V = G[np.ix_(test, test)] + np.diag(np.where(test == 1, res_t, res_r))
            Xy = np.column_stack([self.X[rows], self.y[rows]])
            total += Xy.T @ np.linalg.solve(V, Xy)
            log_det += np.linalg.slogdet(V)[1]
        XVX, XVy = total[:p, :p], total[:p, p]
        rest = total[p, p] - XVy @ np.linalg.solve(XVX, XVy)
        return log_det + np.linalg.slogdet(XVX)[1] + rest, np.linalg.inv(XVX)
