from mixedmodels.arrays import CodeArray, FloatArray

def subtract_schur(
    tail: FloatArray,
    levels: CodeArray,
    starts: CodeArray,
    rows: CodeArray,
    values: FloatArray,
    P: FloatArray,
) -> None: ...
def add_sandwich(
    N: FloatArray,
    levels: CodeArray,
    starts: CodeArray,
    rows: CodeArray,
    values: FloatArray,
    V: FloatArray,
) -> None: ...
