from mixedmodels.arrays import CodeArray, FloatArray

def run_program(
    operations: CodeArray,
    places: CodeArray,
    numbers: FloatArray,
    data: FloatArray,
    phi: FloatArray,
    outputs: CodeArray,
    n_rows: int,
    n_registers: int,
) -> FloatArray: ...
