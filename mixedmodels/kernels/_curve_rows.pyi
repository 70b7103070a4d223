from mixedmodels.arrays import FloatArray, IntArray

def parameters_at(
    fixed: FloatArray, Z: FloatArray, parameter: IntArray, spots: IntArray, T: FloatArray, u: FloatArray
) -> FloatArray: ...
def mode_sums(
    e: FloatArray,
    weights: FloatArray,
    G: FloatArray,
    H: FloatArray,
    Z: FloatArray,
    parameter: IntArray,
    cluster: IntArray,
    spots: IntArray,
    T: FloatArray,
    u: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]: ...
def moved_slope(
    we: FloatArray,
    weights: FloatArray,
    G: FloatArray,
    H: FloatArray,
    Zeta: FloatArray,
    zeta: FloatArray,
    fixed: FloatArray,
    Z: FloatArray,
    parameter: IntArray,
    spots: IntArray,
    T: FloatArray,
    dT: FloatArray,
    u: FloatArray,
) -> FloatArray: ...
def curvature_slope(
    weights: FloatArray,
    H: FloatArray,
    zeta: FloatArray,
    Omega_bar: FloatArray,
    Z: FloatArray,
    parameter: IntArray,
    cluster: IntArray,
    spots: IntArray,
    T: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]: ...
def parameter_slope(
    we: FloatArray,
    weights: FloatArray,
    G: FloatArray,
    H: FloatArray,
    Zeta: FloatArray,
    nu: FloatArray,
    slope: FloatArray,
    phi_bar: FloatArray,
    a: FloatArray,
    u: FloatArray,
    X: FloatArray,
    fixed_parameter: IntArray,
    Z: FloatArray,
    parameter: IntArray,
    spots: IntArray,
    T: FloatArray,
) -> tuple[FloatArray, FloatArray]: ...
def solve_clusters(A: FloatArray, b: FloatArray) -> FloatArray | None: ...
def invert_clusters(A: FloatArray) -> tuple[FloatArray, float] | None: ...
