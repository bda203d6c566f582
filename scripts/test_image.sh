#!/usr/bin/env bash
# Build the CPU image and run it as docs/deployment.md describes, without Docker: test_image.sh [FOLDER].
# Needs root, and buildah, debootstrap and curl (apt-get install buildah debootstrap curl). The base is debootstrap's
# bookworm with Python 3.11 instead of python:3.12-slim, so that no registry is needed. Takes some minutes.
# FOLDER keeps the base for the next run. PIP_CONFIG_FILE names pip's configuration, if the packages need one.
set -euo pipefail

MOST_MB=400
GRACE_S=10
START_S=120
SENTINEL=secret-that-must-stay-out-4711
MIRROR=${MIRROR:-http://deb.debian.org/debian}

cd "$(dirname "$0")/.."
work=$(mktemp -d /var/tmp/framelane-image.XXXXXX)
kept=${1:-$work}
daemon=
end() {
  [ -z "$daemon" ] || kill -KILL "$daemon" 2> /dev/null || true
  buildah_ umount --all > /dev/null 2>&1 || true
  rm -rf "$work"
}
buildah_() { buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
say() { echo "test_image: $*" >&2; }
fail() { say "FAILED: $*"; [ ! -s "$work/log" ] || tail -n 20 "$work/log" >&2; exit 1; }
trap end EXIT

for tool in buildah debootstrap curl unshare setpriv; do
  command -v "$tool" > /dev/null || fail "$tool is missing: apt-get install buildah debootstrap curl util-linux"
done

base() {
  mkdir -p "$kept"
  if [ ! -f "$kept/base.tar" ]; then
    say "debootstrap ..."
    debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$work/base" "$MIRROR" > "$work/log"
    tar -C "$work/base" -cf "$kept/base.tar" .
    rm -rf "$work/base"
  fi
  local container
  container=$(buildah_ from scratch)
  buildah_ add "$container" "$kept/base.tar" / > /dev/null
  # For a private package index, the image must trust the same CA as the host.
  buildah_ add "$container" /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ > /dev/null
  buildah_ commit --rm "$container" localhost/framelane-base > /dev/null 2>&1
}

build() {
  say "build ..."
  mkdir "$work/context"
  tar -cf - --exclude=.git --exclude='.venv*' . | tar -C "$work/context" -xf -
  # Neither may get into a layer: stray files of the checkout, and the secret of the build.
  for stray in .env site.yaml configs/pip.conf; do echo "$SENTINEL" > "$work/context/$stray"; done
  { cat "${PIP_CONFIG_FILE:-/etc/pip.conf}" 2> /dev/null || true; echo "# $SENTINEL"; } > "$work/pip.conf"
  buildah_ build --isolation chroot --format docker --target cpu --secret "id=pip,src=$work/pip.conf" \
    --build-arg PYTHON_IMAGE=localhost/framelane-base --tag localhost/framelane "$work/context" > "$work/log" 2>&1 ||
    fail "the build"
}

no_secret_in_layers() {
  buildah_ push --quiet localhost/framelane "oci:$work/layers" > /dev/null
  local blob found=0
  for blob in "$work"/layers/blobs/sha256/*; do
    found=$((found + 1))
    if { gzip --test "$blob" 2> /dev/null && zcat "$blob" || cat "$blob"; } | grep --quiet --text "$SENTINEL"; then
      fail "a layer or the configuration holds a secret: $blob"
    fi
  done
  [ "$found" -ge 3 ] || fail "the image has no layers to look into"
}

# The image's own settings: the user, and the variables, one per line.
of_image() {
  buildah_ inspect --type image localhost/framelane | python3 -c "
import json, sys
config = json.load(sys.stdin)['Docker']['config']
print(*$1, sep='\n')"
}

# Run a command in the image: read-only except /tmp and the two volumes, as its user, without capabilities.
in_image() {
  exec unshare --mount --propagation private sh -c '
    set -e
    root=$1 work=$2 user=$3; shift 3
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"; mount -t tmpfs tmpfs "$root/tmp"
    for name in lib cache; do mount --bind "$work/$name" "$root/var/$name/framelane"; done
    mount --bind "$work/framelane.yaml" "$root/etc/framelane/framelane.yaml"
    mount -o remount,bind,ro "$root"
    ! touch "$root/proof" 2> /dev/null
    cd "$root/var/lib/framelane"
    exec chroot "$root" setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --no-new-privs \
      --bounding-set=-all "$@"' sh "$root" "$work" "$user" env -i "${environment[@]}" "$@"
}

# The demo's model, as a path within the image.
model_in() {
  (cd "$1" && printf '/%s' opt/framelane/lib/python3*/site-packages/framelane/demo/assets/framelane-demo.onnx)
}

run() {
  local container=framelane-test port deadline code began
  buildah_ from --name "$container" localhost/framelane > /dev/null
  root=$(buildah_ mount "$container")
  user=$(of_image '[config["User"]]')
  mapfile -t environment < <(of_image 'config["Env"]')
  mapfile -t command < <(of_image 'config["Entrypoint"] + config["Cmd"]')
  [ "$user" = 10001:10001 ] || fail "the image runs as $user"
  local size
  size=$(du -sm "$root/opt/framelane" | cut -f1)
  say "/opt/framelane has $size MB"
  [ "$size" -le "$MOST_MB" ] || fail "/opt/framelane has $size MB, more than $MOST_MB"

  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  install -d -o 10001 -g 10001 -m 0750 "$work/lib" "$work/cache"
  : > "$root/etc/framelane/framelane.yaml"
  cat > "$work/framelane.yaml" << YAML
http: {listen: "127.0.0.1:$port"}
jsonl: {path: "\${STATE_DIRECTORY}/out.jsonl"}
models: {demo: {path: $(model_in "$root")}}
streams: [{id: street, url: "\${STATE_DIRECTORY}/street.mp4", loop: true, fps: 5}]
YAML
  (in_image python3 -c "
from pathlib import Path
from framelane.demo.clips import ensure_clips
ensure_clips(Path('/tmp'), 1)[0].rename('/tmp/street.mp4')
import shutil; shutil.copy('/tmp/street.mp4', '/var/lib/framelane/street.mp4')") > "$work/log" 2>&1 || fail "drawing a clip"
  (in_image "${command[0]}" check /etc/framelane/framelane.yaml) > "$work/log" 2>&1 || fail "framelane check"

  say "run ..."
  in_image "${command[@]}" > "$work/log" 2>&1 &
  daemon=$!
  deadline=$((SECONDS + START_S))
  until curl --silent --fail --output /dev/null "http://127.0.0.1:$port/healthz" &&
    grep --quiet '"label"' "$work/lib/out.jsonl" 2> /dev/null; do
    kill -0 "$daemon" 2> /dev/null || fail "the daemon has ended"
    [ "$SECONDS" -lt "$deadline" ] || fail "no detections, or /healthz not ok, within $START_S s"
    sleep 0.5
  done
  grep --quiet '^CapEff:[[:space:]]*0*$' "/proc/$daemon/status" || fail "it has capabilities"
  grep --quiet '^Uid:[[:space:]]*10001[[:space:]]' "/proc/$daemon/status" || fail "it does not run as 10001"

  say "stop ..."
  began=$SECONDS code=0
  kill -TERM "$daemon"
  wait "$daemon" || code=$?
  daemon=
  [ "$code" -eq 0 ] || fail "exit code $code after SIGTERM"
  [ $((SECONDS - began)) -le "$GRACE_S" ] || fail "it took $((SECONDS - began)) s to stop, more than $GRACE_S"
}

base
build
no_secret_in_layers
run
say "ok"
