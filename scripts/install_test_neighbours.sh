#!/usr/bin/env bash
# Installs the real neighbours that tests talk to, from Debian's packages, where this user may, and AsyncAPI's own JSON
# Schema, where npm is. Without them the tests that need them are skipped, and say so.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v npm > /dev/null && [ ! -d .venv/asyncapi/node_modules/@asyncapi/specs ]; then
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix .venv/asyncapi @asyncapi/specs@6.11.1 ||
    echo "install_test_neighbours: npm can't install @asyncapi/specs; the test that needs it is skipped" >&2
fi

needed=()
command -v mosquitto > /dev/null || [ -x /usr/sbin/mosquitto ] || needed+=(mosquitto)
# systemd-analyze looks at the units, promtool at the alerts. Not on a host that would start their services.
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
