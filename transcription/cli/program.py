"""What the commands share as programs."""

import sys
from collections.abc import Callable
from typing import NoReturn


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its code."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # the exit code of shells after an interrupt
