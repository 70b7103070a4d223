#!/bin/sh
# Make the virtual environment .venv and install the package into it.
#
#   tools/bootstrap.sh EXTRAS      EXTRAS: "" or a list such as "test,dev"
#
# PYTHON=...    the interpreter to use (default: the first Python >= 3.11 found)
# CHOLMOD=no    leave SuiteSparse alone: no system package, no scikit-sparse
#
# As root on Debian or Ubuntu, missing system packages are installed with apt-get; everybody else is
# told the command to type. SuiteSparse is optional: without it SciPy's solver is used.
set -eu
cd "$(dirname "$0")/.."
extras=${1:-}
venv=.venv

say() { printf 'mixedmodels: %s\n' "$*"; }

is_root_on_debian() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; }

apt_install() {
    say "installing with apt-get: $*"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need WHAT PACKAGE...: install the packages, or say what to install and stop.
need() {
    what=$1
    shift
    if is_root_on_debian && apt_install "$@"; then
        return
    fi
    say "$what is missing. On Debian or Ubuntu: sudo apt-get install $*" >&2
    say "Then run the same make target again." >&2
    exit 1
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# 1. An interpreter that can make virtual environments.
if [ -n "${PYTHON:-}" ] && ! is_new_enough "$PYTHON"; then
    say "PYTHON=$PYTHON is not Python 3.11 or newer." >&2
    exit 1
fi
python=$(find_python) || {
    need "Python 3.11 or newer" python3 python3-venv
    python=$(find_python) || {
        say "The Python of this system is older than 3.11; install a newer one and set PYTHON=/path/to/it." >&2
        exit 1
    }
}
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    # Debian splits ensurepip off into a package of its own, one for each minor version.
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    need "The module ensurepip of $python (without it 'python3 -m venv' cannot install pip)" "python$version-venv"
fi

# 2. The environment and the package.
if ! "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
    say "making $venv with $python"
    "$python" -m venv --clear "$venv"
fi
# An editable installation rebuilds the kernels when they change: it needs the build tools beside it.
say "installing the package${extras:+ with [$extras]}"
pip_install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
pip_install "meson-python>=0.17" "meson>=1.4" ninja "cython>=3.1"
PATH=$PWD/$venv/bin:$PATH
export PATH
pip_install --no-build-isolation --editable ".${extras:+[$extras]}"

# 3. SuiteSparse's CHOLMOD, where it can be had.
has_headers() {
    for folder in ${SUITESPARSE_INCLUDE_DIR:-} /usr/include /usr/local/include /opt/homebrew/include; do
        [ -e "$folder/suitesparse/cholmod.h" ] || [ -e "$folder/cholmod.h" ] && return 0
    done
    return 1
}

has_compiler() {
    command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || return 1
    "$venv/bin/python" - <<'PY'
import pathlib, sys, sysconfig
sys.exit(not (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists())
PY
}

has_cholmod() { "$venv/bin/python" -c 'import sksparse.cholmod' >/dev/null 2>&1; }

# python3-dev serves Debian's own interpreter; any other one brings its headers along.
install_headers() {
    is_root_on_debian && apt_install libsuitesparse-dev gcc libc6-dev python3-dev
}

# scikit-sparse 0.5 needs a newer SuiteSparse than Debian 12 has; 0.4.16 builds on both.
install_cholmod() {
    pip_install "scikit-sparse==0.4.16.*" >"$venv/cholmod.log" 2>&1 &&
        has_cholmod
}

if [ "${CHOLMOD:-yes}" = no ]; then
    say "SciPy's sparse solver is used (CHOLMOD=no)."
elif has_cholmod; then
    say "SuiteSparse's CHOLMOD is installed (scikit-sparse)."
elif { has_headers && has_compiler; } || install_headers; then
    if install_cholmod; then
        say "SuiteSparse's CHOLMOD is installed (scikit-sparse)."
    else
        say "SciPy's sparse solver is used: scikit-sparse did not build ($venv/cholmod.log)."
    fi
else
    say "SciPy's sparse solver is used: no SuiteSparse headers or C compiler (optional: apt-get install libsuitesparse-dev gcc python3-dev)."
fi
