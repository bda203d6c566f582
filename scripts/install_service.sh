#!/usr/bin/env bash
# Install the daemon as a systemd service: user, environment in /opt/framelane, units, configuration. Rerun to upgrade.
# The administrator's files below /etc/framelane are never overwritten.
# With DESTDIR=FOLDER only files are installed below it, for packages: no user, no environment, no reload.
set -euo pipefail
cd "$(dirname "$0")/.."

DESTDIR=${DESTDIR:-}
PYTHON=${PYTHON:-python3}
# Any value installs PyCUDA too, for hosts with NVIDIA's driver, CUDA's headers and TensorRT.
GPU=${GPU:-}
readonly DESTDIR GPU
export PYTHON
# The service's user must be able to run the installed files.
umask 022
readonly HOME_DIR=/opt/framelane CONFIG_DIR=/etc/framelane UNIT_DIR=/etc/systemd/system

main() {
  if [ -z "$DESTDIR" ]; then
    [ "$(id -u)" -eq 0 ] || { echo "install_service: run it as root, or with DESTDIR=FOLDER" >&2; exit 1; }
    make_user
    check_python
    scripts/make_environment.sh "$HOME_DIR" ${GPU:+gpu}
    [ -z "$GPU" ] || "$HOME_DIR/bin/python" -c 'import tensorrt' ||
      echo "install_service: no TensorRT: $HOME_DIR/bin/pip install tensorrt==... as docs/engines.md says" >&2
  fi
  lay_out_files
  if [ -z "$DESTDIR" ]; then
    install -d -m 0750 -o framelane -g framelane /var/lib/framelane
    chown root:framelane "$CONFIG_DIR" "$CONFIG_DIR"/*.yaml "$CONFIG_DIR"/*.env
    [ ! -d /run/systemd/system ] || start_again
    next_steps
  fi
}

make_user() {
  getent passwd framelane > /dev/null ||
    useradd --system --user-group --home-dir /var/lib/framelane --no-create-home --shell /usr/sbin/nologin framelane
}

# A Python below /root, such as pyenv's, would make an environment that only root can run.
check_python() {
  local real
  real=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.executable))')
  runuser --user framelane -- "$real" -c "" 2> /dev/null ||
    { echo "install_service: user framelane may not run $real; say PYTHON=/usr/bin/python3 or another" >&2; exit 1; }
}

lay_out_files() {
  install -d -m 0750 "$DESTDIR$CONFIG_DIR"
  install -d -m 0700 "$DESTDIR$CONFIG_DIR/credentials"
  install -D -m 0644 -t "$DESTDIR$UNIT_DIR" systemd/framelane.service systemd/framelane@.service
  install_new 0640 systemd/framelane.yaml.example framelane.yaml
  install_new 0640 systemd/framelane.env.example framelane.env
}

install_new() { # MODE FROM NAME
  [ -e "$DESTDIR$CONFIG_DIR/$3" ] || install -m "$1" "$2" "$DESTDIR$CONFIG_DIR/$3"
}

# A running daemon has the old code in memory, but would start its workers from the new code.
start_again() {
  systemctl daemon-reload
  systemctl try-restart framelane.service 'framelane@*.service'
}

next_steps() {
  cat << END
Installed. Next:
  1. put your ONNX file into /var/lib/framelane, passwords into $CONFIG_DIR/credentials (a file each), and edit $CONFIG_DIR/framelane.yaml
  2. systemctl enable --now framelane
  3. systemctl status framelane; journalctl -fu framelane
END
}

main
