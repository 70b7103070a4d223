from mixedmodels.arrays import FloatArray
from mixedmodels.kernels.one_factor import Numbers

def one_factor(
    faces: FloatArray,
    XZ: FloatArray,
    r: FloatArray,
    XX: FloatArray,
    rX: FloatArray,
    rss: float,
    T: FloatArray,
    df: float,
    sigma2: float,
    fixed_effects: bool,
    least_share: float,
) -> Numbers: ...
