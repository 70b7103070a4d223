from mixedmodels.arrays import FloatArray

def logit_rows(
    y: FloatArray, eta: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]: ...
def rising_rows(
    counts: FloatArray, s: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]: ...
def beta_binomial_rows(
    y: FloatArray, eta: FloatArray, weights: FloatArray, phi: float, in_phi: bool
) -> tuple[FloatArray, ...] | None: ...
