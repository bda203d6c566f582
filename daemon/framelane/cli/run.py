"""The command `framelane run`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from framelane.cli.shared import ConfigPath, cli, refuse
from framelane.core.errors import ConfigError

if TYPE_CHECKING:
    from framelane.core.errors import Finding


@cli.command()
def run(config: ConfigPath) -> None:
    """Run the daemon until SIGTERM or SIGINT."""
    from framelane.config.yaml.load import check_config
    from framelane.control.changes import LiveConfig
    from framelane.core.log import setup
    from framelane.node.daemon import make_service

    report = check_config(config, os.environ)
    if report.config is None:
        refuse(config, report.findings)
    loaded = report.config
    setup(loaded.log.level, loaded.log.format)
    _log_warnings(report.warnings)
    try:
        make_service(LiveConfig(config, os.environ, report)).run()
    # Unknown labels are found only once the model files are loaded.
    except ConfigError as error:
        refuse(config, report.located(error.findings))


def _log_warnings(warnings: list[Finding]) -> None:
    import structlog

    for warning in warnings:
        structlog.get_logger(__name__).warning("config_oddity", key=warning.path, text=warning.message)
