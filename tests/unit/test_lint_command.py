"""`bench lint` as its users see it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.cli import main

FIXTURES = Path(__file__).parents[2] / "fixtures" / "lint"


def case(**changes: Any) -> dict[str, Any]:
    """Return the sound case with other keys; `station` is merged."""
    sound = json.loads((FIXTURES / "sound.json").read_text())
    return {**sound, **changes, "station": {**sound["station"], **changes.get("station", {})}}


def lint(capsys: pytest.CaptureFixture[str], content: Any, path: Path, *options: str) -> tuple[int, str, str]:
    """Run the command on a file with this content; return exit code, standard output and standard error."""
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    code = main(["lint", str(path), *options])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("name", "breaks", "station_must"),
    [
        ("sound", [], "Accepted"),
        ("unsupported-unit", [("K01.FR.26", "CS")], "Rejected"),
        ("two-errors-of-the-sender", [("K01.FR.31", "CSMS"), ("K01.FR.35", "CSMS")], "either"),
        ("duplicate-default", [("K01.FR.53", "CS")], "Rejected"),
        ("remote-start-with-default", [("K05.FR.02", "CSMS"), ("K05.FR.05", "CS")], "Rejected"),
        ("phases-for-dc", [("K01.FR.44", "CS")], "either"),
        ("too-many-periods", [("SmartChargingCtrlr.PeriodsPerSchedule", "CSMS")], "either"),
        ("schema-breach", [("schema", "CSMS")], "CALLERROR"),
    ],
)
def test_example(capsys: pytest.CaptureFixture[str], name: str, breaks: list[tuple[str, str]], station_must: str) -> None:
    """Each case in fixtures/lint has the result that its name promises, and with --strict its exit code."""
    assert main(["lint", str(FIXTURES / f"{name}.json")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["breaks", "station_must"]
    assert [(one["requirement"], one["duty"]) for one in result["breaks"]] == breaks
    assert all(sorted(one) == ["duty", "requirement", "text"] for one in result["breaks"])
    assert result["station_must"] == station_must
    assert main(["lint", "--strict", str(FIXTURES / f"{name}.json")]) == bool(breaks)


def test_every_example_is_tested() -> None:
    """No case lies about unread."""
    assert len(list(FIXTURES.iterdir())) == 8


def test_case_on_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads it there."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((FIXTURES / "sound.json").read_bytes())))
    assert main(["lint", "-"]) == 0
    assert json.loads(capsys.readouterr().out) == {"breaks": [], "station_must": "Accepted"}


@pytest.mark.parametrize(
    ("content", "path", "reason"),
    [
        ("{", "", "not valid JSON"),
        ("[]", "", "must be a JSON object"),
        ('{"via": NaN}', "", "NaN is no number of JSON"),
        ('{"via": 1e999}', "", "beyond any number"),
        ('{"via": 1, "via": 2}', "", "stands twice"),
        (case(via="DataTransfer"), "via", '"DataTransfer"'),
        (case(speed=1), "speed", "unknown key"),
        (case(station={"n_evse": 1}), "station.n_evse", "unknown key"),
        (case(station={"n_evses": 0}), "station.n_evses", "greater than or equal to 1"),
        (case(station={"ac_phase_switching": "no"}), "station.ac_phase_switching", "must be true or false"),
        (case(station={"transactions": {"EVSE 1": "tx"}}), "station.transactions", "is no EVSE id"),
        (case(station={"installed": [{"evseId": 1}]}), "station.installed[0].chargingProfile", "is required"),
        (case(request={"evseId": 1}), "request", "chargingProfile is required"),
    ],
)
def test_bad_case(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: Any, path: str, reason: str) -> None:
    """Exit code 2, nothing on standard output, and place and reason as JSON on standard error."""
    code, out, err = lint(capsys, content, tmp_path / "case.json")
    error = json.loads(err)
    assert (code, out, sorted(error)) == (2, "", ["error", "path"])
    assert error["path"] == path
    assert reason in error["error"]


@pytest.mark.parametrize("key", ["n_evses", "evse_type", "supply_phases", "rate_units", "ac_phase_switching",
                                 "smart_charging_available", "transactions", "installed"])  # fmt: skip
def test_required_of_the_station(capsys: pytest.CaptureFixture[str], tmp_path: Path, key: str) -> None:
    """What is not called optional is required."""
    content = case()
    del content["station"][key]
    code, _, err = lint(capsys, content, tmp_path / "case.json")
    assert (code, json.loads(err)) == (2, {"error": "is required", "path": f"station.{key}"})


def test_missing_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Named, with the reason."""
    assert main(["lint", str(tmp_path / "nowhere.json")]) == 2
    assert "no such file" in json.loads(capsys.readouterr().err)["error"]


def test_unknown_key_in_the_request_breaks_the_schema(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What stands in the request would go over the wire."""
    content = case()
    content["request"]["evse_id"] = content["request"].pop("evseId")
    code, out, _ = lint(capsys, content, tmp_path / "case.json")
    assert (code, json.loads(out)["station_must"]) == (0, "CALLERROR")


def test_oddities_go_to_standard_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A negative limit breaks no rule, and is not passed over in silence."""
    content = case()
    content["request"]["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]["limit"] = -16
    code, out, err = lint(capsys, content, tmp_path / "case.json", "--strict")
    assert (code, json.loads(out)["breaks"]) == (0, [])
    assert err == "note: chargingSchedule[0].chargingSchedulePeriod[0].limit -16: negative\n"


def test_help_loads_nothing_heavy() -> None:
    """The grammar alone: no schemas, no settings."""
    heavy = {"asyncio", "pydantic", "jsonschema_rs"}
    program = f"import sys; from bench.cli import parser; parser(); print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
