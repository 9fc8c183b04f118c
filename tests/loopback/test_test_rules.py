"""The rules of tests/conftest.py hold: what a test leaves behind fails it, and what was not run is said last."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = "import asyncio, socket, threading, pytest\nkept = []\n"


def run(tmp_path: Path, source: str) -> list[str]:
    """Run one test file under the rules and return the lines of the output."""
    path = tmp_path / "test_it.py"
    path.write_text(HEAD + source)
    options = ["-q", "-c", "pyproject.toml", "-p", "tests.conftest", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
    command = [sys.executable, "-m", "pytest", *options, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip().splitlines()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("async def test(): kept.append(asyncio.create_task(asyncio.sleep(99)))", "tasks left running"),
        ("def test(): threading.Thread(target=threading.Event().wait, args=(2,), name='stray').start()", "['stray']"),
        ("def test(): kept.append(socket.create_server(('127.0.0.1', 0)))", "(listening)"),
    ],
    ids=["task", "thread", "port"],
)
def test_what_is_left_behind_fails_its_test(tmp_path: Path, source: str, found: str) -> None:
    """A leak is the fault of the test that leaked, not of the one that stumbles over it later."""
    lines = run(tmp_path, source)
    assert lines[-1].startswith("1 passed, 1 error")
    assert any(found in line for line in lines)


def test_programs_that_were_not_found_stand_in_the_last_line(tmp_path: Path) -> None:
    """Nobody mistakes a test that could not run for one that passed."""
    lines = run(tmp_path, "@pytest.mark.outside('no-such-program')\ndef test(): pass\n\ndef test_2(): pass")
    assert lines[-1] == "not run: no-such-program (1 test)"


def test_nothing_is_said_where_all_ran(tmp_path: Path) -> None:
    """The last line is pytest's own where no program was missing."""
    lines = run(tmp_path, "@pytest.mark.outside('sh')\ndef test(): pass")
    assert lines[-1].startswith("1 passed")
