"""One user at a time: a lease is a locked file in one folder of this computer; there is no daemon.

The lock of the kernel (flock) goes with the process that holds it, so a lease outlives nobody. A process that lives and does
nothing, such as a stopped one, does not renew the file's time: after STALE_S its lease is taken from it.
"""

from __future__ import annotations

import fcntl
import getpass
import os
import re
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson

from bench.adapters.clock import every_real_second, wall_now
from bench.errors import RigError

FOLDER_VARIABLE: Final = "BENCH_LEASES"
"""Names another folder."""
STALE_S: Final = 10.0
"""A lease that was not renewed for so long is stale; it is renewed every second."""
CONFIRM_S: Final = 2.5
"""So long a stale lease is watched before it is taken over: a computer that slept renews it within that time."""
_GATE: Final = ".gate"
_LOCK: Final = Path("/run/lock")


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds what, and why."""

    what: str
    """Such as `rig desk` or `port /dev/ttyUSB0`."""
    owner: str
    """user@host"""
    pid: int
    reason: str
    since: str
    until: str
    """When it is expected to end; empty where nobody knows."""

    def told(self, heartbeat: datetime | None = None) -> str:
        """Return it in words."""
        until = f", expected until {self.until}" if self.until else ""
        beat = f", last heartbeat {heartbeat.isoformat(timespec='seconds')}" if heartbeat else ""
        return f"{self.owner} (process {self.pid}) for '{self.reason}' since {self.since}{until}{beat}"


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as it is found in the folder."""

    lease: Lease
    heartbeat: datetime
    alive: bool
    """Its process holds the lock."""
    stale: bool
    """Its process is gone, or has not renewed it for too long."""

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {**asdict(self.lease), "heartbeat": self.heartbeat.isoformat(timespec="seconds"), "stale": self.stale}


class LeaseHeldError(RigError):
    """Somebody else has the rig."""


def lease_folder() -> Path:
    """Return the folder of this computer's leases, made if need be; all users can use it. Raises RigError."""
    named = os.environ.get(FOLDER_VARIABLE)
    base = _LOCK if os.access(_LOCK, os.W_OK) else Path(tempfile.gettempdir())
    folder = Path(named) if named else base / "charge-point-bench"
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777)  # not sticky: whoever comes next removes what a dead process left
    except OSError as error:
        raise RigError(f"{folder}: cannot be used for leases: {error.strerror}; name another by {FOLDER_VARIABLE}") from None
    return folder


@contextmanager
def held(
    things: list[str], reason: str, *, until: datetime | None = None, say: Callable[[str], None], lost: Callable[[str], None]
) -> Iterator[None]:
    """Hold the lease of each thing inside the block.

    Args:
        things: such as `rig desk`.
        reason: the command that needs them.
        until: when it is expected to end.
        say: is told of a lease that was taken over.
        lost: is told, from another thread, of one that was taken from us.
    Raises: LeaseHeldError where somebody holds one, RigError where the folder cannot be used.
    """
    owner = f"{getpass.getuser()}@{socket.gethostname()}"
    since = wall_now().isoformat(timespec="seconds")
    expected = until.isoformat(timespec="seconds") if until else ""
    folder, mine = lease_folder(), list[tuple[Path, int]]()
    try:
        for what in dict.fromkeys(things):
            mine.append(_take(folder, Lease(what, owner, os.getpid(), reason, since, expected), say))

        told: set[Path] = set()

        def renew() -> None:
            for path, fd in mine:
                os.utime(fd)
                if path not in told and not _is_at(path, fd):
                    told.add(path)
                    lost(f"the lease of {path.stem} was taken over by another process, because this one stood still")

        with every_real_second(renew):
            yield
    finally:
        for path, fd in mine:
            with suppress(OSError):
                if _is_at(path, fd):
                    path.unlink()
            os.close(fd)


def _take(folder: Path, lease: Lease, say: Callable[[str], None]) -> tuple[Path, int]:
    """Take one lease. One process at a time does so, or two could take over the same stale one."""
    path = folder / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', lease.what).strip('-')}.lease"
    with _gate(folder):
        found = look(path)
        if found is not None and found.alive:
            if not found.stale or _beats(path, found.heartbeat):
                raise LeaseHeldError(
                    f"{lease.what} is in use by {found.lease.told(found.heartbeat)}; wait for it, ask {found.lease.owner}, or "
                    f"end that process; its lease is {path}"
                )
            say(f"took over the lease of {lease.what}: no heartbeat for {STALE_S:g} s of {found.lease.told(found.heartbeat)}")
        elif found is not None:
            say(f"took over the lease of {lease.what}: gone is {found.lease.told()}")
        try:
            path.unlink(missing_ok=True)
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            text = f"{path}: the lease cannot be taken: {error.strerror}; its owner, or root, has to remove it"
            raise RigError(text) from None
        os.fchmod(fd, 0o644)  # whatever the umask: others have to read it, or they would hold it for nobody's
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, orjson.dumps(asdict(lease)))
    return path, fd


@contextmanager
def _gate(folder: Path) -> Iterator[None]:
    path = folder / _GATE
    try:
        if path.exists():
            fd = os.open(path, os.O_RDONLY)
        else:
            fd = os.open(path, os.O_CREAT | os.O_RDONLY, 0o644)
            os.fchmod(fd, 0o644)  # whatever the umask: all users pass here
    except OSError as error:
        raise RigError(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _beats(path: Path, heartbeat: datetime) -> bool:
    """Watch a lease that seems stale; say whether it was renewed meanwhile."""
    threading.Event().wait(CONFIRM_S)
    found = look(path)
    return found is not None and found.heartbeat != heartbeat


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def look(path: Path) -> Held | None:
    """Return the lease in a file; None where there is none.

    A file of something else tells an unknown owner, and so does one that cannot be read, which counts as held.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        unknown = Lease(path.stem, "somebody", 0, f"unknown: {error.strerror}", "", "")
        return Held(unknown, wall_now(), alive=True, stale=False)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            alive = False
        except OSError:
            alive = True
        heartbeat = datetime.fromtimestamp(os.fstat(fd).st_mtime, UTC)
        try:
            lease = Lease(**orjson.loads(os.read(fd, 10_000)))
        except (ValueError, TypeError):
            lease = Lease(path.stem, "somebody", 0, "unknown", "", "")
    finally:
        os.close(fd)
    stale = not alive or (wall_now() - heartbeat).total_seconds() > STALE_S
    return Held(lease, heartbeat, alive, stale)


def all_held() -> list[Held]:
    """Return every lease of this computer, by name; one whose process is gone among them."""
    found = (look(path) for path in sorted(lease_folder().glob("*.lease")))
    return [one for one in found if one is not None]
