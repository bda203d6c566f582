#!/usr/bin/env bash
# Makes the daemon's environment in the folder PREFIX: make_environment.sh PREFIX [gpu].
# Every package is one that requirements/ names, by version and hash; the daemon itself is built from this tree.
# With `gpu`, PyCUDA is compiled too (CUDA's headers and a C++ compiler must be there), and the environment sees the
# Python packages of the system, where NVIDIA's images have TensorRT.
set -euo pipefail

prefix=$1
kind=${2:-cpu}
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
# NVIDIA's newer images constrain pip to the versions that they hold; here the locks alone decide.
unset PIP_CONSTRAINT
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

venv=("$PYTHON" -m venv)
[ "$kind" != gpu ] || venv+=(--system-site-packages)
install=(install --quiet --disable-pip-version-check --root-user-action=ignore)

"${venv[@]}" "$prefix"
"$prefix/bin/pip" "${install[@]}" --require-hashes --requirement requirements/runtime.txt
[ "$kind" != gpu ] || "$prefix/bin/pip" "${install[@]}" --require-hashes --requirement requirements/gpu.txt

# What builds the wheel stays out of the environment that runs.
"$PYTHON" -m venv "$work/build"
"$work/build/bin/pip" "${install[@]}" --require-hashes --requirement requirements/build.txt
"$work/build/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$work" .
"$prefix/bin/pip" "${install[@]}" --no-deps --no-index "$work"/framelane-*.whl
"$prefix/bin/framelane" --version
