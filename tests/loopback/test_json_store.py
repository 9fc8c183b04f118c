"""The store of the OCPI platform, and a process that is killed while it writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.adapters.json_store import JsonStore
from bench.errors import UsageError

_WRITER = """
import sys
from pathlib import Path
from bench.adapters.json_store import JsonStore
store, number = JsonStore(Path(sys.argv[1])), 0
while True:
    number += 1
    store.keep_ended(f"S-{number}", {"number": number, "filling": "x" * 100_000})
    store.save({"number": number, "filling": "x" * 100_000})
    print(number, flush=True)
"""


@pytest.mark.parametrize("writes", [1, 2, 5])
def test_a_kill_in_the_middle_leaves_whole_files(tmp_path: Path, writes: int) -> None:
    """What was said to be kept is there, whatever was being written then."""
    path = tmp_path / "store.json"
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(writes)][-1]
        process.kill()
    store = JsonStore(path)
    saved, ended = store.load(), store.load_ended()
    assert saved is not None
    assert saved["number"] >= said
    assert {f"S-{number}" for number in range(1, said + 1)} <= set(ended)
    assert {len(one["filling"]) for one in (saved, *ended.values())} == {100_000}


def test_a_session_that_was_tampered_with_is_named(tmp_path: Path) -> None:
    """Whoever has changed a file is told which."""
    store = JsonStore(tmp_path / "store.json")
    store.keep_ended("S-1", {})
    (tmp_path / "store.sessions/S-1.json").write_text("{")
    with pytest.raises(UsageError, match=r"S-1\.json: this is no store"):
        store.load_ended()


def test_a_session_is_dropped_once(tmp_path: Path) -> None:
    """Dropping one that is not there is nothing worth a word."""
    store = JsonStore(tmp_path / "store.json")
    store.keep_ended("S-1", {})
    for _ in range(2):
        store.drop_ended("S-1")
    assert store.load_ended() == {}


def test_a_file_left_by_a_crash_gives_its_mode_to_none(tmp_path: Path) -> None:
    """A part that anybody may read is there from before: what is written now is its owner's alone."""
    left = tmp_path / "ocpi.json.tmp"
    left.write_text("{")
    left.chmod(0o644)
    JsonStore(tmp_path / "ocpi.json").save({"platforms": []})
    assert (tmp_path / "ocpi.json").stat().st_mode & 0o777 == 0o600
