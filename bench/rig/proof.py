"""Records of what meters showed of known loads: made once on hardware, cited by the runs after it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bench.adapters.journal import encode, write_result
from bench.adapters.journal_reader import read_journal
from bench.domain.documents import Kind
from bench.domain.verdicts import Verdict
from bench.errors import SettingsError, UsageError
from bench.runs.baseline import baseline_s
from bench.settings.meter import energy_steps
from bench.settings.proof_record import ProofRecord
from bench.settings.rig import RigSettings
from bench.settings.scenario import ScenarioSettings

if TYPE_CHECKING:
    from bench.rig.session import Outcome, Watch

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Record:
    """What became of making one."""

    file: Path
    proven: bool
    lines: tuple[str, ...]


def proof_records(rig: RigSettings, rig_path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the record of each meter of a rig; nothing where the rig file names no file, or there is none yet.

    Raises: SettingsError for a file that is no record of this rig.
    """
    if rig.proof is None:
        return {}
    path = rig_path.parent / rig.proof.file
    if not path.is_file():
        return {}
    raw = path.read_bytes()
    try:
        content = json.loads(raw)
        if content["schema"] != _SCHEMA or content["rig"] != rig.name:
            raise SettingsError(str(rig_path), "proof.file", str(rig.proof.file), f"is a record of rig {content['rig']}")
        records: dict[str, Any] = content["meters"]
        for name, record in records.items():
            _check(name, record, rig, rig_path)
        more = {"sha256": hashlib.sha256(raw).hexdigest(), "max_age_days": rig.proof.max_age_days}
        return {name: {**record, **more} for name, record in records.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SettingsError(str(rig_path), "proof.file", str(rig.proof.file), "is no record that `bench baseline` made") from None


def _check(name: str, record: Any, rig: RigSettings, rig_path: Path) -> None:
    """Raise SettingsError for the record of a meter that the judge could not read."""
    try:
        ProofRecord.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, ("meters", name, *first["loc"])))
        text = f"is no record that `bench baseline` made: {place}: {first['msg'][:1].lower()}{first['msg'][1:]}"
        raise SettingsError(str(rig_path), "proof.file", str(rig.proof.file if rig.proof else ""), text) from None


def record_s(rig: RigSettings, rig_path: Path) -> float:
    """Return how long the known loads of a record take, about, in s: the coarser an energy register, the longer."""
    steps = energy_steps(rig_path, rig.meters)
    return sum(baseline_s(rig, _scenario(one.id), steps) for one in rig.station)


def _scenario(station: str) -> ScenarioSettings:
    content = {"schema": 1, "name": "baseline", "title": f"The meters of {station} are proven", "duration_s": 1,
               "station": station, "proof": "run", "checks": ["station_power"]}  # fmt: skip
    return ScenarioSettings.model_validate(content)


def make_record(rig: RigSettings, rig_path: Path, folder: Path, watch: Watch | None = None) -> Record:
    """Prove the meters of a rig's stations, and write the record that the rig file names. Raises UsageError."""
    from bench.rig.session import Order, run_scenario, unwatched

    if rig.proof is None:
        raise UsageError(f"rig {rig.name}: has no [proof]: name the record there, such as file = \"{rig.name}-proof.json\"")
    records: dict[str, Any] = {}
    lines: list[str] = []
    proven = True
    for station in rig.station:
        scenario = _scenario(station.id)
        with (watch or unwatched)(scenario) as listener:
            order = Order(scenario, Path("baseline"), rig, rig_path, folder / station.id, listeners=(listener,))
            outcome: Outcome = run_scenario(order)
        check = next((one for one in outcome.judgement.verdict.checks if one.check == "proof"), None)
        proven = proven and check is not None and check.verdict is Verdict.PASS
        lines += [f"{station.id}: {'not proven: ' + outcome.judgement.verdict.headline if check is None else check.headline}"]
        if check is not None:
            lines += [f"  {one}" for one in (*check.reasons[1:], *(warning.text for warning in check.warnings))]
        documents = read_journal(outcome.folder / "journal.jsonl").documents
        for one in documents:
            if one.kind == Kind.PROOF:
                records[one.data["meter"]] = {**one.data, "load_percent": rig.proof.load_percent}
    path = rig_path.parent / rig.proof.file
    if not proven:
        return Record(path, proven, (*lines, "nothing was written down: an earlier record stays as it is"))
    write_result(path, json.loads(encode({"schema": _SCHEMA, "rig": rig.name, "meters": records})))
    return Record(path, proven, tuple(lines))
