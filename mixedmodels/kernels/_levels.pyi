from mixedmodels.arrays import FloatArray, IntArray

def level_modes(
    kind: int,
    y: FloatArray,
    weights: FloatArray,
    fixed: FloatArray,
    Z: FloatArray,
    T: FloatArray,
    starts: IntArray,
    u: FloatArray,
    found: FloatArray,
    half: FloatArray,
) -> tuple[bool, float, float, float]: ...
def level_gradient(
    Z: FloatArray,
    T: FloatArray,
    starts: IntArray,
    u: FloatArray,
    found: FloatArray,
    half: FloatArray,
    shift: FloatArray,
    omega: FloatArray,
    residual: FloatArray,
    dT: FloatArray,
) -> None: ...
def level_nodes(
    kind: int,
    y: FloatArray,
    weights: FloatArray,
    Z: FloatArray,
    T: FloatArray,
    starts: IntArray,
    u: FloatArray,
    found: FloatArray,
    half: FloatArray,
    nodes: FloatArray,
    log_weights: FloatArray,
    signs: FloatArray,
    shift: FloatArray,
    omega: FloatArray,
    residual: FloatArray,
    factors: FloatArray,
) -> float: ...
