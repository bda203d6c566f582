#!/usr/bin/env bash
# Write requirements/*.txt: for every supported Python, each installed package by version and hash. `make lock`.
set -euo pipefail
cd "$(dirname "$0")/.."

lock() { # OUTPUT INPUT [OPTION...]
  local output=$1 input=$2
  shift 2
  {
    echo "# Written by \`make lock\` from $input. Change that, not this."
    uv pip compile --universal --python-version 3.10 --generate-hashes --no-header --quiet "$@" "$input"
  } > "$output.new"
  mv "$output.new" "$output"
}

# The client for buckets is in every environment that we make.
lock requirements/runtime.txt pyproject.toml --extra s3 "$@"
lock requirements/build.txt requirements/build.in "$@"
lock requirements/gpu.txt requirements/gpu.in --constraint requirements/runtime.txt "$@"
