#!/usr/bin/env bash
# Make the daemon's environment in the folder PREFIX: make_environment.sh PREFIX [gpu].
# All packages come from requirements/, by version and hash; the daemon itself is built from this tree.
# With `gpu`, PyCUDA is compiled too (needs CUDA's headers and a C++ compiler), and the environment sees the system's
# Python packages, among which NVIDIA's images have TensorRT.
set -euo pipefail

prefix=$1
kind=${2:-cpu}
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
# NVIDIA's newer images constrain pip to their own versions; here only the locks decide.
unset PIP_CONSTRAINT
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

venv=("$PYTHON" -m venv)
[ "$kind" != gpu ] || venv+=(--system-site-packages)
install=(install --quiet --disable-pip-version-check --root-user-action=ignore)

"${venv[@]}" "$prefix"
"$prefix/bin/pip" "${install[@]}" --require-hashes --requirement requirements/runtime.txt
[ "$kind" != gpu ] || "$prefix/bin/pip" "${install[@]}" --require-hashes --requirement requirements/gpu.txt

# The build tools stay out of the runtime environment.
"$PYTHON" -m venv "$work/build"
"$work/build/bin/pip" "${install[@]}" --require-hashes --requirement requirements/build.txt
"$work/build/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$work" .
"$prefix/bin/pip" "${install[@]}" --no-deps --no-index "$work"/framelane-*.whl
"$prefix/bin/framelane" --version
