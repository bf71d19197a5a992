"""The command `transcribe-server`: the service over HTTP. It reads its settings from the environment and options."""

import argparse
import logging
import sys
from collections.abc import Sequence

from prometheus_client import disable_created_metrics

from transcription.cli.completion import add_completion
from transcription.config import ModelSettings, variables
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
    lines = "\n".join(f"  {variables(name, field)[0]:24}{field.description}" for name, field in fields.items())
    command = argparse.ArgumentParser(
        prog="transcribe-server", description="Serve a Whisper model over HTTP until SIGTERM or Ctrl-C.",
        epilog=f"environment variables:\n{lines}", formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    command.add_argument("--model", help="Whisper checkpoint: a Hub name or a directory (default: $ASR_MODEL)")
    command.add_argument("--served-model-name", metavar="NAME", help="name in /v1/models (default: $SERVED_MODEL_NAME)")
    command.add_argument("--host", help="address to listen on (default: $HOST)")
    command.add_argument("--port", type=int, help="port to listen on (default: $PORT)")
    command.add_argument("--dtype", help="data type of the weights, e.g. half (default: $DTYPE)")
    command.add_argument(
        "--max-num-seqs", type=int, metavar="N", help="maximum number of windows in the batch (default: $SLOTS)"
    )
    add_completion(command)
    return command


def settings(options: argparse.Namespace) -> tuple[ServerSettings, ModelSettings]:
    """Return the settings of the environment, updated with the options. Raises InvalidSettings."""
    server = ServerSettings.from_environment(
        served_model_name=options.served_model_name, host=options.host, port=options.port
    )
    models = ModelSettings.from_environment(
        mounted(), asr_model=options.model, dtype=options.dtype, slots=options.max_num_seqs
    )
    return server, models


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C, and return the exit code."""
    options = parser().parse_args(arguments)
    configure_logging()
    disable_created_metrics()  # type: ignore[no-untyped-call]  # else every counter has a second, useless series
    try:
        server, models = settings(options)
    except InvalidSettings as error:
        logger.error(error)
        return 2
    return serve(create_app(server, lambda: Transcriber(models), mounts=[mount]))


def run() -> None:
    """Run the command as a program."""
    sys.exit(main())


if __name__ == "__main__":
    run()
