"""The commands as pyproject.toml names them. A missing extra is one line that says what to install."""

import sys
from importlib import import_module

EXTRAS = {
    "fastapi": "server", "uvicorn": "server", "multipart": "server", "prometheus_client": "server",
    "httpcore": "server", "ray": "cluster", "fsspec": "cluster", "pyarrow": "cluster",
    "onnx": "export",
}  # fmt: skip
"""The extra that installs a module."""


def transcribe() -> None:
    """Run the command transcribe."""
    _run("transcription.cli.transcribe")


def transcribe_server() -> None:
    """Run the command transcribe-server."""
    _run("transcription.cli.serve")


def transcribe_archive() -> None:
    """Run the command transcribe-archive."""
    _run("transcription.cli.archive")


def transcribe_export() -> None:
    """Run the command transcribe-export."""
    _run("transcription.cli.export")


def _run(module: str) -> None:
    try:
        command = import_module(module)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        print(
            f'error: this command needs more packages: pip install "transcription-endpoint[{extra}]"', file=sys.stderr
        )
        sys.exit(2)
    command.run()
