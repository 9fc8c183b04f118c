"""Errors in settings files: from the message alone a lab engineer can mend the file."""

from __future__ import annotations

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import SettingsError, UsageError
from bench.rig.files import check_file
from bench.runs.hard_caps import refuse_above_caps
from bench.settings.base import check, load, read_toml
from bench.settings.rig import RigSettings
from bench.settings.scenario import ScenarioSettings

CONFIG = Path(__file__).parents[2] / "config"
FILE = Path("config/rigs/lab-a.toml")
RIG = tomllib.loads((CONFIG / "rigs/emulated.toml").read_text())


def refused(content: dict[str, Any]) -> str:
    """Return the message for a rig that must be refused."""
    with pytest.raises(SettingsError) as error:
        check(RigSettings, content, FILE)
    return str(error.value)


def rig(place: str, value: Any) -> dict[str, Any]:
    """Return the emulated rig with one value set, at a place such as `station.0.id`."""
    content: dict[str, Any] = copy.deepcopy(RIG)
    *parents, last = place.split(".")
    at: Any = content
    for part in parents:
        at = at[int(part)] if isinstance(at, list) else at.setdefault(part, {})
    at[int(last) if isinstance(at, list) else last] = value
    return content


@pytest.mark.parametrize("path", sorted((CONFIG / "rigs").glob("*.toml")), ids=lambda path: str(path.stem))
def test_a_shipped_rig_is_sound(path: Path) -> None:
    """Each rig in config/rigs loads."""
    assert load(RigSettings, path).station


def test_two_servers_on_one_port_are_named() -> None:
    """OCPP and OCPI cannot both be served there; which one would have the port is chance."""
    content = rig("csms.port", 9000) | {"ocpi": {"port": 9000}}
    assert "csms.port and ocpi.port are both 9000" in refused(content)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("meters.evse1.unit_id", 300, "meters.evse1.unit_id = 300: must be less than or equal to 247"),
        ("meters.evse1.latency_s", [2.0, 1.0], "meters.evse1.latency_s = [2.0, 1.0]: must be [shortest, longest], both"),
        ("station.0.evse.1.id", 3, "station[0].evse: EVSEs are numbered 1, 2, 3 … without a gap (OCPP 2.0.1 part 1)"),
        ("station.0.evse.0.phases", [1, 1], "station[0].evse[0].phases = [1, 1]: must name one to three distinct"),
        ("station.0.evse.0.meter", "m9", "EVSE 1 of CS-EMU-1 names meter 'm9'; meters here: evse1, evse2"),
        ("station.0.id", "a b", "station[0].id = 'a b': must match"),
        ("csms.security_profile", 1, "with a security profile each station needs a password"),
        ("csms.security_profile", 2, "csms: security_profile 2 needs certificate and private_key"),
        ("csms.port", "http", "csms.port = 'http': must be an integer"),
        ("emulator.time", "fast", "emulator.time = 'fast': must be 'virtual' or 'real'"),
        ("schema", 2, "schema = 2: must be 1"),
        ("station", [], "station = []: must have at least 1, has 0"),
    ],
)
def test_a_wrong_value_is_named(place: str, value: Any, message: str) -> None:
    """File, key, value and reason stand in one line."""
    text = refused(rig(place, value))
    assert text.startswith(f"config/rigs/lab-a.toml: {message}")


def test_a_missing_key_is_named() -> None:
    """What is absent has no value to show."""
    content = rig("name", "x")
    del content["meters"]["evse1"]["register_map"]
    assert refused(content) == "config/rigs/lab-a.toml: meters.evse1.register_map: is required"


@pytest.mark.parametrize(
    ("place", "known"),
    [("statoin", "safety, schema, station"), ("station.0.features.phases", "supply_phases"), ("meters.evse1.hst", "host")],
)
def test_an_unknown_key_names_the_known_ones(place: str, known: str) -> None:
    """A typing error is never ignored, and the keys that exist there are listed."""
    text = refused(rig(place, 1))
    assert f"{place.rpartition('.')[2]} = 1: unknown key; " in text
    assert known in text.partition("known: ")[2]


def test_an_unknown_key_names_the_one_that_was_meant() -> None:
    """A typing error is mended by the first words."""
    assert "statoin = 1: unknown key; did you mean: station; known: " in refused(rig("statoin", 1))


def test_further_errors_are_named() -> None:
    """One line each, so that one look mends the file; past ten, how many more there are."""
    content = rig("meters.evse1.unit_id", 300)
    content["meters"]["evse2"]["unit_id"] = 0
    assert refused(content).splitlines() == [
        "config/rigs/lab-a.toml: meters.evse1.unit_id = 300: must be less than or equal to 247",
        "config/rigs/lab-a.toml: meters.evse2.unit_id = 0: must be greater than or equal to 1",
    ]
    text = refused(content | {f"k{number}": 1 for number in range(12)})
    assert text.count(": unknown key; known: ") == 8
    assert text.endswith("\nconfig/rigs/lab-a.toml: and 4 more")


def test_a_secret_is_not_shown() -> None:
    """A password that is wrong in form is a password all the same."""
    text = refused(rig("station.0.password", 12345678))
    assert text.startswith("config/rigs/lab-a.toml: station[0].password = '…': ")
    assert "12345678" not in text


def test_a_long_value_is_cut() -> None:
    """A message stays one line of a terminal or two."""
    assert len(refused(rig("csms.port", "x" * 10_000))) < 250


def test_a_step_is_named_by_its_place_alone() -> None:
    """Which kind of step it is stands in the file already; pydantic's names for members of a union do not."""
    path = CONFIG / "scenarios/scsp-day-ahead.toml"
    content = read_toml(path)
    content["step"][0]["at_s"] = -1
    with pytest.raises(SettingsError) as error:
        check(ScenarioSettings, content, path)
    assert error.value.key == "step[0].at_s"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"schema = ", "not valid TOML: Invalid value (at end of document)"),
        (b"\xff\xfe", "not valid TOML: "),
        (b"a = 1\nb = 2x", "not valid TOML: Expected newline or end of document after a statement (at line 2, column 6)"),
    ],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """The parser's own place in the file is passed on."""
    path = tmp_path / "rig.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        read_toml(path)
    assert str(error.value).startswith(f"{path}: {reason}")


@pytest.mark.parametrize(("name", "reason"), [("absent.toml", "no such file or directory"), (".", "is a directory")])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    """A wrong path is told as such."""
    with pytest.raises(SettingsError) as error:
        read_toml(tmp_path / name)
    assert str(error.value) == f"{tmp_path / name}: {reason}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
PLACES = ["csms", "ocpi", "station", "station.0", "station.0.evse", "station.0.evse.0.phases", "meters.evse1", "emulator", "name"]


@given(place=st.sampled_from(PLACES), value=JSON)
def test_no_content_is_a_traceback(place: str, value: Any) -> None:
    """Whatever stands in the file, it is a rig or a SettingsError that names the file in each line."""
    try:
        check(RigSettings, rig(place, value), FILE)
        message = f"{FILE}: sound"
    except SettingsError as error:
        message = str(error)
    assert all(line.startswith(f"{FILE}: ") for line in message.split("\n"))


def test_an_unknown_step_names_what_is_near_it() -> None:
    """Not pydantic's words of tags, but the step, what was meant, and all that there are; a wrong kind of meter likewise."""
    path = next((CONFIG / "scenarios").rglob("lowered-limit.toml"))
    content = read_toml(path)
    content["step"][1]["do"] = "plugin"
    with pytest.raises(SettingsError) as error:
        check(ScenarioSettings, content, path)
    told = str(error.value).removeprefix(f"{path}: ")
    assert told.startswith("step[1].do = 'plugin': unknown step 'plugin'; did you mean: plug, unplug; known: plug, unplug, auth")
    text = refused(rig("meters.evse1.kind", "modbas-tcp"))
    assert "meters.evse1.kind = 'modbas-tcp': unknown kind 'modbas-tcp'; did you mean: modbus-tcp" in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[vehicle]\nbattery_wh = -5\n", "vehicle.battery_wh = -5: must be greater than or equal to 1"),
        ("[vehicle]\nmax_current_a = 1e9\n", "vehicle.max_current_a = 1000000000.0: must be less than or equal to 1000"),
        ("[vehicle]\nmax_current_a = 100\n", "vehicle: max_current_a = 100: no pilot offers more than 80 A"),
        ("[vehicle]\nmax_current_a = nan\n", "vehicle.max_current_a = nan: must be a finite number"),
        ("[polling]\nfast_s = 5\nslow_s = 1\n", "polling: slow_s = 1: must be at least fast_s = 5"),
        ('[[step]]\nat_s = 0\ndo = "vehicle"\nsettings = { wants_a = -1 }\n', "settings: wants_a = -1.0: must be a number"),
        ('[[step]]\nat_s = 0\ndo = "vehicle"\nsettings = { offset_a = nan }\n', "must be a finite number"),
    ],
)
def test_a_car_that_there_is_not_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """Before anything is opened, by key, value and range."""
    file = tmp_path / "mine.toml"
    file.write_text(SCENARIO + text)
    with pytest.raises(SettingsError, match=re.escape(told)):
        load(ScenarioSettings, file)


SCENARIO = 'schema = 1\nname = "mine"\ntitle = "x"\nduration_s = 60\n'
DEMAND = '[[step]]\nat_s = 0\ndo = "demand"\namperes = 500\n'


@pytest.mark.parametrize(
    ("folder", "text", "told"),
    [
        ("scenarios", SCENARIO + '[fault]\nid = "station.zero-resum"\n', "mine.toml: fault: unknown .*mean: station.zero-resume"),
        ("scenarios", SCENARIO + '[fault]\nid = "CSMS.clears-after-se"\n', "mine.toml: fault: .*CSMS.clears-after-set"),
        ("scenarios", SCENARIO + '[fault]\nid = "station.nope"\n', "mine.toml: fault: unknown fault 'station.nope'; "),
        ("scenarios", SCENARIO + DEMAND, r"mine.toml: step\[0\].amperes = 500: no pilot offers more than 80 A"),
        ("suites", 'schema = 1\nname = "s"\ntitle = "x"\nscenarios = ["lowered-limt"]\n', "suite s: no scenario .*mean: lower"),
    ],
    ids=["fault", "fault of the CSMS", "fault like no other", "demand", "suite"],
)  # fmt: skip
def test_what_a_run_would_refuse_is_no_sound_file(tmp_path: Path, folder: str, text: str, told: str) -> None:
    """`bench check` names what cannot be seeded, drawn or found, and what is near it."""
    file = tmp_path / folder / "mine.toml"
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(UsageError, match=told):
        check_file(file)


def test_more_than_a_pilot_offers_may_be_asked_of_dc(tmp_path: Path) -> None:
    """Of a real station: the emulated EV takes no more than 80 A, and its rig refuses before anything is opened."""
    file = tmp_path / "mine.toml"
    file.write_text(SCENARIO + '[vehicle]\nrequested_mode = "DC"\n' + DEMAND)
    assert check_file(file) == "scenario"
    with pytest.raises(UsageError, match=r"step\[0\].amperes: 500 A: the emulated EV takes 80 A at most"):
        refuse_above_caps(load(RigSettings, CONFIG / "rigs/emulated-dc.toml"), load(ScenarioSettings, file))


def test_requirements_to_be_shown_need_the_check_that_judges_them() -> None:
    """Without `conduct` nobody would notice that they were not shown."""
    path = next((CONFIG / "scenarios").rglob("lowered-limit.toml"))
    content = tomllib.loads(path.read_text()) | {"must_show": ["K12.FR.02"]}
    with pytest.raises(SettingsError, match='must_show needs the check "conduct"'):
        check(ScenarioSettings, content, path)
    check(ScenarioSettings, content | {"checks": ["power", "conduct"]}, path)


def test_a_name_that_is_no_file_names_what_is_near_it() -> None:
    """`bench check` takes names too."""
    with pytest.raises(UsageError, match=r"lowered-limt: no such file, .*did you mean: lowered-limit"):
        check_file(Path("lowered-limt"))
