"""The emulator as a process of its own, in real time: `python -m firmware_sim --csms ws://… --control PORT`."""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":  # the imports take a second, in which Ctrl-C is not to end in a traceback
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from firmware_sim.clock import RealClock
from firmware_sim.http_control import open_control
from firmware_sim.rig import open_rig

DEFAULT_MAP: Final = Path(__file__).parent.parent / "config" / "meters" / "sdm630.toml"


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGINT or SIGTERM. Returns 0, or 2 on a wrong argument or file, 4 where a port is taken."""
    options = command_parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    for noisy in ("websockets", "uvicorn", "pymodbus", "httpx"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("firmware_sim.endpoint").setLevel(logging.WARNING)
    try:
        asyncio.run(_run(options))
    except (ValueError, OSError) as error:
        print(f"firmware_sim: {error}", file=sys.stderr)
        return 4 if isinstance(error, OSError) and error.filename is None else 2  # no file: a port or an address
    except KeyboardInterrupt:
        return 130
    return 0


def command_parser() -> argparse.ArgumentParser:
    """Return the grammar of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m firmware_sim", description="An emulated charging station with EVs and meters."
    )
    parser.add_argument("--csms", required=True, metavar="URL", help="where the CSMS is; the station appends /ID")
    parser.add_argument("--control", required=True, type=_port, metavar="PORT", help="HTTP/JSON control port; 0: a free one")
    parser.add_argument("--id", default="CS-EMU-1", help="id of the station")
    parser.add_argument("--evses", type=_count, default=2, metavar="N", help="number of EVSEs, each with a meter")
    parser.add_argument("--max-current", type=float, default=16, metavar="A", help="of each EVSE, per phase")
    parser.add_argument("--external-limits", action="store_true", help="give it an input for limits past the CSMS")
    parser.add_argument("--iso15118", action="store_true", help="let it speak ISO 15118 with an EV that does")
    parser.add_argument("--meter-map", type=Path, default=DEFAULT_MAP, metavar="FILE", help="register map of the meters")
    parser.add_argument(
        "--meter-port", type=_port, default=0, metavar="BASE", help="first meter's port, then BASE+1 …; 0: free ones"
    )
    parser.add_argument("--relay-port", type=_port, metavar="PORT", help="relay board (Modbus TCP) whose coil 0 is the contactor")
    parser.add_argument(
        "--relay-watchdog", type=float, default=0, metavar="S", help="silence after which the relay opens by itself; 0: never"
    )
    parser.add_argument(
        "--meter-bus", action="store_true", help="put the meters on one RTU bus instead, a pseudo-terminal; units 1, 2 …"
    )
    parser.add_argument(
        "--meter-baud", type=int, default=9600, metavar="N", help="of that bus; replies take as long as on a wire"
    )
    parser.add_argument("--meter-link", default="", metavar="PATH", help="make a symbolic link to the bus")
    parser.add_argument("--meter-values-interval", type=int, default=60, metavar="S", help="of the station's own meter values")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of message and transaction ids")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="first line: the password for basic authentication")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="authority of the CSMS's certificate (wss)")
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="where meters and control port listen")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)


def _spec(options: argparse.Namespace) -> dict[str, Any]:
    """Return the rig as `open_rig` takes it: one station, a meter `evseN` behind each EVSE."""
    if not options.csms.startswith(("ws://", "wss://")):
        raise ValueError(f"--csms {options.csms}: must begin with ws:// or wss://")
    numbers = range(1, options.evses + 1)
    password = options.password_file.read_text(encoding="utf-8").partition("\n")[0].strip() if options.password_file else None
    station = {
        "id": options.id,
        "password": password,
        "evses": [{"id": number, "max_current_a": options.max_current, "meter": f"evse{number}"} for number in numbers],
    }
    station["features"] = {"external_limits": options.external_limits, "iso15118": options.iso15118}
    base = options.meter_port
    meters: dict[str, dict[str, Any]] = {f"evse{number}": {"register_map": str(options.meter_map)} for number in numbers}
    for number, meter in zip(numbers, meters.values(), strict=True):
        meter |= {"line": "bus", "unit_id": number} if options.meter_bus else {"port": base and base + number - 1}
    lines = {"bus": {"baud": options.meter_baud, "link": options.meter_link}} if options.meter_bus else {}
    emulator: dict[str, Any] = {"meter_values_interval_s": options.meter_values_interval}
    if options.ca_file:
        emulator["ca_file"] = str(options.ca_file)
    spec: dict[str, Any] = {"stations": [station], "meters": meters, "lines": lines, "emulator": emulator, "host": options.listen}
    if options.relay_port is not None:
        relay = {"port": options.relay_port, "watchdog_s": options.relay_watchdog, "supplies": {0: options.id}}
        spec["relays"] = {"relay": relay | ({"registers": {1: {"station": options.id}}} if options.external_limits else {})}
    return spec


async def _run(options: argparse.Namespace) -> None:
    """Serve until a signal comes; one line per listening port goes to the standard output."""
    over = asyncio.Event()
    if not options.listen.startswith("127.") and options.listen not in ("::1", "localhost"):
        print(f"warning: anyone who reaches {options.listen} can act on this emulator", file=sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(
            open_rig(_spec(options), clock=RealClock(), csms_url=options.csms, seed=options.seed, virtual=False)
        )
        control = open_control(rig.stations[options.id], host=options.listen, port=options.control)
        print(f"control http://{options.listen}:{await stack.enter_async_context(control)}", flush=True)
        for name, port in rig.meter_ports.items():
            print(f"meter {name} modbus-tcp {options.listen}:{port}", flush=True)
        for name, port in rig.actuator_ports.items():
            print(f"relay {name} modbus-tcp {options.listen}:{port}", flush=True)
        for device in rig.line_ports.values():
            print(f"meters rtu {device} units 1 to {options.evses} at {options.meter_baud} baud 8N1", flush=True)
        await over.wait()


if __name__ == "__main__":
    sys.exit(main())
