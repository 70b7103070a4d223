from mixedmodels.arrays import FloatArray
from mixedmodels.kernels.pairs import Int32Array

def subtract_pairs(
    kept: FloatArray,
    starts: Int32Array,
    second: Int32Array,
    numbers: Int32Array,
    left: FloatArray,
    right: FloatArray,
) -> None: ...
def multiply_pairs(
    starts: Int32Array,
    second: Int32Array,
    numbers: Int32Array,
    values: FloatArray,
    kept: FloatArray,
) -> FloatArray: ...
