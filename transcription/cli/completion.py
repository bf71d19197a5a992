"""The option --print-completion: a script for a shell, which completes the options of a command."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

SHELLS = ("bash", "zsh", "fish")


class PrintCompletion(argparse.Action):
    """Print the script for a shell and exit. It needs the package shtab."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:  # fmt: skip
        """Print the script of `parser` for the shell `values`."""
        try:
            import shtab  # here, because nothing else needs it
        except ModuleNotFoundError:
            parser.error('--print-completion needs one more package: pip install "transcription-endpoint[completion]"')
        files: dict[Any, Any] = {"FILE": shtab.FILE, "DIR": shtab.DIRECTORY, "SOURCE": shtab.FILE}
        for action in parser._actions:
            if action.metavar in files:
                action.complete = files[action.metavar]  # type: ignore[attr-defined]  # shtab reads it
        sys.stdout.write(shtab.complete(parser, str(values)))
        parser.exit()


def add_completion(parser: argparse.ArgumentParser) -> None:
    """Add the option --print-completion to a command."""
    parser.add_argument(
        "--print-completion", action=PrintCompletion, choices=SHELLS, help="print a script that completes the options"
    )
