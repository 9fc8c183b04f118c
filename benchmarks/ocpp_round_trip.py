"""One OCPP round trip through the bench, against a raw `websockets` echo of the same bytes and a stock `ocpp` ChargePoint.

    python benchmarks/ocpp_round_trip.py [ROUNDS]

The station's end runs in a second process on a core of its own, as a station is a computer of its own; left to the scheduler
the ends share a core or not, by chance. Each stack is at both ends: with the bench it is the bench's session on the same
kind of transport, sans-I/O `websockets` on an `asyncio.Protocol`. (With the session on a plain `websockets` client the
ratios are 0.15 to 0.3 higher.) Loopback, no compression.

Within a round the stacks are taken in shuffled order; a ratio is the median of the ratios within a round, so that a machine
that slows down slows both. BootNotification and TransactionEvent are sent and timed by the station, SetChargingProfile by
the CSMS (its echo by the station: only the masking differs).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from ocpp.routing import on
from ocpp.v201 import ChargePoint, call, call_result
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.ids import SystemIds
from bench.adapters.journal import open_journal
from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.ports import Journal
from bench.settings.rig import RigSettings
from bench.wire.ocppj import CallReceived, OcppSession, ResultReceived

Trip = Callable[[], Awaitable[object]]
OCPP = [Subprotocol("ocpp2.0.1")]
NOW = "2023-07-01T22:00:00.000Z"
TRIPS_PER_ROUND = {"echo": 40, "bench": 40, "bench + journal": 40, "ocpp": 4}
ASKING, ANSWERING = "CS-1", "CS-2"
"""The station that sends CALLs, and the one that gets them."""
CORES = [str(core) for core in sorted(os.sched_getaffinity(0))] if hasattr(os, "sched_getaffinity") else [""]
GOALS = {"bench": 1.4, "bench + journal": 1.6}
FASTER_THAN_OCPP = 12

BOOT: dict[str, Any] = {
    "reason": "PowerUp",
    "chargingStation": {
        "model": "Model-11kW-2", "vendorName": "Vendor of Stations", "serialNumber": "SN-0000123456",
        "firmwareVersion": "2.14.3-release", "modem": {"iccid": "89310410106543789301", "imsi": "204046301000001"},
    },
}  # fmt: skip
TRANSACTION: dict[str, Any] = {
    "eventType": "Updated", "timestamp": NOW, "triggerReason": "MeterValuePeriodic", "seqNo": 0,
    "transactionInfo": {"transactionId": "6f1c2a38-8d0b-4f7e-9a55-0a1b2c3d4e5f", "chargingState": "Charging"},
    "evse": {"id": 1, "connectorId": 1},
    "meterValue": [{"timestamp": NOW, "sampledValue": [
        {"value": 1234.5 + n, "context": "Sample.Periodic", "measurand": measurand, "phase": phase, "location": "Outlet",
         "unitOfMeasure": {"unit": unit, "multiplier": 0}}
        for n, (measurand, phase, unit) in enumerate((
            ("Current.Import", "L1", "A"), ("Current.Import", "L2", "A"), ("Current.Import", "L3", "A"),
            ("Voltage", "L1", "V"), ("Voltage", "L2", "V"), ("Voltage", "L3", "V"),
            ("Power.Active.Import", "L1-N", "W"), ("Energy.Active.Import.Register", "L1-N", "Wh"),
        ))
    ]}],
}  # fmt: skip
PROFILE: dict[str, Any] = {
    "evseId": 1,
    "chargingProfile": {
        "id": 17, "stackLevel": 3, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
        "transactionId": "6f1c2a38-8d0b-4f7e-9a55-0a1b2c3d4e5f", "validFrom": NOW,
        "chargingSchedule": [{
            "id": 1, "startSchedule": NOW, "duration": 86400, "chargingRateUnit": "W",
            "chargingSchedulePeriod": [
                {"startPeriod": 3600 * n, "limit": 4200.0 + 100 * n, "numberPhases": 3} for n in range(24)
            ],
        }],
    },
}  # fmt: skip
MESSAGES = {"BootNotification": BOOT, "TransactionEvent": TRANSACTION, "SetChargingProfile": PROFILE}


class NoJournal:
    """Keeps nothing."""

    def write(self, kind: str, data: Mapping[str, Any]) -> int:
        """Forget a document."""
        return 0

    def secret(self, value: str) -> None:
        """Know no secrets."""

    def subscribe(self, listener: Any) -> None:
        """Tell nobody."""


@asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    """The floor: the same bytes there and back."""

    async def echo(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send(await connection.recv())

    async with serve(echo, "127.0.0.1", 0, subprotocols=OCPP, compression=None) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def bench_server(journal: Journal) -> AsyncIterator[tuple[int, Trip]]:
    """The bench's CSMS; gives its port and a SetChargingProfile."""
    stations = [{"id": one, "evse": [{"id": 1}]} for one in (ASKING, ANSWERING)]
    rig = RigSettings.model_validate({"schema": 1, "name": "benchmark", "station": stations})
    csms = Csms(LoopClock(wall_now()), journal, SystemIds(), rig)
    async with open_ocpp_server(rig, csms.attach, csms.knock, virtual=False) as server:
        yield server.port, lambda: csms.call(ANSWERING, "SetChargingProfile", PROFILE)
        await csms.close()


@asynccontextmanager
async def stock_server() -> AsyncIterator[tuple[int, Trip]]:
    """The `ocpp` package as it comes; gives its port and a SetChargingProfile."""
    connected: dict[str, Stock] = {}
    profile = call.SetChargingProfile(**_snake(PROFILE))

    async def attach(connection: ServerConnection) -> None:
        assert connection.request is not None
        station_id = connection.request.path.rpartition("/")[2]
        connected[station_id] = Stock(station_id, connection)
        with contextlib.suppress(ConnectionClosed):
            await connected[station_id].start()

    async with serve(attach, "127.0.0.1", 0, subprotocols=OCPP, compression=None) as server:
        yield server.sockets[0].getsockname()[1], lambda: connected[ANSWERING].call(profile)


class Stock(ChargePoint):  # type: ignore[misc]
    """Either end as in the package's README."""

    @on("BootNotification")  # type: ignore[untyped-decorator]
    def on_boot(self, **_: Any) -> Any:
        """Accept."""
        return call_result.BootNotification(current_time=datetime.now(UTC).isoformat(), interval=300, status="Accepted")

    @on("TransactionEvent")  # type: ignore[untyped-decorator]
    def on_transaction(self, **_: Any) -> Any:
        """Take it."""
        return call_result.TransactionEvent()

    @on("SetChargingProfile")  # type: ignore[untyped-decorator]
    def on_profile(self, **_: Any) -> Any:
        """Accept."""
        return call_result.SetChargingProfile(status="Accepted")


def _snake(value: Any) -> Any:
    """Return a payload with the names that the package wants."""
    if isinstance(value, list):
        return [_snake(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {"".join(f"_{c.lower()}" if c.isupper() else c for c in key): _snake(one) for key, one in value.items()}


async def dial(port: int, station_id: str) -> ClientConnection:
    """Connect as a station."""
    return await connect(f"ws://127.0.0.1:{port}/ocpp/{station_id}", subprotocols=OCPP, compression=None)


async def echo_station(port: int) -> Callable[[str], Trip]:
    """Return what sends one message as bytes made beforehand."""
    socket = await dial(port, ASKING)

    def trip(action: str) -> Trip:
        text = orjson.dumps([2, "0" * 32, action, MESSAGES[action]]).decode()

        async def there_and_back() -> None:
            await socket.send(text)
            await socket.recv()

        return there_and_back

    return trip


class LeanStation(asyncio.Protocol):
    """A connection on the sans-I/O protocol: a frame comes to `on_text` in the callback that brings it."""

    def __init__(self, protocol: ClientProtocol, on_text: Callable[[str], None]) -> None:
        self._protocol, self._on_text = protocol, on_text
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Send the opening handshake."""
        self._transport = transport
        self._protocol.send_request(self._protocol.connect())
        transport.write(b"".join(self._protocol.data_to_send()))

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._on_text(bytes(event.data).decode())
            else:
                self.opened.set_result(None)

    def send(self, text: str) -> None:
        """Send one frame."""
        self._protocol.send_text(text.encode())
        self._transport.write(b"".join(self._protocol.data_to_send()))


async def lean(port: int, station_id: str, on_text: Callable[[str], None]) -> LeanStation:
    """Connect as a station."""
    protocol = ClientProtocol(parse_uri(f"ws://127.0.0.1:{port}/ocpp/{station_id}"), subprotocols=OCPP)
    loop = asyncio.get_running_loop()
    _, station = await loop.create_connection(lambda: LeanStation(protocol, on_text), "127.0.0.1", port)
    await station.opened
    return station


async def bench_station(port: int) -> Callable[[str], Trip]:
    """Return what sends one message by the bench's session; answer calls by another."""
    loop, session, answers, ids = asyncio.get_running_loop(), OcppSession(), OcppSession(), SystemIds()
    waiting: list[asyncio.Future[None]] = []

    def take(frame: str) -> None:
        event = session.receive(frame, 0.0)
        assert isinstance(event, ResultReceived)
        assert event.violation is None
        waiting.pop().set_result(None)

    def answer(frame: str) -> None:
        event = answers.receive(frame, 0.0)
        assert isinstance(event, CallReceived)
        answering.send(answers.make_result(event.message_id, {"status": "Accepted"}))

    asking, answering = await lean(port, ASKING, take), await lean(port, ANSWERING, answer)

    def trip(action: str) -> Trip:
        async def there_and_back() -> None:
            if action == "TransactionEvent":
                TRANSACTION["seqNo"] += 1
            waiting.append(loop.create_future())
            asking.send(session.make_call(action, MESSAGES[action], ids.token(), 0.0))
            await waiting[0]

        return there_and_back

    return trip


async def stock_station(port: int, tasks: list[asyncio.Task[None]]) -> Callable[[str], Trip]:
    """Return what sends one message by the `ocpp` package; answer calls too."""
    stations = [Stock(one, await dial(port, one)) for one in (ASKING, ANSWERING)]
    tasks += [asyncio.create_task(station.start()) for station in stations]
    requests = {
        "BootNotification": call.BootNotification(**_snake(BOOT)),
        "TransactionEvent": call.TransactionEvent(**_snake(TRANSACTION)),
    }
    return lambda action: lambda: stations[0].call(requests[action])


async def stations() -> None:
    """Connect all stacks to the ports in the first line, then measure what each line asks for."""
    loop = asyncio.get_running_loop()

    async def line() -> Any:
        text = await loop.run_in_executor(None, sys.stdin.readline)
        return orjson.loads(text) if text else None

    ports, tasks = await line(), list[asyncio.Task[None]]()
    trips = {
        "echo": await echo_station(ports["echo"]),
        "bench": await bench_station(ports["bench"]),
        "bench + journal": await bench_station(ports["bench + journal"]),
        "ocpp": await stock_station(ports["ocpp"], tasks),
    }
    print("ready", flush=True)
    while order := await line():
        print(await median_us(trips[order["stack"]](order["message"]), order["count"]), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def median_us(trip: Trip, count: int) -> float:
    """Return the median time of so many round trips in microseconds."""
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        await trip()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e6


async def ask(process: Process, request: Mapping[str, Any]) -> str:
    """Send one line to the stations' process and return its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(orjson.dumps(request) + b"\n")
    return (await process.stdout.readline()).decode()


async def measure(rounds: int, folder: Path) -> dict[tuple[str, str], list[float]]:
    """Return the median of each round by stack and message."""
    shuffle = random.Random(1).shuffle
    async with AsyncExitStack() as opened:
        journal = opened.enter_context(open_journal(folder / "journal.jsonl", LoopClock(wall_now()), os.urandom(32)))
        ports = {"echo": await opened.enter_async_context(echo_server())}
        profiles: dict[str, Trip] = {}
        for stack in ("bench", "bench + journal"):
            kept: Journal = journal if "journal" in stack else NoJournal()
            ports[stack], profiles[stack] = await opened.enter_async_context(bench_server(kept))
        ports["ocpp"], profiles["ocpp"] = await opened.enter_async_context(stock_server())
        command = (sys.executable, __file__, "stations", CORES[-1])
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        assert process.stdin is not None
        await ask(process, ports)

        async def timed(stack: str, message: str, count: int) -> float:
            if message == "SetChargingProfile" and stack in profiles:
                return await median_us(profiles[stack], count)
            return float(await ask(process, {"stack": stack, "message": message, "count": count}))

        found: dict[tuple[str, str], list[float]] = {(stack, message): [] for stack in ports for message in MESSAGES}
        for stack, message in found:
            await timed(stack, message, 5)
        for _ in range(rounds):
            for message in MESSAGES:
                order = list(ports)
                shuffle(order)
                for stack in order:
                    found[stack, message].append(await timed(stack, message, TRIPS_PER_ROUND[stack]))
        process.stdin.close()
        await process.wait()
    return found


def keep_to(core: str) -> None:
    """Stay on one core."""
    if core:
        os.sched_setaffinity(0, {int(core)})


def main() -> None:
    """Print a table of medians and paired ratios; exit 1 where a goal is missed."""
    logging.getLogger("ocpp").setLevel(logging.WARNING)
    if sys.argv[1:2] == ["stations"]:
        keep_to(sys.argv[2])
        asyncio.run(stations())
        return
    keep_to(CORES[0])
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(rounds, Path(folder)))
    missed = []
    print(f"{'message':<20} {'bytes':>5}  {'stack':<21} {'median us':>9}  {'x echo':>6}  {'ocpp is slower by':>17}")
    for message, payload in MESSAGES.items():
        size = len(orjson.dumps([2, "0" * 32, message, payload]))
        for stack in TRIPS_PER_ROUND:
            times, echo, ocpp = found[stack, message], found["echo", message], found["ocpp", message]
            to_echo = statistics.median(a / b for a, b in zip(times, echo, strict=True))
            from_ocpp = statistics.median(b / a for a, b in zip(times, ocpp, strict=True))
            print(
                f"{message:<20} {size:>5}  {stack:<21} {statistics.median(times):>9.0f}  {to_echo:>6.2f}  {from_ocpp:>17.1f}"
            )
            if to_echo > GOALS.get(stack, to_echo):
                missed.append(f"{message}, {stack}: {to_echo:.2f}x echo, goal {GOALS[stack]}x")
            if stack in GOALS and message != "BootNotification" and from_ocpp < FASTER_THAN_OCPP:
                missed.append(f"{message}, {stack}: ocpp is {from_ocpp:.1f}x slower, goal {FASTER_THAN_OCPP}x")
    print("\n".join(f"missed: {one}" for one in missed) or "all goals met")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
