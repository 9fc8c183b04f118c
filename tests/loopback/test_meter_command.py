"""`bench meter`: lists, finds, watches and qualifies meters, against emulated ones."""

from __future__ import annotations

import asyncio
import json
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from bench.cli import main
from bench.rig.files import find_rig
from bench.rig.lease import leased
from tests.loopback.test_modbus_meter import floats, sdm630

RIG = """
schema = 1
name = "mine"
[[station]]
id = "CS"
[[station.evse]]
id = 1
meter = "main"
[meters.main]
kind = "modbus-tcp"
port = {port}
register_map = "{map}"
accuracy = {{ current_percent = 0.2, power_percent = 0.25 }}
"""
MAP = Path(__file__).parents[2] / "config/meters/sdm630.toml"
LIVE = {f"voltage_l{one}": 230.0 + one for one in (1, 2, 3)} | {"power_total": 4600.0, "frequency": 50.0}


@contextmanager
def serving(values: list[float]) -> Iterator[int]:
    """Serve an SDM630 on a loop of its own and give its port."""
    loop = asyncio.new_event_loop()
    server = sdm630(values)
    port = loop.run_until_complete(server.__aenter__())
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(server.__aexit__(None, None, None))
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


def test_list_names_each_map(capsys: pytest.CaptureFixture[str]) -> None:
    """Maker, model, what it measures and the file."""
    assert main(["meter", "list", "--json"]) == 0
    entry = next(one for one in json.loads(capsys.readouterr().out) if one["name"] == "sdm630")
    assert (entry["maker"], "voltage_l1" in entry["measures"]) == ("Eastron", True)
    assert main(["meter", "list"]) == 0
    assert "Eastron SDM630" in capsys.readouterr().out


def test_probe_prints_what_goes_into_the_rig_file(capsys: pytest.CaptureFixture[str]) -> None:
    """A meter that answers plausibly, with its values and a ready table."""
    with serving(floats(**LIVE)) as port:
        code = main(["meter", "probe", "--host", "127.0.0.1", "--port", str(port), "--map", "sdm630"])
    out = capsys.readouterr().out
    assert code == 0
    assert "unit 1: Eastron SDM630" in out
    assert "P 4600 W" in out
    assert f'[meters.sdm630-1]\nkind = "modbus-tcp"\nhost = "127.0.0.1"\nport = {port}\nunit_id = 1' in out


def test_probe_refuses_implausible_values(capsys: pytest.CaptureFixture[str]) -> None:
    """A map whose registers hold something else: said, and exit code 3."""
    swapped = struct.unpack(">f", struct.pack(">HH", *reversed(struct.unpack(">HH", struct.pack(">f", 231.5)))))[0]
    with serving(floats(voltage_l1=swapped, power_total=4600.0)) as port:
        code = main(["meter", "probe", "--host", "127.0.0.1", "--port", str(port), "--map", "sdm630"])
    out = capsys.readouterr().out
    assert code == 3
    assert "unit 1 answers at the registers of sdm630, but voltage" in out
    assert "nothing found" in out


def test_probe_does_not_find_a_meter_in_zeros(capsys: pytest.CaptureFixture[str]) -> None:
    """Any map fits registers that hold nothing."""
    with serving(floats(voltage_l1=230.0, frequency=math.nan)) as port:
        assert main(["meter", "probe", "--host", "127.0.0.1", "--port", str(port), "--map", "sdm630"]) == 3
    assert "too little to tell" in capsys.readouterr().out


def test_a_meter_is_watched_by_one_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While somebody has the rig its meter is not opened, and the message says who has it."""
    with serving(floats(**LIVE)) as port:
        (tmp_path / "mine.toml").write_text(RIG.format(port=port, map=MAP))
        _, settings = find_rig(str(tmp_path / "mine.toml"))
        with leased(settings, "the other run"):
            assert main(["meter", "watch", "main", "--rig", str(tmp_path / "mine.toml"), "--count", "1"]) != 0
    assert "the other run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["probe"], 2, "--port DEVICE"),
        (["probe", "--host", "127.0.0.1", "--unit", "0-3"], 2, "--unit 0-3: must be"),
        (["probe", "--host", "127.0.0.1", "--map", "nix"], 2, "--map nix: no such map"),
        (["probe", "--port", "/dev/serial/by-id/none"], 4, "there is no such device"),
        (["watch"], 2, "METER --rig RIG"),
        (["watch", "nix", "--rig", "emulated"], 2, "has no meter 'nix'; meters there: evse1, evse2"),
    ],
)
def test_what_does_not_work_says_why(arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad usage is 2, a port that cannot be used is 4, each with what to do."""
    assert main(["meter", *arguments]) == code
    assert words in capsys.readouterr().err


def test_watch_shows_the_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A meter of a rig file: its table, and how old the sample is."""
    with serving(floats(**LIVE)) as port:
        (tmp_path / "mine.toml").write_text(RIG.format(port=port, map=MAP))
        assert main(["meter", "watch", "main", "--rig", str(tmp_path / "mine.toml"), "--count", "1"]) == 0
    out = capsys.readouterr().out
    assert "4600" in out
    assert "231" in out
    assert "age 0." in out


def test_qualify_reads_an_emulated_p1_meter(capsys: pytest.CaptureFixture[str]) -> None:
    """The building's meter of the emulated rig: a telegram a second; what was not shown is said."""
    assert main(["meter", "qualify", "building", "--rig", "emulated-p1", "--seconds", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] == 0
    assert 0.5 < found["refresh_s"]["p50"] < 2  # a busy machine sees some of them late
    assert any("ramp" in one for one in found["not_shown"])
