"""Cluster-robust covariances against R's clubSandwich 0.5.8 and against their definitions, densely."""

import numpy as np
import pandas as pd
import pytest

import mixedmodels as mm
from mixedmodels.inference.contrasts import hypothesis_test
from mixedmodels.inference.fixed_effects import fixed_effects
from mixedmodels.inference.robust import robust_covariance

# R prints ten digits.
PRINTED = 1e-8
# A herd has up to a fourth of the information: one step of Newton's method errs by the square of its share.
ONE_STEP = 0.08
# Fits of R stop at its optimiser's tolerance, which moves standard errors in the eighth digit.
FITTED = 3e-7


@pytest.fixture(scope="module")
def sleepstudy():
    data = mm.load_dataset("sleepstudy")
    data["w"] = 1 + data["Days"] % 3
    data["slow"] = (data["Reaction"] > 300).astype(int)
    return data


@pytest.fixture(scope="module")
def quadratic(sleepstudy):
    return mm.lmer("Reaction ~ Days + I(Days^2) + (Days | Subject)", sleepstudy)


@pytest.fixture(scope="module")
def unbalanced(sleepstudy):
    gone = [2, 16, 17, 18, 44, *range(59, 66), 99]
    data = sleepstudy.drop(sleepstudy.index[gone])
    data["half"] = np.where(data["Days"] < 5, "a", "b")
    return mm.lmer("Reaction ~ Days * half + (1 | Subject/half)", data)


@pytest.fixture(scope="module")
def cbpp():
    return mm.glmer(
        "cbind(incidence, size - incidence) ~ period + (1 | herd)", mm.load_dataset("cbpp"), family="binomial"
    )


# vcovCR(m, type=), entries (1, 1), (2, 2), (2, 3).
CLUBSANDWICH = {
    "CR0": (59.05303373022, 15.69312018967, -1.48152832193),
    "CR1": (62.52674159670, 16.61624490671, -1.56867704675),
    "CR1S": (63.23325845090, 16.80399908645, -1.58640221112),
    "CR1p": (70.86364047626, 18.83174422761, -1.77783398632),
    "CR2": (62.52674159670, 16.61624490671, -1.56867704675),
    "CR3": (66.20478522004, 17.59367107770, -1.66095216715),
}


@pytest.mark.parametrize("kind", CLUBSANDWICH)
def test_covariance_is_that_of_clubsandwich(quadratic, kind):
    V = quadratic.vcov(kind, cluster="Subject").to_numpy()
    np.testing.assert_allclose([V[0, 0], V[1, 1], V[1, 2]], CLUBSANDWICH[kind], rtol=FITTED)


def test_degrees_of_freedom_of_t_and_of_hotellings_test_are_those_of_clubsandwich(quadratic, unbalanced):
    fixed = fixed_effects(quadratic, vcov="CR2")
    np.testing.assert_allclose(fixed.degrees.of_rows(np.eye(3)), 17.0, rtol=1e-9)
    test = hypothesis_test(fixed, np.eye(3)[1:])
    np.testing.assert_allclose([test.df, test.p_value], [16.0, 2.562769900e-05], rtol=FITTED)

    fixed = fixed_effects(unbalanced, vcov="CR2")
    errors = (7.122527793, 2.601276285, 16.119086817, 3.377749093)
    df = (16.52312468, 15.76587294, 16.47365864, 16.30213843)
    np.testing.assert_allclose(np.sqrt(np.diag(fixed.covariance)), errors, rtol=FITTED)
    np.testing.assert_allclose(fixed.degrees.of_rows(np.eye(4)), df, rtol=FITTED)
    assert hypothesis_test(fixed, np.eye(4)[1:]).p_value == pytest.approx(1.830887634e-05, rel=1e-5)


def test_models_without_random_effects_are_as_in_r(sleepstudy):
    # coef_test(lm(Reaction ~ Days, weights = w), vcovCR(cluster = Subject, inverse_var = TRUE))
    weighted = mm.lm("Reaction ~ Days", sleepstudy, weights="w")
    V = weighted.vcov("CR2", cluster="Subject")
    np.testing.assert_allclose(np.sqrt(np.diag(V)), (7.064376784, 1.668772312), rtol=PRINTED)
    np.testing.assert_allclose(V.degrees.of_rows(np.eye(2)), (17.00006588, 17.00007164), rtol=PRINTED)
    # glm(slow ~ Days, binomial, epsilon = 1e-15): the default stops four digits before.
    logistic = mm.glm("slow ~ Days", sleepstudy, family="binomial")
    V = logistic.vcov("CR2", cluster="Subject")
    np.testing.assert_allclose(np.sqrt(np.diag(V)), (0.48550946408, 0.08656006835), rtol=FITTED)
    np.testing.assert_allclose(V.degrees.of_rows(np.eye(2)), (17.00003544, 17.00002679), rtol=PRINTED)
    V = logistic.vcov("CR3", cluster="Subject")
    np.testing.assert_allclose(np.sqrt(np.diag(V)), (0.49956718740, 0.08906035063), rtol=FITTED)
    # Each row by itself: sandwich's vcovHC(lm, "HC2") and "HC3".
    plain = mm.lm("Reaction ~ Days", sleepstudy)
    np.testing.assert_allclose(plain.vcov("CR2").iloc[0], (26.478240105, -5.173139425), rtol=PRINTED)
    np.testing.assert_allclose(plain.vcov("CR3").iloc[0], (26.865335971, -5.258697116), rtol=PRINTED)


# sqrt(diag(vcovCR(m, cluster = Subject, type =))) of lm(Reaction ~ Days, weights = w), the weights of one
# subject and of one row of another being zero, and of glm(slow ~ Days, binomial) to the rows that have weight
# (with the zeros clubSandwich fails).
ZERO_WEIGHTS = {
    "CR0": ((6.773959112, 1.475021694), (0.5109371014, 0.08962670962)),
    "CR1": ((6.982437231, 1.520417561), (0.5266619092, 0.09238509766)),
    "CR1p": ((7.211430163, 1.570280505), (0.5439340809, 0.09541491858)),
    "CR1S": ((7.003311529, 1.524962915), (0.5282363878, 0.09266128691)),
    "CR2": ((6.978962252, 1.521409025), (0.5268066241, 0.09243280602)),
    "CR3": ((7.190267827, 1.569253485), (0.5432854471, 0.09529986121)),
}


@pytest.mark.parametrize("kind", ZERO_WEIGHTS)
def test_clusters_without_weight_do_not_count(sleepstudy, kind):
    gone = (sleepstudy["Subject"].astype(str) == "308") | (np.arange(180) == 12)
    data = sleepstudy.assign(w=np.where(gone, 0.0, 1.0))
    linear = mm.lm("Reaction ~ Days", data, weights="w")
    logistic = mm.glm("slow ~ Days", data[data["w"] > 0], family="binomial")
    zeros = mm.glm("slow ~ Days", data, family="binomial", weights="w")
    for model, expected in zip((linear, logistic, zeros), (0, 1, 1), strict=True):
        se = np.sqrt(np.diag(model.vcov(kind, cluster="Subject")))
        np.testing.assert_allclose(se, ZERO_WEIGHTS[kind][expected], rtol=FITTED)


@pytest.mark.parametrize("fit", [mm.lmer, lambda f, d, weights: mm.glmer(f, d, "poisson", weights=weights)])
def test_rows_of_zero_weight_are_as_rows_left_out(fit):
    data = mm.load_dataset("grouseticks")
    chosen = data["BROOD"].isin(data["BROOD"].unique()[:30])
    data = data[chosen].assign(w=lambda d: np.where(d["BROOD"].isin(d["BROOD"].unique()[::3]), 0.0, 1.0))
    whole, part = (fit("TICKS ~ HEIGHT + (1 | BROOD)", d, weights="w") for d in (data, data[data["w"] > 0]))
    for kind in ("CR1", "CR1p", "CR1S", "CR2"):
        np.testing.assert_allclose(whole.vcov(kind), part.vcov(kind), rtol=1e-5)


def test_one_cluster_with_weight_is_too_few(sleepstudy):
    only = sleepstudy.assign(w=(sleepstudy["Subject"].astype(str) == "308").astype(float))
    with pytest.raises(mm.DataError, match="only one cluster with rows of positive weight"):
        mm.lm("Reaction ~ Days", only, weights="w").vcov("CR1", cluster="Subject")


def dense_covariance(model):
    """Return V over sigma^2 and the clusters of a model with terms nested in Subject."""
    V = np.diag(1.0 / model.prior_weights)
    Z = model.getME("Z").toarray()
    Lambda = model.getME("Lambda").toarray()
    return V + Z @ Lambda @ Lambda.T @ Z.T, np.asarray(model.model_frame()["Subject"])


@pytest.mark.parametrize("kind", ["CR0", "CR2", "CR3"])
def test_degrees_of_freedom_are_moments_of_a_quadratic_form(unbalanced, kind):
    V, subject = dense_covariance(unbalanced)
    X, W = unbalanced.design.X, np.linalg.inv(V)
    M = np.linalg.inv(X.T @ W @ X)
    I_H = np.eye(len(X)) - X @ M @ X.T @ W
    c = np.array([0.0, 1.0, -0.5, 2.0])
    columns = []
    for s in np.unique(subject):
        i = np.flatnonzero(subject == s)
        U = np.linalg.cholesky(V[np.ix_(i, i)]).T
        H = (X @ M @ X.T @ W)[np.ix_(i, i)]
        if kind == "CR0":
            A = np.eye(len(i))
        elif kind == "CR3":
            A = np.linalg.inv(np.eye(len(i)) - H)
        else:
            values, vectors = np.linalg.eigh(U @ (V[np.ix_(i, i)] - X[i] @ M @ X[i].T) @ U.T)
            A = U.T @ (vectors / np.sqrt(values)) @ vectors.T @ U
        Wi = np.linalg.inv(V[np.ix_(i, i)])
        columns.append(I_H[i].T @ A.T @ Wi @ X[i] @ M @ c)
    G = np.array(columns).T
    P = G.T @ V @ G
    expected = np.trace(P) ** 2 / (P**2).sum()
    e = unbalanced.y - X @ unbalanced.beta
    found = robust_covariance(unbalanced, kind, "Subject")
    assert found.degrees.of_rows(c[None])[0] == pytest.approx(expected, rel=1e-8)
    assert float(c @ found.to_numpy() @ c) == pytest.approx(float(((G.T @ e) ** 2).sum()), rel=1e-8)


def test_the_jackknife_leaves_one_cluster_out(quadratic):
    """CR3 is the sum of squared moves of beta when a cluster is left out, V being held."""
    V, subject = dense_covariance(quadratic)
    X, y = quadratic.design.X, quadratic.y
    moves = []
    for s in np.unique(subject):
        i = np.flatnonzero(subject != s)
        W = np.linalg.inv(V[np.ix_(i, i)])
        moves.append(np.linalg.solve(X[i].T @ W @ X[i], X[i].T @ W @ y[i]) - quadratic.beta)
    moves = np.array(moves)
    np.testing.assert_allclose(quadratic.vcov("CR3"), moves.T @ moves, rtol=1e-6)


def test_the_generalized_jackknife_is_near_the_real_one(cbpp):
    data = mm.load_dataset("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    without = [data[data["herd"] != herd] for herd in data["herd"].unique()]
    moves = np.array([mm.glmer(formula, rest, "binomial").beta - cbpp.beta for rest in without])
    np.testing.assert_allclose(
        np.sqrt(np.diag(cbpp.vcov("CR3"))), np.sqrt((moves**2).sum(axis=0)), rtol=ONE_STEP
    )


def test_rows_weights_of_zero_and_order_do_not_matter(sleepstudy, quadratic):
    shuffled = sleepstudy.sample(frac=1.0, random_state=1)
    extra = pd.concat([shuffled.assign(v=1.0), sleepstudy.head(7).assign(v=0.0)], ignore_index=True)
    other = mm.lmer("Reaction ~ Days + I(Days^2) + (Days | Subject)", extra, weights="v")
    for kind in ("CR1", "CR2"):
        np.testing.assert_allclose(other.vcov(kind), quadratic.vcov(kind), rtol=1e-6)


def test_clusters_may_be_a_column_or_values(sleepstudy, quadratic):
    site = sleepstudy["Subject"].astype(str).str[:2]
    frame = sleepstudy.assign(site=site)
    model = mm.lmer("Reaction ~ Days + (1 | Subject)", frame)
    np.testing.assert_array_equal(model.vcov("CR1", cluster="site"), model.vcov("CR1", cluster=site))
    np.testing.assert_array_equal(quadratic.vcov("CR2"), quadratic.vcov("CR2", cluster=sleepstudy["Subject"]))


def test_what_cannot_be_is_said(quadratic, cbpp):
    crossed = mm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", mm.load_dataset("Penicillin"))
    with pytest.raises(mm.NotAvailableError, match=r"plate are shared between clusters of sample"):
        crossed.vcov("CR0", cluster="sample")
    with pytest.raises(mm.ControlError, match=r"cluster 'subject' is neither.*Subject"):
        quadratic.vcov("CR2", cluster="subject")
    with pytest.raises(mm.ControlError, match="type must be one of 'CR0'"):
        quadratic.vcov("HC3")
    with pytest.raises(mm.DataError, match="one value for each of the 180 rows"):
        quadratic.vcov("CR2", cluster=[1, 2])
    with pytest.raises(mm.DataError, match="only one cluster"):
        quadratic.vcov("CR2", cluster=np.ones(180))
    with pytest.raises(mm.DataError, match="missing values at 1 row"):
        quadratic.vcov("CR2", cluster=[None, *range(179)])
    rough = mm.glmer("cbind(incidence, size - incidence) ~ 1 + (1 | herd)", cbpp.data, "binomial", nAGQ=0)
    with pytest.raises(mm.NotAvailableError, match="nAGQ=1"):
        rough.vcov("CR0")
    with pytest.raises(mm.ControlError, match="3 x 3 matrix"):
        fixed_effects(quadratic, vcov=np.eye(2))
