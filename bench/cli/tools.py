"""`bench list`, `check`, `verify` and `report`: tools around runs and files."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    command = commands.add_parser("list", help="list the scenarios, rigs, meters and targets that are there")
    command.add_argument("--json", action="store_true")
    command.set_defaults(func=list_files)
    command = commands.add_parser("check", help="check a scenario, rig, meter, price, surplus or target file")
    command.add_argument("file", type=Path, nargs="+")
    command.set_defaults(func=check)
    command = commands.add_parser("verify", help="check a run's chain and recompute its verdict from the journal alone")
    command.add_argument("run", type=Path, help="folder of the run")
    command.add_argument("--key", type=Path, metavar="FILE.pub", help="public key of the laboratory that has to have signed it")
    command.add_argument("--json", action="store_true")
    command.set_defaults(func=verify)
    command = commands.add_parser("baseline", help="show known loads to a rig's meters and keep the record")
    command.add_argument("--rig", required=True, help="name of a rig in config/rigs, or a file")
    command.add_argument("--out", type=Path, metavar="DIR", help="folder of the run (default: runs/TIME-baseline)")
    command.set_defaults(func=baseline)
    command = commands.add_parser("key", help="make a laboratory's key for signing runs")
    command.add_argument("file", type=Path, help="file of the private key; the public one goes beside it as .pub")
    command.set_defaults(func=key)
    command = commands.add_parser("export", help="copy a run for a customer, without tokens and names of people")
    command.add_argument("run", type=Path, help="folder of the run")
    command.add_argument("--customer", type=Path, required=True, metavar="DIR", help="folder of the copy")
    command.add_argument("--key", type=Path, metavar="FILE", help="private key to sign the copy with")
    command.set_defaults(func=export)
    command = commands.add_parser("report", help="write a run's report again, from its journal")
    command.add_argument("run", type=Path, help="folder of the run")
    command.add_argument("--out", type=Path, help="file to write (default: report.html in the folder)")
    command.set_defaults(func=report)


def list_files(arguments: argparse.Namespace) -> int:
    """List what can be run, and on what; a broken file is listed with its error and makes the exit code 1."""
    from bench.rig.files import listing

    entries = listing()
    if arguments.json:
        print(json.dumps(entries, indent=2))
    else:
        for group in ("scenario", "rig", "meter", "target", "job", "suite"):
            print(f"{group}s")
            for entry in (one for one in entries if one["kind"] == group):
                print(f"  {entry['name']:<28} {entry['error'] or entry['title']}")
    return 1 if any(entry["error"] for entry in entries) else 0


def check(arguments: argparse.Namespace) -> int:
    """Check files one after the other; a wrong one is a UsageError once all were looked at."""
    from bench.errors import UsageError
    from bench.rig.files import check_file

    wrong: list[str] = []
    for file in arguments.file:
        try:
            print(f"{file}: a sound {check_file(file)} file")
        except UsageError as error:
            wrong.append(str(error))
    if wrong:
        raise UsageError("\n".join(wrong))
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Check a run; 0 when chain, result and verdict agree, 1 when something does not, 2 when it is no run."""
    from bench.rig.verify import verify_run

    verification = verify_run(arguments.run, arguments.key)
    if arguments.json:
        print(json.dumps(verification.as_json(), indent=2))
    else:
        print("\n".join(verification.lines()))
    return 0 if verification.sound else 1


def baseline(arguments: argparse.Namespace) -> int:
    """Prove the meters; 1 where one is not proven."""
    from bench.cli.progress import Progress
    from bench.rig.files import find_rig, run_folder
    from bench.rig.lease import leased
    from bench.rig.proof import make_record, record_s

    rig_path, rig = find_rig(arguments.rig)
    out, asking = arguments.out or run_folder("baseline"), rig.operator is not None  # the console belongs to the questions then
    print(f"known loads for about {math.ceil(record_s(rig, rig_path))} s", file=sys.stderr)
    with leased(rig, "bench baseline"):
        record = make_record(rig, rig_path, out, lambda one: Progress(one, quiet=asking))
    for line in record.lines:
        print(line)
    if record.proven:
        print(f"record: {record.file}")
    return 0 if record.proven else 1


def key(arguments: argparse.Namespace) -> int:
    """Make a pair of keys."""
    from bench.adapters.signature import fingerprint, load_public, new_key

    public = new_key(arguments.file)
    print(f"private key: {arguments.file} (keep it)\npublic key:  {public}, fingerprint {fingerprint(load_public(public))}")
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Copy a run for a customer."""
    from bench.rig.export import export_run

    exported = export_run(arguments.run, arguments.customer, arguments.key)
    print(f"exported: {exported.folder}, {exported.replaced} texts replaced, head {exported.head[:16]}")
    return 0


def report(arguments: argparse.Namespace) -> int:
    """Write the report of a run again; 1 when the chain is broken, which the report then says first."""
    from bench.rig.verify import rewrite_report

    path, chain_ok = rewrite_report(arguments.run, arguments.out)
    print(f"report: {path}" if chain_ok else f"report: {path}, but the chain of the journal is broken: see 'bench verify'")
    return 0 if chain_ok else 1
