"""The store of the OCPI platform, and a process that is killed while it writes."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bench.adapters.json_store import JsonStore
from bench.errors import RigError, UsageError

_WRITER = """
import sys
from pathlib import Path
from bench.adapters.json_store import JsonStore
store, number = JsonStore(Path(sys.argv[1])), 0
while True:
    number += 1
    store.keep_rows("session", {f"S-{number}": {"number": number, "filling": "x" * 100_000}})
    store.keep_rows("token", {one: {"number": number, "filling": "x" * 100_000} for one in ("one", "two")})
    store.save({"number": number, "filling": "x" * 100_000})
    print(number, flush=True)
"""


@pytest.mark.parametrize("writes", [1, 2, 5])
def test_a_kill_in_the_middle_leaves_the_whole(tmp_path: Path, writes: int) -> None:
    """What was said to be kept is there, whatever was being written then."""
    path = tmp_path / "store.json"
    with subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(writes)][-1]
        process.kill()
    store = JsonStore(path)
    saved, ended, tokens = store.load(), store.load_rows("session"), store.load_rows("token")
    assert saved is not None
    assert saved["number"] >= said
    assert {f"S-{number}" for number in range(1, said + 1)} <= set(ended)
    assert {len(one["filling"]) for one in (saved, *ended.values(), *tokens.values())} == {100_000}
    assert tokens["one"] == tokens["two"]
    assert tokens["one"]["number"] >= said


def test_a_file_that_was_tampered_with_is_named(tmp_path: Path) -> None:
    """Whoever has changed it is told which."""
    (tmp_path / "store.rows.sqlite").write_text("no database " * 100)
    with pytest.raises(UsageError, match=r"store\.rows\.sqlite: cannot be used: file is not a database; name another"):
        JsonStore(tmp_path / "store.json").load_rows("session")


def test_rows_are_of_a_kind_and_keep_their_order(tmp_path: Path) -> None:
    """One that is replaced stays where it is; what was never kept is not there."""
    store = JsonStore(tmp_path / "store.json")
    assert store.load_rows("token") == {}
    store.keep_rows("token", {"a": {"n": 1}, "b": {}})
    store.keep_rows("session", {"a": {}})
    store.keep_rows("token", {"c": {}, "a": {"n": 2}})
    assert [*store.load_rows("token").items()] == [("a", {"n": 2}), ("b", {}), ("c", {})]
    assert store.load_rows("session") == {"a": {}}


def test_a_row_is_dropped_once(tmp_path: Path) -> None:
    """Dropping one that is not there is nothing worth a word."""
    store = JsonStore(tmp_path / "store.json")
    store.keep_rows("session", {"S-1": {}})
    for _ in range(2):
        store.drop_row("session", "S-1")
    assert store.load_rows("session") == {}


def test_rows_that_cannot_be_written_are_an_error_of_the_rig(tmp_path: Path) -> None:
    """And neither somebody else's file nor one that a link leads to is written."""
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "store.rows.sqlite").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RigError, match=r"store\.rows\.sqlite: cannot be used"):
        JsonStore(tmp_path / "store.json").keep_rows("session", {"S-1": {}})
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_a_file_left_by_a_crash_gives_its_mode_to_none(tmp_path: Path) -> None:
    """A part that anybody may read is there from before: what is written now is its owner's alone."""
    left = tmp_path / "ocpi.json.tmp"
    left.write_text("{")
    left.chmod(0o644)
    JsonStore(tmp_path / "ocpi.json").save({"platforms": []})
    JsonStore(tmp_path / "ocpi.json").keep_rows("token", {"a": {}})
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_who_looks_into_the_rows_does_not_hold_the_bench_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite waits for a lock, five seconds of its own accord, and nothing else goes on meanwhile: limits would come late."""
    store, patience, connect = JsonStore(tmp_path / "ocpi.json"), list[float](), sqlite3.connect

    def noted(path: Path, timeout: float = 5.0) -> sqlite3.Connection:
        patience.append(timeout)
        return connect(path, timeout=timeout)

    monkeypatch.setattr(sqlite3, "connect", noted)
    store.keep_rows("token", {"a": {}})
    with closing(connect(tmp_path / "ocpi.rows.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RigError, match="locked"):
            store.keep_rows("token", {"b": {}})
    assert (set(store.load_rows("token")), max(patience) <= 0.5) == ({"a"}, True)


def test_nobody_is_told_to_remove_rows_that_are_only_held(tmp_path: Path) -> None:
    """They have what is nowhere else: CDRs and Tokens."""
    store = JsonStore(tmp_path / "ocpi.json")
    store.keep_rows("token", {"a": {}})
    with closing(sqlite3.connect(tmp_path / "ocpi.rows.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UsageError, match=r"database is locked; end what holds it$"):
            store.load_rows("token")
