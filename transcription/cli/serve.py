"""The command `transcribe-server`: the service over HTTP. It reads its settings from the environment."""

import argparse
import logging
import sys
from collections.abc import Sequence

from prometheus_client import disable_created_metrics

from transcription.config import ModelSettings
from transcription.errors import InvalidSettings
from transcription.server.app import create_app
from transcription.server.request_log import configure_logging
from transcription.server.run import serve
from transcription.server.settings import ServerSettings, mounted
from transcription.transcriber import Transcriber
from transcription.ui.mounting import mount

logger = logging.getLogger("transcription")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, whose help lists the environment variables."""
    fields = {**ServerSettings.model_fields, **ModelSettings.model_fields}
    variables = "\n".join(f"  {name.upper():24}{field.description}" for name, field in fields.items())
    return argparse.ArgumentParser(
        prog="transcribe-server", description="Serve a Whisper model over HTTP until SIGTERM or Ctrl-C.",
        epilog=f"environment variables:\n{variables}", formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C, and return the exit code."""
    parser().parse_args(arguments)
    configure_logging()
    disable_created_metrics()  # type: ignore[no-untyped-call]  # else every counter has a second, useless series
    try:
        settings = ServerSettings.from_environment()
        models = ModelSettings.from_environment(mounted())
    except InvalidSettings as error:
        logger.error(error)
        return 2
    return serve(create_app(settings, lambda: Transcriber(models), mounts=[mount]))


def run() -> None:
    """Run the command as a program."""
    sys.exit(main())


if __name__ == "__main__":
    run()
