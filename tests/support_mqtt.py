"""What tests of the MQTT feed share: a broker, and brokers that are none."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from getpass import getuser
from pathlib import Path

import aiomqtt

from bench.rig.files import find_rig
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


class Broker:
    """A mosquitto that can be stopped and started."""

    def __init__(self, folder: Path, port: int, password: str = "") -> None:
        self.port, self._config = port, folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {port} 127.0.0.1", f"allow_anonymous {'false' if password else 'true'}",
                 f"user {getuser()}"]  # fmt: skip
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
def broker(folder: Path, password: str = "") -> Iterator[Broker]:
    """Run a broker."""
    one = Broker(folder, free_port(), password)
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
