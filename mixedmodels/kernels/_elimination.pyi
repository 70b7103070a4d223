from mixedmodels.arrays import IntArray
from mixedmodels.kernels.elimination import Int32Array

def column_structures(row_starts: Int32Array, columns: Int32Array) -> tuple[IntArray, Int32Array]: ...
