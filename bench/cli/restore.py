"""`bench restore`: after a crash, gives a station back what it held before."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.errors import UsageError


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands.add_parser("restore", help="give a rig's station back what it held before runs that were cut off")
    command.add_argument("rig", help="name of a rig in config/rigs, or a file")
    command.add_argument("--run", type=Path, metavar="DIR", help="folder of one run (default: all unfinished ones in runs/)")
    command.add_argument("--within", type=float, default=120, metavar="S", help="how long the station may take to connect")
    command.add_argument("--out", type=Path, help="folder of the restoration's journal (default: runs/TIME-restore)")
    command.set_defaults(func=restore)


def restore(arguments: argparse.Namespace) -> int:
    """Restore; 0 when the station is as it was found, 1 when it is not, 2 on bad usage, 4 when it does not come or to rest."""
    from bench.rig.files import find_rig, run_folder
    from bench.rig.lease import leased
    from bench.rig.restore import RestoreOrder, restore_rig

    if arguments.within <= 0:
        raise UsageError(f"--within {arguments.within:g}: must be more than 0")
    rig_path, rig = find_rig(arguments.rig)
    order = RestoreOrder(
        rig, rig_path, arguments.out or run_folder("restore"), run=arguments.run, within_s=arguments.within
    )  # fmt: skip
    with leased(rig, "bench restore", expected_s=arguments.within):
        return 0 if restore_rig(order, announce) else 1


def announce(line: str) -> None:
    """Print one line at once, also into a pipe."""
    print(line, flush=True)
