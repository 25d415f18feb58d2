"""The process of one command: `automagik …`, and `python -m automagik …`."""

import gc
import sys

_OBJECTS_BEFORE_A_LOOK = 200_000


def run() -> int:
    """The exit code.

    What a command imports stays until its end. To look for garbage among it, time and again and
    once more at the end, would be a quarter of a short command's time.
    """
    gc.set_threshold(_OBJECTS_BEFORE_A_LOOK)
    from automagik.cli.cli import main

    exit_code = main()
    gc.freeze()
    return exit_code


if __name__ == "__main__":
    sys.exit(run())
