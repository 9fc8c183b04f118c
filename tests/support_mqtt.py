"""What tests of the MQTT feed share: a broker, and brokers that are none."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path
from typing import Any

import aiomqtt

from bench.adapters.clock import VirtualLoop
from bench.rig.files import find_rig, find_scenario
from bench.rig.session import Order, Outcome, open_run
from bench.runs.scenario import take_steps
from bench.settings.rig import RigSettings
from bench.settings.safety import MqttSettings


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def rig_with(**mqtt: object) -> tuple[Path, RigSettings]:
    """Return the emulated rig with an [mqtt] section."""
    path, rig = find_rig("emulated")
    return path, rig.model_copy(update={"mqtt": MqttSettings.model_validate(mqtt)})


def run(
    out: Path, longer_s: float = 0, listener: Callable[[str, Mapping[str, Any]], None] = lambda kind, data: None, **mqtt: Any
) -> Outcome:
    """Run the shortest scenario on the emulated rig with [mqtt], in virtual time."""
    scenario_path, scenario = find_scenario("lowered-limit")
    rig_path, rig = rig_with(**mqtt)
    order = Order(scenario, scenario_path, rig, rig_path, out, listeners=(listener,))

    async def drive() -> Outcome:
        """Run without the signals, which only a main thread can have."""
        async with open_run(order) as opened:
            await take_steps(opened.procedure, scenario)
            await opened.procedure.wait(longer_s)
        assert opened.outcome is not None
        return opened.outcome

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(drive())


@contextmanager
def slow_broker(port: int) -> Iterator[None]:
    """Accept, answer CONNECT and SUBSCRIBE-less clients, then read a byte a second: the client's buffers fill up."""
    over = threading.Event()

    def read_slowly(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"\x20\x02\x00\x00")  # CONNACK, accepted
            while not over.wait(1):
                connection.recv(1)

    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        server.bind(("127.0.0.1", port))
        server.listen(1)
        reader = threading.Thread(target=read_slowly, args=(server,))
        reader.start()
        try:
            yield
        finally:
            over.set()
            reader.join()


class Broker:
    """A mosquitto that can be stopped and started."""

    def __init__(self, folder: Path, port: int, password: str = "", more: tuple[str, ...] = ()) -> None:
        self.port, self._config = port, folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {port} 127.0.0.1", f"allow_anonymous {'false' if password else 'true'}",
                 f"user {getuser()}", *more]  # fmt: skip
        if password:
            users = folder / "users"
            subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "bench", password], check=True, capture_output=True)
            lines.append(f"password_file {users}")
        self._config.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [str(shutil.which("mosquitto")), "-c", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except ConnectionRefusedError:
                continue
            return
        raise AssertionError("mosquitto ended")

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def broker(folder: Path, password: str = "", *more: str) -> Iterator[Broker]:
    """Run a broker, with more lines of its configuration."""
    one = Broker(folder, free_port(), password, more)
    one.start()
    try:
        yield one
    finally:
        one.stop()


async def until(client: aiomqtt.Client, wanted: Callable[[aiomqtt.Message], bool]) -> list[aiomqtt.Message]:
    """Return the messages up to and with the first wanted one."""
    told: list[aiomqtt.Message] = []
    async for message in client.messages:
        told.append(message)
        if wanted(message):
            break
    return told
