"""`run`: serves the metrics until a signal stops it."""

import asyncio
import signal
from collections.abc import Sequence

from exporter import __version__
from exporter.commands.output import PROG
from exporter.commands.process import get_runtime, run_server, until_stopped
from exporter.commands.usage import DESCRIPTION, OPTION_SOURCES, SERVING_EXIT_CODES
from exporter.logs import configure_logs, get_logger
from exporter.reloading import reloading
from exporter.service import running
from exporter.settings import Settings
from exporter.settings.loading import load_settings
from exporter.settings.manual import Manual

log = get_logger(__name__)


def main(argv: Sequence[str]) -> int:
    """Serve, or check the configuration if that is asked for, and return the exit code."""

    def read() -> Settings:
        settings = load_settings(Settings, argv, Manual(f"{PROG} run", DESCRIPTION, SERVING_EXIT_CODES, OPTION_SOURCES))
        settings.targets()
        return settings

    settings = read()
    configure_logs(settings.log.level, settings.log.format)
    if settings.config.check:
        from exporter.commands.check import report

        return report(settings, live=False)

    async def serve() -> None:
        reload = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.set)
        runtime = get_runtime()
        async with running(settings, runtime, read) as service, reloading(service, runtime.clock, reload):
            log.info("listening", version=__version__, urls=" ".join(service.urls))
            try:
                await until_stopped()
            finally:
                log.info("stopping")

    run_server(serve)
    return 0
