from mixedmodels.arrays import FloatArray
from mixedmodels.kernels.one_factor_search import End

def search_one_factor(
    faces: FloatArray,
    XZ: FloatArray,
    r: FloatArray,
    XX: FloatArray,
    rX: FloatArray,
    rss: float,
    sizes: tuple[int, ...],
    start: FloatArray,
    df: float,
    fixed_effects: bool,
    least_share: float,
    options: tuple[float, float, float, float, float, float],
    scoring: tuple[int, float],
    tolerances: tuple[float, float],
    far: tuple[float, ...],
    back: tuple[FloatArray, FloatArray, FloatArray, FloatArray],
) -> End | None: ...
