"""Finds the files under `config/` by name, reads and checks them. A file may lie in a folder below that of its kind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, TypeVar

import bench
from bench.adapters.clock import wall_now
from bench.cso.faults import check_own_fault, is_own
from bench.errors import SettingsError, UsageError
from bench.peers.plan import plan_day_ahead
from bench.settings.actuators import ScpiInstrument
from bench.settings.base import Settings, check, load, read_toml
from bench.settings.field_bug import FieldBug, FieldBugs
from bench.settings.instrument_map import InstrumentMap, load_instrument_map
from bench.settings.instruments import MappedMeter
from bench.settings.job import JobSettings
from bench.settings.meter import MeterMap, load_meter_map
from bench.settings.rig import RigSettings
from bench.settings.scenario import Fault, PriceCurve, ScenarioSettings, ScspPlan, under_test
from bench.settings.suite import SuiteSettings
from bench.settings.surplus import SurplusCurve
from bench.settings.target import TargetSettings

T = TypeVar("T")
_GROUPS: Final = {kind: f"{kind}s" for kind in ("scenario", "rig", "meter", "target", "job", "suite")}
_FEW: Final = 8
"""As many names can be read in one line."""


def field_bugs() -> list[FieldBug]:
    """Return the catalogue of field bugs in the order of their ids. Raises SettingsError."""
    found: dict[str, FieldBug] = {}
    for folder in config_folders():
        for path in sorted((folder / "faults").glob("*.toml")):
            for bug in load(FieldBugs, path).bug:
                found.setdefault(bug.id, bug)
    return sorted(found.values(), key=lambda one: (one.kind != "bug", int(one.id.lstrip("NA"))))


def config_folders() -> list[Path]:
    """Return the folders that are looked through: `config/` here, and the one beside the installed package."""
    beside = Path(bench.__file__).resolve().parent.parent / "config"
    here = Path.cwd() / "config"
    return [folder for folder in dict.fromkeys((here, beside)) if folder.is_dir()]


def find_scenario(name: str) -> tuple[Path, ScenarioSettings]:
    """Return a scenario by name or path, and the files it names checked too. Raises UsageError."""
    path = _find(name, "scenario")
    scenario = load(ScenarioSettings, path)
    if scenario.scsp is not None:
        _check_plan(path, scenario, scenario.scsp)
    return path, scenario


def _check_plan(path: Path, scenario: ScenarioSettings, wanted: ScspPlan) -> None:
    """Refuse a plan that cannot be made, before anything is energised. Raises SettingsError."""
    if wanted.prices is None:
        return
    prices = path.parent / wanted.prices
    if not prices.is_file():
        raise SettingsError(str(path), "scsp.prices", str(wanted.prices), "no such file")
    curve = load(PriceCurve, prices)
    began = scenario.start or curve.start
    departure = began + timedelta(seconds=wanted.departure_s)
    end = curve.start + timedelta(seconds=curve.interval_s * len(curve.prices))
    if departure > end:
        raise SettingsError(str(path), "scsp.departure_s", wanted.departure_s, f"the prices of {prices.name} end at {end}")
    asked = next((step.at_s for step in scenario.step if step.do == "scsp_plan"), 0.0)
    try:
        plan_day_ahead(
            curve.prices, curve.start, start=began + timedelta(seconds=asked), departure=departure,
            levels_w=wanted.levels_w, energy_wh=wanted.energy_wh, interval_s=curve.interval_s,
        )  # fmt: skip
    except UsageError as error:
        raise SettingsError(str(path), "scsp.energy_wh", wanted.energy_wh, str(error)) from None


def find_suite(name: str) -> SuiteSettings:
    """Return a suite by name or path, its scenarios checked too. Raises UsageError."""
    suite = load(SuiteSettings, _find(name, "suite"))
    for one in suite.scenarios:
        try:
            scenario = find_scenario(one)[1]
        except UsageError as error:
            raise UsageError(f"suite {suite.name}: {error}") from None
        if not scenario.step:
            raise UsageError(f"suite {suite.name}: scenario {one} has no step: it is for procedures in pytest")
    return suite


def find_job(name: str) -> JobSettings:
    """Return a job by name or path. Raises UsageError."""
    return load(JobSettings, _find(name, "job"))


def find_rig(name: str) -> tuple[Path, RigSettings]:
    """Return a rig by name or path, its meter maps and command maps checked too. Raises UsageError."""
    path = _find(name, "rig")
    rig = _described(load(RigSettings, path), path)
    store = rig.ocpi.store
    if store is not None and not (path.parent / store).parent.is_dir():
        raise SettingsError(str(path), "ocpi.store", str(store), f"there is no folder {(path.parent / store).parent}")
    for name, meter in rig.meters.items():
        if not isinstance(meter, MappedMeter):
            continue
        if not (path.parent / meter.register_map).is_file():
            raise SettingsError(str(path), f"meters.{name}.register_map", str(meter.register_map), "no such file")
        measured = load_meter_map(path, meter).quantities
        phases = [phase for station in rig.station for evse in station.evse if evse.meter == name for phase in evse.phases]
        for phase in phases:
            if f"current_l{phase}" not in measured:
                reason = f"has no current_l{phase}, and an EVSE on that phase is judged by it, under limits in W too"
                raise SettingsError(str(path), f"meters.{name}.register_map", str(meter.register_map), reason)
    for name, actuator in rig.actuators.items():
        if isinstance(actuator, ScpiInstrument) and (lacking := load_instrument_map(path, actuator).lacks(actuator.roles)):
            raise SettingsError(str(path), f"actuators.{name}.commands", str(actuator.commands), f"lacks {', '.join(lacking)}")
    return path, rig


def _described(rig: RigSettings, path: Path) -> RigSettings:
    """Return the rig with the features that its target files tell."""
    stations = tuple(
        station
        if station.target is None
        else station.model_copy(update={"features": load(TargetSettings, path.parent / station.target).features})
        for station in rig.station
    )
    return rig.model_copy(update={"station": stations})


def _find(name: str, kind: str) -> Path:
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    group = _GROUPS[kind]
    known: list[str] = []
    for folder in config_folders():
        there = sorted((folder / group).rglob("*.toml"))
        found = [one for one in there if one.stem == name]
        if found:
            return found[0]
        known += [one.stem for one in there]
    near, names = get_close_matches(name, known, n=3), list(dict.fromkeys(known))
    if near:
        said = f"did you mean: {', '.join(near)}"
    elif len(names) > _FEW:
        said = f"there are {len(names)}: `bench list` names them"
    else:
        said = f"there: {', '.join(names) or 'none'}"
    raise UsageError(f"no {kind} {name!r} in config/{group}; {said}")


def listing() -> list[dict[str, str]]:
    """Return each file with its kind, name, path, title, and error where it is broken."""
    entries: dict[tuple[str, str], dict[str, str]] = {}
    for folder in config_folders():
        for kind, group in _GROUPS.items():
            for path in sorted((folder / group).rglob("*.toml")):
                entries.setdefault((kind, path.stem), _entry(kind, path))
    return list(entries.values())


def _entry(kind: str, path: Path) -> dict[str, str]:
    entry = {"kind": kind, "name": path.stem, "path": str(path), "title": "", "error": ""}
    try:
        if kind == "scenario":
            entry["title"] = find_scenario(str(path))[1].title
        elif kind == "rig":
            entry["title"] = find_rig(str(path))[1].description
        elif kind == "job":
            job = load(JobSettings, path)
            entry["title"] = f"{job.number} for {job.customer}"
        elif kind == "suite":
            entry["title"] = find_suite(str(path)).title
        elif kind == "target":
            target = load(TargetSettings, path)
            entry["title"] = " ".join(part for part in (target.vendor, target.model, target.firmware) if part)
        else:
            entry["title"] = load(MeterMap, path).model
    except UsageError as error:
        entry["error"] = str(error)
    return entry


def check_file(path: Path) -> str:
    """Check one file of any kind and return the kind; a bare name is one of config/. Raises UsageError."""
    if path.suffix != ".toml" and path.name == str(path) and not path.exists():
        known = {(one["kind"], one["name"]): one["path"] for one in listing()}
        found = next((place for (_, name), place in known.items() if name == str(path)), None)
        if found is None:
            near = get_close_matches(str(path), [name for _, name in known], n=3)
            said = f"did you mean: {', '.join(near)}" if near else "`bench list` names those of config/"
            raise UsageError(f"{path}: no such file, and no name of one in config/; {said}")
        path = Path(found)
    content = read_toml(path)
    kind, model = _kind_of(content, path)
    if model is ScenarioSettings:
        fault = find_scenario(str(path.resolve()))[1].fault
        if fault is not None:
            _check_fault(path, fault)
    elif model is SuiteSettings:
        find_suite(str(path.resolve()))
    elif model is RigSettings:
        from bench.rig.proof import proof_records

        rig_path, rig = find_rig(str(path.resolve()))
        proof_records(rig, rig_path)
    elif model is FieldBugs:
        _check_variants(path, check(FieldBugs, content, path))
    else:
        check(model, content, path)
    return kind


def _check_fault(path: Path, fault: Fault, where: str = "") -> None:
    """Refuse a fault that cannot be seeded, wherever it acts. Raises UsageError."""
    from bench.rig.emulated import check_fault

    try:
        (check_own_fault if is_own(fault.id) else check_fault)(fault.id, fault.params)
    except UsageError as error:
        raise UsageError(f"{path}: {where or 'fault: '}{error}") from None


def _check_variants(path: Path, bugs: FieldBugs) -> None:
    """Refuse variants that cannot be run, all in one error. Raises UsageError."""
    wrong: list[str] = []
    for number, bug in enumerate(bugs.bug):
        for index, variant in enumerate(bug.variant):
            where = f"bug[{number}].variant[{index}]"
            try:
                _, scenario = _named(path, f"{where}.scenario", variant.scenario, find_scenario)
                _, rig = _named(path, f"{where}.rig", variant.rig, find_rig)
                under_test(rig, scenario)
            except SettingsError as error:
                wrong.append(str(error))
            except UsageError as error:
                wrong.append(f"{path}: {where}: {error}")
            for at, fault in enumerate(variant.fault):
                try:
                    _check_fault(path, fault, f"{where}.fault[{at}] = {fault.id!r}: ")
                except UsageError as error:
                    wrong.append(str(error))
    if wrong:
        raise UsageError("\n".join(wrong))


def _named(path: Path, key: str, name: str, find: Callable[[str], T]) -> T:
    """Find what a file names. Raises SettingsError that names its place."""
    try:
        return find(name)
    except SettingsError:
        raise
    except UsageError as error:
        raise SettingsError(str(path), key, name, str(error)) from None


def _kind_of(content: dict[str, Any], path: Path) -> tuple[str, type[Settings]]:
    """Tell what a file is by the table or key that only its kind has."""
    marks: tuple[tuple[str, str, type[Settings]], ...] = (
        ("step", "scenario", ScenarioSettings),
        ("station", "rig", RigSettings),
        ("quantity", "meter", MeterMap),
        ("prices", "price", PriceCurve),
        ("features", "target", TargetSettings),
        ("action", "instrument", InstrumentMap),
        ("bug", "field bug", FieldBugs),
        ("item", "job", JobSettings),
        ("scenarios", "suite", SuiteSettings),
        ("surplus_w", "surplus", SurplusCurve),
    )
    parents = ("scenarios", "rigs", "meters", "prices", "targets", "instruments", "faults", "jobs", "suites", "surplus")
    for folder in list(path.resolve().parents)[:2]:
        if folder.name in parents:
            mark = marks[parents.index(folder.name)]
            return mark[1], mark[2]
    for key, kind, model in marks:
        if key in content:
            return kind, model
    known = "a scenario, a rig, a meter, a price, a target, an instrument, a field bug, a job, a suite nor a surplus file"
    raise SettingsError(str(path), "", path.name, f"is neither {known}")


def run_folder(name: str) -> Path:
    """Return a new folder's path for a run that starts now."""
    stamp = wall_now().strftime("%Y%m%dT%H%M%SZ")
    path, number = Path("runs") / f"{stamp}-{name}", 1
    while path.exists():
        number += 1
        path = Path("runs") / f"{stamp}-{name}-{number}"
    return path


def new_folder(path: Path) -> Path:
    """Create the run's folder; a used one is refused, so that no evidence is overwritten. Raises UsageError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise UsageError(f"{path}: is not empty; evidence is never overwritten: choose another folder")
    except OSError as error:
        raise UsageError(f"{path}: cannot be used for the run: {error.strerror}") from None
    return path
