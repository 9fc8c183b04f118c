"""What the bench says of a serial port that cannot be opened."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bench.adapters import serial_port
from bench.adapters.serial_port import why_not


def test_a_missing_port_names_the_adapters_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their stable names, as the rig file wants them."""
    monkeypatch.setattr(serial_port, "BY_ID", tmp_path)
    assert why_not("/dev/ttyUSB7", OSError(errno.ENOENT, "")).endswith("no serial adapter is plugged in")
    (tmp_path / "usb-FTDI_1").touch()
    assert why_not("/dev/ttyUSB7", OSError(errno.ENOENT, "")).endswith(f"adapters that are plugged in: {tmp_path}/usb-FTDI_1")


def test_a_port_without_permission_names_the_group(tmp_path: Path) -> None:
    """The device's own group, or dialout where that cannot be told."""
    port = tmp_path / "ttyUSB0"
    assert "usermod -aG dialout $USER" in why_not(str(port), PermissionError(errno.EACCES, ""))
    port.touch()
    assert f"usermod -aG {port.group()} $USER" in why_not(str(port), PermissionError(errno.EACCES, ""))


def test_a_port_that_is_taken_tells_how_to_find_by_whom() -> None:
    """A lock of another program, or the device's own exclusive use."""
    for number in (errno.EAGAIN, errno.EBUSY):
        assert "`fuser -v /dev/ttyUSB0` names it" in why_not("/dev/ttyUSB0", OSError(number, ""))
