"""The preparation steps of cases and references, written out in pandas under the words that ask for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

Step = Callable[[pd.DataFrame], pd.DataFrame]


def prepared(frame: pd.DataFrame, steps: Sequence[str]) -> pd.DataFrame:
    """Apply the steps in turn.

    Raises
    ------
    KeyError
        If a step is not in the table below.
    """
    if tuple(steps) in SEQUENCES:
        return SEQUENCES[tuple(steps)](frame)
    for step in steps:
        frame = STEPS[step](frame)
    return frame


def row_numbers(frame: pd.DataFrame) -> pd.Categorical:
    """Return a factor with a level for every row."""
    return pd.Categorical(np.arange(1, len(frame) + 1))


def first_missing(column: str, count: int) -> Step:
    """Return the step that makes the first `count` values of the column missing."""
    return lambda d: d.assign(**{column: d[column].where(np.arange(len(d)) >= count)})


def thirds(values: pd.Series) -> pd.Series:
    """Return the values cut into three categories of equal width."""
    return pd.cut(values, 3, labels=["low", "mid", "high"]).cat.as_unordered()


def factors(*columns: str) -> Step:
    """Return the step that turns the columns into factors with sorted levels."""

    def step(d: pd.DataFrame) -> pd.DataFrame:
        return d.assign(**{c: pd.Categorical(d[c].astype(object)) for c in columns})

    return step


def beck_in_long_form(d: pd.DataFrame) -> pd.DataFrame:
    """Return the depression scores of BtheB, a row for each month."""
    keys = ["subject", "drug", "length", "treatment", "bdi.pre"]
    months = {"bdi.2m": 2, "bdi.3m": 3, "bdi.5m": 5, "bdi.8m": 8}
    tall = d.melt(id_vars=keys, value_vars=list(months), var_name="month", value_name="bdi")
    tall["month"] = tall["month"].map(months)
    return tall.sort_values(["subject", "month"], kind="stable").reset_index(drop=True)


def respiratory_with_baseline(d: pd.DataFrame) -> pd.DataFrame:
    """Return the months after treatment began, the status before it as a covariate."""
    first = d.loc[d["month"] == "0", ["subject", "status"]].rename(columns={"status": "baseline"})
    later = d[d["month"] != "0"].merge(first, on="subject")
    later = later.sort_values(["subject", "month"], kind="stable").reset_index(drop=True)
    return later.assign(y=(later["status"] == "good").astype(int))


# One step, in the words of the case or the R line of the reference.
STEPS: dict[str, Step] = {
    "rows 1..29 only": lambda d: d.iloc[:29],
    "prop = incidence/size": lambda d: d.assign(prop=d["incidence"] / d["size"]),
    "obs = factor(1..56)": lambda d: d.assign(obs=row_numbers(d)),
    "obs = factor(1..180)": lambda d: d.assign(obs=row_numbers(d)),
    "column `silly period` = period": lambda d: d.assign(**{"silly period": d["period"]}),
    "Days rows 1..3 = NA": first_missing("Days", 3),
    "Days = NA everywhere": lambda d: d.assign(Days=np.nan),
    "columns y, x, z, g only": lambda d: d[["y", "x", "z", "g"]],
    "only Subject 308": lambda d: d[d["Subject"] == "308"],
    "Reaction converted to str": lambda d: d.assign(Reaction=d["Reaction"].astype(str)),
    "Reaction cut into 3 categories": lambda d: d.assign(Reaction=thirds(d["Reaction"])),
    "r3 = Reaction cut into 3 categories": lambda d: d.assign(r3=thirds(d["Reaction"])),
    "yy = Days-2": lambda d: d.assign(yy=d["Days"] - 2),
    "yy = Days (contains 0)": lambda d: d.assign(yy=d["Days"]),
    "one = 1": lambda d: d.assign(one=1),
    "zero = 0": lambda d: d.assign(zero=0),
    "Days*1e6": lambda d: d.assign(Days=d["Days"] * 1e6),
    "rows of subjects 308, 309 removed but levels kept": lambda d: d[~d["Subject"].isin(["308", "309"])],
    "id, sequence, formulation, period as categorical": factors("id", "sequence", "formulation", "period"),
    "Source as categorical": factors("Source"),
    "d$nutrient <- factor(d$nutrient)": factors("nutrient"),
    "d$rack <- factor(d$rack)": factors("rack"),
    "d$gen <- factor(d$gen)": factors("gen"),
    "d$X <- factor(seq_len(nrow(d)))": lambda d: d.assign(X=row_numbers(d)),
    "d$obs <- factor(seq_len(nrow(d)))": lambda d: d.assign(obs=row_numbers(d)),
    "d$ch <- factor(ifelse(d$livch == '0', 'N', 'Y'))": lambda d: d.assign(
        ch=pd.Categorical(np.where(d["livch"] == "0", "N", "Y"), ["N", "Y"])
    ),
    "d$w <- 1 + (as.integer(d$nation) == 1)": lambda d: d.assign(w=1 + (d["nation"].cat.codes == 0)),
    "d$w <- 1 + (d$Days %% 3)": lambda d: d.assign(w=1 + d["Days"] % 3),
    "d$followup <- d$visit > 0": lambda d: d.assign(followup=d["visit"] > 0),
    "d$lw <- log(d$weeks)": lambda d: d.assign(lw=np.log(d["weeks"])),
    "d$x <- (d$rain - 1900)/100": lambda d: d.assign(x=(d["rain"] - 1900) / 100),
    "d$Response <- as.integer(d$outcome == 'moderate or severe')": lambda d: d.assign(
        Response=(d["outcome"] == "moderate or severe").astype(int)
    ),
    "d$Treatment <- as.integer(d$treatment == 'terbinafine')": lambda d: d.assign(
        Treatment=(d["treatment"] == "terbinafine").astype(int)
    ),
    "d$Month <- d$time": lambda d: d.assign(Month=d["time"]),
    "d$ID <- d$patientID": lambda d: d.assign(ID=d["patientID"]),
    "d$y <- pmin(d$predvolume/d$volume, 0.995)": lambda d: d.assign(
        y=np.minimum(d["predvolume"] / d["volume"], 0.995)
    ),
    "d$fp <- factor(d$period)": lambda d: d.assign(fp=pd.Categorical(d["period"])),
    "d$fage <- factor(d$age)": lambda d: d.assign(fage=pd.Categorical(d["age"])),
}

# Steps that only make sense together.
SEQUENCES: dict[tuple[str, ...], Step] = {
    (
        "w <- d",
        "d <- reshape(w[c('subject','drug','length','treatment',"
        "'bdi.pre','bdi.2m','bdi.3m','bdi.5m','bdi.8m')], "
        "idvar='subject', varying=c('bdi.2m','bdi.3m','bdi.5m','bdi.8m'), v.names='bdi', timevar='month', "
        "times=c(2,3,5,8), direction='long')",
        "d <- d[order(d$subject, d$month),]",
        "rownames(d) <- NULL",
    ): beck_in_long_form,
    (
        "b <- d[d$month=='0', c('subject','status')]",
        "names(b)[2] <- 'baseline'",
        "d <- merge(d[d$month!='0',], b, by='subject', sort=FALSE)",
        "d <- d[order(as.integer(d$subject), d$month),]",
        "d$y <- as.integer(d$status == 'good')",
        "rownames(d) <- NULL",
    ): respiratory_with_baseline,
}


def _with_missing_groups() -> pd.DataFrame:
    y = np.arange(1.0, 61.0)
    groups = np.repeat([str(i) for i in range(1, 7)], 10).astype(object)
    y[1], groups[2:4] = np.nan, None
    return pd.DataFrame({"y": y, "f": pd.Categorical(groups)})


def _nested_singletons() -> pd.DataFrame:
    labels = pd.Categorical(np.arange(1, 10001))
    return pd.DataFrame({"y": np.arange(1.0, 10001.0), "f1": labels, "f2": labels})


def _twelve_rows() -> pd.DataFrame:
    generator = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "y": generator.normal(size=12),
            "x1": generator.normal(size=12),
            "x2": generator.normal(size=12),
            "ff": pd.Categorical(np.repeat(["a", "b", "c"], 4)),
        }
    )


def _covariate_partly_missing() -> pd.DataFrame:
    generator = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "resp": generator.normal(size=100),
            "xcov": generator.normal(size=100),
            "xfac": pd.Categorical(np.repeat([str(i) for i in range(10)], 10)),
        }
    )
    return first_missing("xcov", 10)(frame)


def _matrix_response() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    return {
        "y": generator.normal(size=(100, 10)),
        "x": generator.normal(size=100),
        "batch": np.repeat([str(i) for i in range(10)], 10),
    }


def _duplicate_columns() -> pd.DataFrame:
    generator = np.random.default_rng(4)
    frame = pd.DataFrame(generator.normal(size=(20, 3)), columns=["y", "x", "x"])
    return frame.assign(g=np.repeat(list("abcd"), 5))


def _two_crossed_structures() -> pd.DataFrame:
    generator = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "f": np.tile(["a", "b", "c"], 200),
            "f1": np.repeat([f"g{i}" for i in range(10)], 60),
            "f2": np.tile(np.repeat([f"h{i:02}" for i in range(20)], 3), 10),
        }
    ).astype("category")
    effects = generator.normal(size=(10, 3))[frame["f1"].cat.codes, frame["f"].cat.codes]
    return frame.assign(y=effects + generator.normal(size=len(frame)))


# Data that a case describes in words.
GENERATED: dict[str, Callable[[], pd.DataFrame | dict[str, np.ndarray]]] = {
    "fs-savvy": _nested_singletons,
    "edge-na-group": _with_missing_groups,
    "edge-matrix-response": _matrix_response,
    "edge-nocommon-bar": _twelve_rows,
    "edge-anova-n": _covariate_partly_missing,
    "edge-empty-frame": lambda: pd.DataFrame({"y": np.empty(0), "g": np.empty(0, dtype=object)}),
    "str-order": _two_crossed_structures,
    "edge-dup-colnames": _duplicate_columns,
}
