"""`bench composite`: what it prints, and how it refuses a case that cannot be read."""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main
from tests.support_composite import case, default, profile, stamp

SCHEDULE = ".chargingSchedule[0]"
PERIODS = f"{SCHEDULE}.chargingSchedulePeriod"
REQUIRED = ("now", "duration_s", "rate_unit", "evse", "n_evses", "profiles")


def run(tmp_path: Path, content: Any, *options: str) -> int:
    """Run the command on a case; text goes into the file as it is."""
    path = tmp_path / "case.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return main(["composite", str(path), *options])


def refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: Any) -> tuple[str, str]:
    """Return path and error of a case that has to be refused."""
    assert run(tmp_path, content) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    shown = json.loads(printed.err)
    assert set(shown) == {"error", "path"}
    return shown["path"], shown["error"]


def changed(raw: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a case with one profile on EVSE 1."""
    return case((1, raw), **changes)


def broken(*place: str | int, value: Any = None, drop: bool = False) -> dict[str, Any]:
    """Return a case whose profile 7 has a value at a place, or lacks it."""
    raw: dict[str, Any] = profile(7, (0, 16))
    at: Any = raw
    for key in place[:-1]:
        at = at[key]
    if drop:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    return changed(raw)


def test_it_prints_the_periods_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """number_phases is left out where only the local limit fills a gap, and limit is null where there is none."""
    assert run(tmp_path, case((1, profile(1, (0, 16), (40, 9.5), duration=60)))) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"start_s": 0, "limit": 16, "number_phases": 3},
        {"start_s": 40, "limit": 9.5, "number_phases": 3},
        {"start_s": 60, "limit": None},
    ]


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As other tools do."""
    text = json.dumps(case((1, profile(1, (0, 16)))))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["composite", "-"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["limit"] == 16


def test_decimals_round_down_and_merge_what_they_make_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """10,000 W on three phases are 14.49 A, 9,990 W are 14.47 A: both 14.4 A."""
    raw = case((1, profile(1, (0, 10_000), (50, 9990), unit="W")))
    assert run(tmp_path, raw, "--decimals", "1") == 0
    assert json.loads(capsys.readouterr().out) == [{"start_s": 0, "limit": 14.4, "number_phases": 3}]


def test_explain_says_what_each_profile_has_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which leads, which is overruled, which says nothing and why; on standard error, so that the JSON stays whole."""
    installed = [(1, profile(0, (0, 16), duration=50)), (1, default(2, (0, 8))), (1, profile(3, (0, 6), level=2, start=500))]
    assert run(tmp_path, case(*installed), "--explain") == 0
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) == 2
    lines = printed.err.splitlines()
    assert lines[0] == "from 0 s (2026-01-01 00:00:00Z): 16 A"
    assert "  profile 0 (TxProfile, level 0, Absolute, EVSE 1) leads: 16 A on 3 phases" in lines
    assert "  profile 2 (TxDefaultProfile, level 0, Absolute, EVSE 1) is overruled by profile 0" in lines
    assert any("profile 3" in line and "its schedule starts at 2026-01-01 00:08:20Z (K01.FR.30)" in line for line in lines)
    assert any("profile 0" in line and "its duration of 50 s is over (K01.FR.12)" in line for line in lines)


def test_explain_says_where_the_local_limit_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a profile there is the EVSE's own limit, or nothing."""
    assert run(tmp_path, case(defaults={"limit_A": 20}), "--explain") == 0
    assert "the EVSE's own limit counts" in capsys.readouterr().err
    assert run(tmp_path, case(), "--explain") == 0
    assert "nothing limits" in capsys.readouterr().err


def test_explain_goes_on_where_the_calendar_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The year 9999 is followed by one that no date-time can write."""
    raw = case((1, profile(1, (0, 16), duration=90) | {"validTo": "9999-12-31T23:59:59-14:00"}))
    raw["now"] = raw["profiles"][0]["chargingProfile"]["chargingSchedule"][0]["startSchedule"] = "9999-12-31T23:59:00Z"
    assert run(tmp_path, raw, "--explain") == 0
    assert "from 90 s (beyond the calendar): no limit" in capsys.readouterr().err


def test_plot_draws_a_bar_for_each_period(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The highest limit is 50 characters long, half of it 25; a gap is open to the right."""
    assert run(tmp_path, case((1, profile(1, (0, 16), (40, 8), duration=60))), "--plot") == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.count("█") for line in lines] == [50, 25, 0]
    assert lines[2].endswith("░>")


@pytest.mark.parametrize("key", REQUIRED)
def test_each_required_key_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    """The error names the key."""
    raw = changed(profile(1, (0, 16)))
    del raw[key]
    assert refusal(tmp_path, capsys, raw) == (key, "is required")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (case(evses=1), "evses"),
        (case(options={"local": "cap"}), "options.local"),
        (case(defaults={"limit_kW": 1}), "defaults.limit_kW"),
        (case() | {"profiles": [{"evseId": 1, "chargingProfile": {}, "evse": 1}]}, "profiles[0].evse"),
        (broken("stacklevel", value=1), "profiles[0].chargingProfile.stacklevel"),
        (broken("chargingSchedule", 0, "start", value=1), "profiles[0].chargingProfile.chargingSchedule[0].start"),
        (
            broken("chargingSchedule", 0, "chargingSchedulePeriod", 0, "limitA", value=1),
            "profiles[0].chargingProfile.chargingSchedule[0].chargingSchedulePeriod[0].limitA",
        ),
    ],
)
def test_an_unknown_key_is_refused_at_every_level(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: dict[str, Any], path: str
) -> None:
    """A key that is misspelt must not be read past; the error tells the ones that are known."""
    at, error = refusal(tmp_path, capsys, raw)
    assert at == path
    assert "unknown key; " in error
    assert "known: " in error.partition("unknown key; ")[2]


def test_further_errors_of_a_case_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A case has one `path` in its error; that there is more to mend is said."""
    assert refusal(tmp_path, capsys, case(evses=1, evsen=1))[1].endswith(" (and 1 more)")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"evse": 1, "evse": 2}', "key 'evse' stands twice in one object"),
        ("[]", "must be a JSON object"),
        ("{", "not valid JSON"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str) -> None:
    """Nothing is guessed."""
    path, error = refusal(tmp_path, capsys, text)
    assert path == ""
    assert reason in error


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its name."""
    assert main(["composite", str(tmp_path / "none.json")]) == 2
    assert "none.json: no such file" in json.loads(capsys.readouterr().err)["error"]


@pytest.mark.parametrize(
    ("change", "path", "error"),
    [
        ({"now": "2026-01-15T10:00:00"}, "now", "is no RFC 3339 date-time with Z"),
        ({"now": "2026-01-15T10:00:00+01:00"}, "now", "is no RFC 3339 date-time with Z"),
        ({"now": "20260115T100000Z"}, "now", "is no RFC 3339 date-time with Z"),
        ({"now": "2026-02-30T10:00:00Z"}, "now", "is no RFC 3339 date-time with Z"),
        ({"now": 1}, "now", "1: must be a text"),
        ({"duration_s": 0}, "duration_s", "0: must be greater than or equal to 1"),
        ({"duration_s": "60"}, "duration_s", '"60": must be a number, without quotes'),
        ({"rate_unit": "kW"}, "rate_unit", "\"kW\": must be 'A' or 'W'"),
        ({"evse": 3}, "evse", "3: the station has EVSEs 1 to 2, and 0 for all of it"),
        ({"evse": -1}, "evse", "-1: must be greater than or equal to 0"),
        ({"n_evses": 0}, "n_evses", "0: must be greater than or equal to 1"),
        ({"profiles": {}}, "profiles", "must be a list"),
        ({"profiles": [{"chargingProfile": {}}]}, "profiles[0]", "needs one of evseId and evse_id"),
        ({"profiles": [{"evseId": 1, "evse_id": 1, "chargingProfile": {}}]}, "profiles[0]", "needs one of evseId and evse_id"),
        ({"tx_start_by_evse": {"3": stamp(0)}}, "tx_start_by_evse.3", "'3' is no EVSE of this station: they are 1 to 2"),
        ({"tx_start_by_evse": {"01": stamp(0)}}, "tx_start_by_evse.01", "is no EVSE of this station"),
        ({"tx_start_by_evse": {"1": "noon"}}, "tx_start_by_evse.1", "is no RFC 3339 date-time with Z"),
        ({"assume_transaction": "yes"}, "assume_transaction", '"yes": must be true or false'),
        ({"current_type": "ac"}, "current_type", "must be 'AC' or 'DC'"),
        ({"now": math.nan}, "now", "NaN: must be a text"),
        ({"duration_s": math.inf}, "duration_s", "Infinity: must be"),
        ({"defaults": {"voltage": math.nan}}, "defaults.voltage", "NaN: must be"),
        ({"defaults": {"limit_A": math.inf}}, "defaults.limit_A", "Infinity: must be"),
        ({"options": {"preset": "best"}}, "options.preset", '"best": must be one of text, libocpp'),
        ({"options": {"preset": ""}}, "options.preset", '"": must be one of text, libocpp'),
        ({"defaults": {"limit_A": "16"}}, "defaults.limit_A", '"16": must be a number, without quotes'),
        ({"defaults": {"limit_A": -1}}, "defaults.limit_A", "-1: must be greater than or equal to 0"),
        ({"defaults": {"phases": 4}}, "defaults.phases", "4: must be less than or equal to 3"),
        ({"current_type": "DC", "defaults": {"limit_W": 9}}, "defaults.limit_W", "asked in A, so limit_A is needed"),
    ],
)
def test_a_wrong_value_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], path: str, error: str
) -> None:
    """By its place, with the value and the reason."""
    at, found = refusal(tmp_path, capsys, case() | change)
    assert at == path
    assert error in found


@pytest.mark.parametrize(
    ("raw", "path", "error"),
    [
        (broken("stackLevel", drop=True), ".stackLevel", "is required"),
        (broken("stackLevel", value="0"), ".stackLevel", "'0' must be an integer"),
        (broken("chargingProfilePurpose", value="Wish"), ".chargingProfilePurpose", "'Wish' must be one of "),
        (broken("chargingSchedule", value=[]), ".chargingSchedule", "has no chargingSchedule"),
        (broken("validTo", value="soon"), ".validTo", "'soon' is no RFC 3339 date-time"),
        (broken("validFrom", value="2026-01-15"), ".validFrom", "'2026-01-15' is no RFC 3339 date-time"),
        (broken("chargingSchedule", 0, "startSchedule", value="2026-02-30T00:00:00"), f"{SCHEDULE}.startSchedule", "no RFC 3339"),
        (broken("chargingSchedule", 0, "chargingRateUnit", value="kW"), f"{SCHEDULE}.chargingRateUnit", "'kW' must be A or W"),
        (broken("chargingSchedule", 0, "startSchedule", drop=True), f"{SCHEDULE}.startSchedule", "needs a startSchedule"),
        (broken("chargingSchedule", 0, "duration", value=-1), f"{SCHEDULE}.duration", "-1 s must be at least 0"),
        (broken("chargingSchedule", 0, "duration", value=10**400), f"{SCHEDULE}.duration", "is too large"),
        (broken("chargingSchedule", 0, "chargingSchedulePeriod", value=[]), PERIODS, "has no chargingSchedulePeriod"),
        (
            broken("chargingSchedule", 0, "chargingSchedulePeriod", 0, "limit", value=-0.1),
            f"{PERIODS}[0].limit", "-0.1 must be at least 0",
        ),
        (
            broken("chargingSchedule", 0, "chargingSchedulePeriod", 0, "limit", value=math.nan),
            f"{PERIODS}[0].limit", "nan is no finite number",
        ),
        (
            broken("chargingSchedule", 0, "chargingSchedulePeriod", 0, "limit", value=math.inf),
            f"{PERIODS}[0].limit", "inf is no finite number",
        ),
        (
            broken("chargingSchedule", 0, "chargingSchedulePeriod", 0, "numberPhases", value=4),
            f"{PERIODS}[0].numberPhases", "4 must be from 1 to 3",
        ),
        (
            changed(profile(7, (0, 1), (0, 2))),
            f"{PERIODS}[1].startPeriod", "0 comes after 0: startPeriod has to ascend (K01.FR.35)",
        ),
        (changed(profile(7, (0, 1), kind="Recurring")), ".recurrencyKind", "Recurring needs Daily or Weekly, has None"),
        (changed(profile(7, (0, 1), unit="W"), current_type="DC"), "", "is in W, asked in A: on DC a limit has no conversion"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_read_is_named_by_its_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], raw: dict[str, Any], path: str, error: str
) -> None:
    """And by the place in it."""
    at, found = refusal(tmp_path, capsys, raw)
    assert at == f"profiles[0].chargingProfile{path}"
    assert found.startswith("charging profile 7")
    assert error in found


def test_a_profile_on_an_evse_that_the_station_does_not_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under the name of the key that the case has."""
    raw = case() | {"profiles": [{"evse_id": 5, "chargingProfile": profile(7, (0, 1))}]}
    path, error = refusal(tmp_path, capsys, raw)
    assert path == "profiles[0].evse_id"
    assert error == "charging profile 7: 5: the station has EVSEs 1 to 2, and 0 for all of it"


def test_both_spellings_of_the_evse_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`evse_id` says the same as `evseId`."""
    assert run(tmp_path, case() | {"profiles": [{"evse_id": 1, "chargingProfile": profile(7, (0, 11))}]}) == 0
    assert json.loads(capsys.readouterr().out) == [{"start_s": 0, "limit": 11, "number_phases": 3}]


@pytest.mark.parametrize("count", ["-1", "x", "10"])
def test_decimals_that_are_no_count_are_bad_usage(tmp_path: Path, count: str) -> None:
    """From 0 to 9."""
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, case(), f"--decimals={count}")
    assert caught.value.code == 2
