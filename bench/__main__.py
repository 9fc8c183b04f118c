"""The program: `bench`, and `python -m bench`."""

import signal
import sys

from bench.adapters.stops import end_while_loading

signal.signal(signal.SIGINT, end_while_loading)  # before all that takes its time

from bench.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
