"""The relay: from the SCSP sending its PUT to the station having the frame, against a bare HTTP and a bare WebSocket round trip.

    python benchmarks/relay.py [ROUNDS]

The floor is half the sum of two round trips of the same bytes on the same stack: httpx to uvicorn with an application that does
nothing, with the headers and the answer of an order, and `websockets` at both ends. What is measured goes through the whole
bench: gate, models, decision, mapping, CSMS, schema, and a journal on disk. Peers and station are one process; the bench, and
what the floor talks to, are another, as in a lab. The three take turns, so that each finds the processor's caches as the others
left them. What is sent after the station has its frame (answer, result, question for a push) is waited for, and not counted in
any of the three.
"""

from __future__ import annotations

import asyncio
import random
import socket
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from bench.adapters.clock import LoopClock, wall_now
from bench.adapters.http_server import Receive, Scope, Send, open_http_server
from bench.adapters.ids import SystemIds
from bench.adapters.journal import open_journal
from bench.adapters.ocpi_client import AddressBook, open_transport
from bench.adapters.ocpp_server import open_ocpp_server
from bench.cso.csms import Csms
from bench.peers.scsp import MockScsp, open_scsp
from bench.ports import OcpiTransport
from bench.rig.cpo import open_cpo
from bench.settings.rig import RigSettings
from bench.wire.ocpi.transport import CORRELATION_ID, REQUEST_ID, PartyId, dump, encode_token, routing

Trip = Callable[[], Awaitable[float]]
OCPP = [Subprotocol("ocpp2.0.1")]
LIMIT = 2.0
TRIPS = 20
WARM = 20
SETTLE_S = 0.002
PERIODS = 24
BODY = dump(
    {
        "charging_profile": {
            "start_date_time": "2026-01-15T00:00:00Z", "charging_rate_unit": "W", "duration": 86_400,
            "charging_profile_period": [{"start_period": 3600 * n, "limit": 4200.0 + n} for n in range(PERIODS)],
        },
        "response_url": "http://scsp.bench/ocpi/callbacks/0123456789abcdef",
    }
)  # fmt: skip
IDS = {REQUEST_ID: "0123456789abcdef", CORRELATION_ID: "0123456789abcdef"}
PARTIES = routing(PartyId("NL", "SCP"), PartyId("NL", "CPO"))
HEADERS = {"authorization": encode_token("0123456789abcdef" * 3), **IDS, **PARTIES, "content-type": "application/json"}
ANSWER = dump({"data": {"result": "ACCEPTED", "timeout": 45}, "status_code": 1000, "timestamp": "2026-01-15T00:00:00Z"})
ANSWER_HEADERS = {"content-length": str(len(ANSWER)), "content-type": "application/json", **IDS, **PARTIES}
FRAME = dump([2, "0123456789abcdef", "SetChargingProfile", orjson.loads(BODY)]).decode()


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as an order is answered."""
    headers = [(name.encode(), value.encode()) for name, value in ANSWER_HEADERS.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": ANSWER})


@asynccontextmanager
async def http_floor(port: int) -> AsyncIterator[Trip]:
    """A bare round trip of the PUT's bytes."""
    async with open_transport(AddressBook()) as transport:
        url = f"http://127.0.0.1:{port}/ocpi/2.3.0/chargingprofiles/S-0123456789ab"

        async def trip() -> float:
            begin = time.perf_counter()
            await transport.request("PUT", url, HEADERS, BODY, 10)
            return time.perf_counter() - begin

        yield trip


async def echo(connection: ServerConnection) -> None:
    """Send each frame back."""
    try:
        while True:
            await connection.send(await connection.recv())
    except ConnectionClosed:
        return


@asynccontextmanager
async def websocket_floor(port: int) -> AsyncIterator[Trip]:
    """A bare round trip of a frame of that size."""
    async with connect(f"ws://127.0.0.1:{port}", compression=None) as client:

        async def trip() -> float:
            begin = time.perf_counter()
            await client.send(FRAME)
            await client.recv()
            return time.perf_counter() - begin

        yield trip


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Stamped:
    """A transport that notes when a request was handed to it: when the SCSP sent its PUT."""

    def __init__(self, inner: OcpiTransport) -> None:
        self._inner, self.begin = inner, 0.0

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request."""
        if method == "PUT":
            self.begin = time.perf_counter()
        return await self._inner.request(method, url, headers, body, timeout_s)


class Station:
    """A station of a few lines: notes when a SetChargingProfile came, and accepts it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.came: asyncio.Queue[float] = asyncio.Queue()
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        self._number = 0

    async def tell(self, action: str, payload: dict[str, Any]) -> None:
        """Send a CALL; its answer is passed over."""
        self._number += 1
        await self._connection.send(dump([2, f"m{self._number}", action, payload]).decode())

    async def serve(self) -> None:
        """Answer until the connection ends."""
        try:
            while True:
                text = await self._connection.recv()
                now = time.perf_counter()
                message = orjson.loads(text)
                if message[0] == 2:
                    if message[2] == "SetChargingProfile":
                        self.came.put_nowait(now)
                        payload: dict[str, Any] = {"status": "Accepted"}
                    else:
                        payload = {"status": "Rejected"}
                    await self._connection.send(dump([3, message[1], payload]).decode())
                    if message[2] == "GetCompositeSchedule":
                        self.asked.put_nowait(None)
        except ConnectionClosed:
            return


async def serve_bench(folder: Path) -> None:
    """Be the bench's process: CSO and CSMS with a journal, and what the floors talk to; until the input ends."""
    station = {"id": "CS-1", "evse": [{"id": 1}]}
    port = free_port()
    settings = RigSettings.model_validate({"schema": 1, "name": "relay", "station": [station], "ocpi": {"port": port}})
    async with AsyncExitStack() as stack:
        clock, ids, base_url = LoopClock(wall_now()), SystemIds(), f"http://127.0.0.1:{port}"
        journal = stack.enter_context(open_journal(folder / "journal.jsonl", clock, b"benchmark"))
        csms = Csms(clock, journal, ids, settings)
        opening = open_ocpp_server(settings, csms.attach, csms.knock, virtual=False, folder=folder)
        ocpp = await stack.enter_async_context(opening)
        stack.push_async_callback(csms.close)
        cpo = await stack.enter_async_context(open_cpo(settings, clock, journal, ids, csms, AddressBook(), base_url=base_url))
        http = await stack.enter_async_context(open_http_server(nothing))
        websocket = await stack.enter_async_context(serve(echo, "127.0.0.1", 0, compression=None))
        echoing = next(iter(websocket.sockets)).getsockname()[1]
        told = {"ocpp": ocpp.port, "http": http.port, "websocket": echoing, "versions": cpo.versions_url, "token_a": cpo.token_a}
        print(dump(told).decode(), flush=True)
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def bench_process(folder: str) -> AsyncIterator[dict[str, Any]]:
    """The bench's process; yields its ports and what a platform registers with."""
    child = await asyncio.create_subprocess_exec(sys.executable, __file__, "--serve", folder, stdin=PIPE, stdout=PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        yield orjson.loads(await child.stdout.readline())
    finally:
        child.stdin.close()
        await child.wait()


@asynccontextmanager
async def relay_trip(told: Mapping[str, Any]) -> AsyncIterator[Trip]:
    """The mock SCSP and a station."""
    async with AsyncExitStack() as stack:
        clock, ids, port = LoopClock(wall_now()), SystemIds(), free_port()
        opening = open_scsp(clock, ids, AddressBook(), port=port, base_url=f"http://127.0.0.1:{port}")
        scsp = await stack.enter_async_context(opening)
        sent = scsp._transport = Stamped(scsp._transport)
        url = f"ws://127.0.0.1:{told['ocpp']}/CS-1"
        connection = await stack.enter_async_context(connect(url, subprotocols=OCPP, compression=None))
        one = Station(connection)
        serving = asyncio.create_task(one.serve())
        await scsp.register(told["versions"], told["token_a"])
        await one.tell(
            "TransactionEvent",
            {
                "eventType": "Started", "timestamp": "2026-01-15T00:00:00Z", "triggerReason": "Authorized", "seqNo": 0,
                "transactionInfo": {"transactionId": "tx-1", "chargingState": "Charging"},
                "evse": {"id": 1, "connectorId": 1}, "idToken": {"idToken": "TOKEN-1", "type": "ISO14443"},
            },
        )  # fmt: skip
        session = await scsp.wait_session(lambda found: True, 10)
        yield lambda: _relayed(scsp, sent, one, session["id"])
        await connection.close()
        await serving


async def _relayed(scsp: MockScsp, sent: Stamped, station: Station, session_id: str) -> float:
    """Send one profile; return how long it took to reach the station. Ends when all that follows is over."""
    order = await scsp.send_plan(session_id, orjson.loads(BODY)["charging_profile"])
    took = await station.came.get() - sent.begin
    await scsp.wait_result(order.response_id, 10)
    await station.asked.get()
    await asyncio.sleep(SETTLE_S)
    return took


async def measure(rounds: int) -> int:
    """Print the figures; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            told = await stack.enter_async_context(bench_process(folder))
            floors = {"http": http_floor(told["http"]), "websocket": websocket_floor(told["websocket"])}
            opening = floors | {"relay": relay_trip(told)}
            trips = {name: await stack.enter_async_context(one) for name, one in opening.items()}
            for trip in trips.values():
                for _ in range(WARM):
                    await trip()
            ratios, took = [], dict[str, list[float]]((name, []) for name in trips)
            for _ in range(rounds):
                seen = dict[str, list[float]]((name, []) for name in trips)
                for _ in range(TRIPS):
                    for name in random.sample(sorted(trips), len(trips)):
                        seen[name].append(await trips[name]())
                medians = {name: statistics.median(values) for name, values in seen.items()}
                for name, value in medians.items():
                    took[name].append(value)
                ratios.append(medians["relay"] / ((medians["http"] + medians["websocket"]) / 2))
    for name, values in took.items():
        print(f"{name:10} {statistics.median(values) * 1e6:7.0f} us")
    ratio = statistics.median(ratios)
    print(f"relay / half the sum of both round trips: {ratio:.2f} (limit {LIMIT:g})")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        sys.exit(asyncio.run(serve_bench(Path(sys.argv[2]))))
    sys.exit(asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 15)))
