"""What the commands share as programs."""

import os
import sys
from collections.abc import Callable
from typing import NoReturn


def exit_with(main: Callable[[], int], at_once: bool = False) -> NoReturn:
    """Run a command and exit with its code.

    at_once: without taking down the interpreter, for a command that leaves nothing to clean up. With torch and its
    threads that takes 1.7 s.
    """
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130  # the exit code of shells after an interrupt
    if at_once and _flush():
        os._exit(code)
    sys.exit(code)


def _flush() -> bool:
    """Write what is buffered; return whether that was possible. If not, the interpreter reports it when it ends."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return False
    return True
