"""The recipe of docs/how-to/try-ocpi.md, command by command as it is written, in a folder of its own and on free ports."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Final

from tests.support_ports import free_port

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/how-to/try-ocpi.md"
RIG: Final = ROOT / "config/rigs/ocpi.toml"
READY: Final = {
    "bench serve": "Ctrl-C ends it",
    "python -m firmware_sim": "connected to ws://",
    "python -m bench.peers.scsp": "GET tariffs: 1",
    "python -m bench.peers.msp": "PUT token 04A2: HTTP 20",
}
"""What each program that goes on says once the next one can begin."""
HEARD: Final = {"authorise": ("A: 8 from 0 s",), "6A": ("A: 6 from 0 s",), "release": ("A: 8 from 0 s",)}
"""What the SCSP then says, by a word of the command."""


class Terminals:
    """A folder, its environment, and the programs that go on in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self._env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
        self.going: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, command: str) -> asyncio.subprocess.Process:
        """Start a command in the folder."""
        return await asyncio.create_subprocess_exec(
            "bash", "-c", f"exec {command}", cwd=self.folder, env=self._env,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def done(self, command: str) -> str:
        """Run a command to its end; it must end well."""
        process = await self.start(command)
        out = (await process.communicate())[0].decode()
        assert process.returncode == 0, f"{command}: {out}"
        return out

    async def heard(self, name: str, words: str) -> None:
        """Wait until a program says these words."""
        stdout = self.going[name].stdout
        assert stdout is not None
        text = ""
        while words not in text:
            line = (await stdout.readline()).decode()
            assert line, f"{name} ended: {text}"
            text += line

    async def end(self) -> list[int]:
        """Ctrl-C in each terminal, the last one first; return the exit codes."""
        codes = []
        for process in reversed(self.going.values()):
            process.send_signal(signal.SIGINT)
            await process.communicate()
            codes.append(process.returncode or 0)
        return codes


def commands() -> list[str]:
    """Return the commands of the page in order."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


async def test_each_command_of_the_recipe_works(tmp_path: Path) -> None:
    """Each ends well or says that it is ready, the SCSP hears what the page says, and Ctrl-C ends all without a finding."""
    ports = {old: str(free_port()) for old in ("9000", "9080", "9100", "9002", "9003", "9012")}

    def moved(text: str) -> str:
        return re.sub(r"\b(?:90[08]0|9100)\b", lambda found: ports[found[0]], text)

    (tmp_path / "config/rigs").mkdir(parents=True)
    (tmp_path / "config/rigs/ocpi.toml").write_text(moved(RIG.read_text(encoding="utf-8")))
    terminals, out = Terminals(tmp_path), ""
    listens = {"peers.scsp": "9002", "peers.msp": "9003", "ocpi check": "9012"}
    async with asyncio.timeout(60):
        for command in commands():
            name = next((one for one in READY if command.startswith(one)), "")
            own = next((f" --listen 127.0.0.1:{ports[port]}" for word, port in listens.items() if word in command), "")
            if name:
                terminals.going[name] = await terminals.start(moved(command) + own)
                await terminals.heard(name, READY[name])
                continue
            out += await terminals.done(moved(command) + own)
            for word, words in HEARD.items():
                if word in command.split("/")[-1] or f" {word} " in command:
                    for text in words:
                        await terminals.heard("python -m bench.peers.scsp", text)
        assert await terminals.end() == [0, 0, 0, 0]
    assert "counts     DSO              6 A since" in out
    assert "PASS: 2 PASS" in out
    assert '"data":[{"version":"2.3.0","url":"http://127.0.0.1:' in out
