from mixedmodels.arrays import CodeArray, FloatArray
from mixedmodels.kernels.level_products import PlainRows

def level_products(
    codes: CodeArray, q: int, Z: FloatArray, X: FloatArray
) -> tuple[FloatArray, FloatArray]: ...
def regular_pairs(codes: CodeArray, q: int, Z: FloatArray, least: float) -> int: ...
def plain_rows(
    y: FloatArray,
    X: FloatArray,
    Z: FloatArray,
    codes: CodeArray,
    q: int,
    least_fixed: float,
    least_own: float,
) -> PlainRows | None: ...
def reversed_cholesky(gram: FloatArray, least: float) -> tuple[FloatArray, FloatArray] | None: ...
