"""Somebody presses Ctrl-C while Python still loads: the program ends at once and without a word. And `nohup`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _ended(folder: Path, loading: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that gets SIGINT when it begins to load a module, which takes it for an ImportError, as extensions may do."""
    (folder / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == '{loading}':\n"
        "            try:\n"
        "                os.kill(os.getpid(), signal.SIGINT)\n"
        "            except KeyboardInterrupt:\n"
        "                raise ImportError(name) from None\n"
        "sys.meta_path.insert(0, Stop())\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False, text=True)


@pytest.mark.parametrize("module", ["bench.peers.scsp", "bench.peers.msp", "firmware_sim"])
def test_a_program_that_loads_everything_first(module: str, tmp_path: Path) -> None:
    """It ends by the signal, which is 130 in a shell."""
    ended = _ended(tmp_path, "uvicorn", module, "--help")
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    ("loading", "arguments"),
    [
        ("bench.cli.suites", ("--help",)), ("uvicorn", ("serve", "--rig", "ocpi")), ("pydantic", ("check", "pyproject.toml")),
        ("bench.peers.check.course", ("ocpi", "check", "http://127.0.0.1:9/")),
    ],
)  # fmt: skip
def test_bench_ends_with_130(loading: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Before it knows its command, and while the command loads what it needs."""
    ended = _ended(tmp_path, loading, "bench", *arguments)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


@pytest.mark.parametrize(("handler", "stops"), [("SIG_DFL", True), ("SIG_IGN", False)])
def test_nohup_is_heeded(handler: str, stops: bool) -> None:
    """What was started so that a closed terminal does not end it goes on."""
    before = f"import signal; signal.signal(signal.SIGHUP, signal.{handler})"
    code = f"{before}\nfrom bench.adapters.stops import SIGNALS\nprint(signal.SIGHUP in SIGNALS)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == f"{stops}\n"
