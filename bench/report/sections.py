"""The sections of the report apart from plot and exchange: verdict, checks, periods, steps, settings, evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isinf
from typing import Any, Final

from bench.domain.documents import Document, Kind
from bench.domain.evidence import Judgement
from bench.domain.quantities import clock_text, seconds
from bench.domain.uncertainty import Accuracy
from bench.domain.verdicts import CheckResult, Measurement, PeriodResult, RunState, Verdict, leading
from bench.report.exchange import link
from bench.report.markup import Markup, element, number, section, table, text

SYMBOLS: Final = {
    Verdict.PASS: "✓", Verdict.CONDITIONAL_PASS: "✓", Verdict.CONDITIONAL_FAIL: "✗", Verdict.FAIL: "✗",
    Verdict.INCONCLUSIVE: "?", Verdict.NOT_APPLICABLE: "–", Verdict.ERROR: "!", Verdict.ABORTED: "■",
}  # fmt: skip
RULES: Final = {
    "simple": "simple acceptance (ILAC-G8:09/2019, 4.2.1): a reading above the limit fails; at the limit the risk is 50 %",
    "guarded": "guard band w = U (ILAC-G8:09/2019, 4.2.2): only a reading below limit − U passes",
    "four-way": "guard band w = U, non-binary (ILAC-G8:09/2019, 4.2.3): pass, conditional pass, conditional fail, fail",
}
_BY_LIMIT: Final = ("power", "station_power", "delivery")
_INSTALLED: Final = ": the one that was installed, which was not always the one that was wanted"
_MOST_REFS: Final = 16
_MOST_QUOTED: Final = 100


def quantity(value: float | None, unit: str) -> str:
    """Return a value for people: `4.20 kW`, `16.0 A`; a dash for none."""
    if value is None:
        return "–"
    if unit in ("W", "Wh"):
        return f"{value / 1000:.2f} k{unit}"
    return f"{value:.1f} A" if unit == "A" else f"{value:.3g} {unit}" if abs(value) < 100 else f"{value:.0f} {unit}"


def chip(verdict: Verdict) -> Markup:
    """Return a verdict as a word on its colour, with its symbol."""
    return element("span", f"{SYMBOLS[verdict]} {words(verdict)}", class_=f"chip {verdict.lower()}")


def words(verdict: Verdict) -> str:
    """Return the word as it is read: CONDITIONAL PASS."""
    return verdict.replace("_", " ")


def verdict_section(judgement: Judgement, *, head_hash: str, chain_ok: bool, start: Document) -> Markup:
    """Return what is read first: the word, the headline, and what they rest on."""
    run, facts = judgement.verdict, judgement.facts
    scenario = facts.scenario
    banner = element(
        "div",
        element("h1", element("span", SYMBOLS[run.verdict], aria_hidden="true"), f" {words(run.verdict)}", id="verdict"),
        element("p", run.headline or "no reason was given", class_="headline"),
        _state_note(judgement),
        None
        if chain_ok
        else element("p", "The chain of the journal is BROKEN: what follows cannot be relied on.", class_="warning"),
        class_=f"banner {run.verdict.lower()}",
    )
    mode = {"virtual": "virtual (all of the rig is emulated)", "real": "real"}
    pairs = [
        ("Scenario", text(element("strong", scenario["title"]), f" ({scenario['name']})")),
        ("Under test", f"{scenario['station']}, EVSE {scenario['evse']}"),
        ("From", clock_text(facts.start)), ("To", clock_text(facts.end)),
        ("Rig", facts.rig["name"]), ("Time", mode.get(str(start.data.get("mode")), "–")),
        ("Seed", facts.seed), ("Judge", f"version {run.judge}"),
        ("Decision rule", RULES.get(scenario["decision_rule"], scenario["decision_rule"])),
        ("Head hash", element("code", head_hash)),
    ]  # fmt: skip
    return element("header", element("p", "Charge point bench · test report", class_="kicker"), banner, definitions(pairs))


def _state_note(judgement: Judgement) -> Markup | None:
    run = judgement.verdict
    if run.state is RunState.COMPLETED:
        return None
    if judgement.facts.state is None:
        said = (
            "The journal ends in the middle of the run: it was cut off. Nothing was judged; what was written until then follows."
        )
    else:
        said = f"The run ended as “{run.state}” and was not judged. What was written until then follows."
    return element("p", said, class_="warning")


def definitions(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Return names and values side by side."""
    return element("dl", [element("div", element("dt", name), element("dd", value)) for name, value in pairs])


def proven_section(judgement: Judgement, documents: Sequence[Document], start: Document) -> Markup:
    """Return what the run proves and what it does not."""
    run, scenario = judgement.verdict, judgement.facts.scenario
    parted = any(check.check in ("intent", "relay", "writers") and check.demanded for check in run.checks)
    proven = [
        f"{check.title}{_INSTALLED if parted and check.check in _BY_LIMIT else ''}"
        for check in run.checks
        if check.verdict in (Verdict.PASS, Verdict.CONDITIONAL_PASS)
    ]
    shown = [
        f"{check.title}: not so. {check.headline}"
        for check in run.checks
        if check.verdict in (Verdict.FAIL, Verdict.CONDITIONAL_FAIL)
    ]
    not_proven = [
        f"{check.title}: {words(check.verdict).lower()}, {check.headline}"
        for check in run.checks
        if check.verdict in (Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE, Verdict.ERROR, Verdict.ABORTED)
    ]
    if not run.checks:
        not_proven.append("Nothing: no check was made.")
    held = [period for check in run.checks for period in check.periods
            if not period.exercised and period.verdict is not Verdict.FAIL]  # fmt: skip
    if held:
        not_proven.append(f"Obedience in {len(held)} of the periods below: they were held, not exercised.")
    if scenario.get("proof") in (None, "none"):
        not_proven.append(
            "That the meter reads right: it was not proven before the run, its accuracy is taken from the rig file."
        )
    not_proven += [
        f"Meter {one.data['meter']}: {one.data['doubt']}."
        for one in documents if one.kind == Kind.METER_IDENTITY and one.data.get("doubt")
    ]  # fmt: skip
    if start.data.get("mode") == "virtual":
        not_proven.append("Anything about hardware: station, EV and meter were emulated.")
    seeded = [one.data for one in documents if one.kind == Kind.FAULT_SEEDED]
    notes = [element("p", f"A fault was seeded on purpose: {one['id']} {plain(one['params'])}. The judge does not read this, "
                     "and nothing here tells whether it ever acted: it may start after the run, or wait for what never came.",
                     class_="note") for one in seeded]  # fmt: skip
    columns = [("Proven", proven), ("Shown to be wrong", shown), ("Not proven", not_proven)]
    lists = [
        element("div", element("h3", title), element("ul", [element("li", one) for one in items]))
        for title, items in columns
        if items
    ]
    return section("What this run proves, and what not", element("div", lists, class_="columns"), notes, id_="proven")


def checks_section(judgement: Judgement, shown: set[int]) -> Markup:
    """Return the checks with their reasons and their evidence."""
    head = ("Check", "Verdict", "Reasons", "Blamed", "Evidence")
    rows = [_check_row(check, shown) for check in judgement.verdict.checks]
    return section(
        "Checks",
        table(head, rows, class_="checks") if rows else element("p", "No check was made."),
        element("p", "Numbers under “Evidence” are the documents of journal.jsonl that show it.", class_="note")
        if rows
        else None,
        id_="checks",
    )


def _check_row(check: CheckResult, shown: set[int]) -> list[object]:
    requirement = element("p", f"requirement {check.requirement}", class_="note") if check.requirement else None
    pair = [check.fault_class and f"class: {check.fault_class}", check.pair and f"disagree: {check.pair}"]
    return [
        element("td", element("strong", check.check), element("p", check.title), requirement),
        chip(check.verdict),
        element("td", element("ul", [element("li", one) for one in check.reasons])),
        element("td", element("strong", " or ".join(check.blamed)) if check.blamed else "–",
                [element("p", one, class_="note") for one in pair if one]),
        element("td", links(check.refs, shown), class_="refs"),
    ]  # fmt: skip


def links(refs: Sequence[int], shown: set[int]) -> list[object]:
    """Return links to documents that are quoted, numbers for the rest."""
    distinct = list(dict.fromkeys(refs))
    found: list[object] = []
    for ref in distinct[:_MOST_REFS]:
        found += [link(ref, shown), " "]
    if len(distinct) > _MOST_REFS:
        found.append(f"and {len(distinct) - _MOST_REFS} more")
    return found or ["–"]


def periods_section(judgement: Judgement) -> Markup | None:
    """Return what was found in each period under one limit; None where there is none."""
    periods = [period for check in judgement.verdict.checks for period in check.periods]
    if not periods:
        return None
    head = ("EVSE", "From, UTC", "To, UTC", "Limit", "Highest settled", "Readings", "Verdict", "Demand")
    rows = [_period_row(one) for one in sorted(periods, key=lambda one: (one.evse_id, one.start))]
    return section("Periods", table(head, rows, class_="periods"), id_="periods")


def _period_row(period: PeriodResult) -> list[object]:
    lowering = " ↓" if period.lowering else ""
    return [
        period.evse_id or "all", element("td", clock_text(period.start), class_="time"),
        element("td", clock_text(period.end), class_="time"),
        number(f"{quantity(period.limit, period.unit)}{lowering}"), number(quantity(period.highest, period.unit)),
        number(period.samples), chip(period.verdict), period.reason,
    ]  # fmt: skip


def requirements_section(judgement: Judgement, shown: set[int]) -> Markup | None:
    """Return one row for each requirement that the run put to the test, or had to; None where no check names any."""
    results = [one for check in judgement.verdict.checks for one in check.requirements]
    if not results:
        return None
    times = Counter(one.requirement for one in results)
    rows = [
        [element("td", element("strong", name)), chip(one.verdict), one.text, number(times[name]),
         element("td", links(one.refs, shown), class_="refs")]
        for name, one in leading(results).items()
    ]  # fmt: skip
    return section(
        "Requirements of OCPP 2.0.1 block K",
        table(("Requirement", "Verdict", "What was seen", "Times", "Evidence"), rows, class_="requirements"),
        element("p", "Only what the run put to the test is told; of several times the most telling one.", class_="note"),
        id_="requirements",
    )


def steps_section(judgement: Judgement, documents: Sequence[Document], shown: set[int]) -> Markup:
    """Return the steps with their times, the delays that the checks found, and the energy."""
    ends = {one.data["step"]: one for one in documents if one.kind == Kind.STEP_END}
    rows = []
    for one in documents:
        if one.kind == Kind.STEP_START:
            end = ends.get(one.data["step"])
            settings = {key: value for key, value in one.data.items() if key not in ("step", "name", "at_s")}
            rows.append([
                number(one.data["step"]), element("strong", one.data["name"]), _time(one),
                number("–" if end is None else f"{seconds(end.t) - seconds(one.t):.3f} s"),
                "did not end" if end is None else ": ".join(filter(None, (end.data["outcome"], end.data["detail"]))),
                plain(settings),
            ])  # fmt: skip
    measured = [(check.check, one) for check in judgement.verdict.checks for one in check.measurements]
    measured += [(trace.facts.name, trace.facts.energy()) for trace in judgement.traces if trace.facts.samples]
    return section(
        "Steps, delays and energy",
        table(("Step", "Name", "Began, UTC", "Took", "Outcome", "Settings"), rows)
        if rows else element("p", "No step was taken."),
        table(("Quantity", "Value", "What it is", "Of", "Evidence"), [_measurement(of, one, shown) for of, one in measured])
        if measured else None,
        id_="steps",
    )  # fmt: skip


def _measurement(of: str, one: Measurement, shown: set[int]) -> list[object]:
    name = element("strong", one.name.replace("_", " "))
    return [name, number(quantity(one.value, one.unit)), one.doc, of, element("td", links(one.refs, shown), class_="refs")]


def findings_section(documents: Sequence[Document], shown: set[int]) -> Markup:
    """Return the findings and what was done to bring the station to rest."""
    findings = [
        [number(one.seq), _time(one), one.data["source"], element("code", one.data["code"]), one.data["text"],
         element("td", links(one.data["refs"], shown), class_="refs")]
        for one in documents if one.kind == Kind.FINDING
    ]  # fmt: skip
    refused = [
        [number(one.seq), _time(one), one.data["station"], one.data["event"], one.data["reason"], one.data["remedy"]]
        for one in documents if one.kind == Kind.STATION_LINK
    ]  # fmt: skip
    safe = [
        [_time(one), one.data["action"], "done" if one.data["ok"] else "FAILED", plain(one.data["read_back"])]
        for one in documents if one.kind == Kind.SAFE_STATE
    ]  # fmt: skip
    return section(
        "Findings, connections and safe state",
        table(("Document", "Time, UTC", "Source", "Code", "Finding", "Evidence"), findings)
        if findings else element("p", "No findings."),
        table(("Document", "Time, UTC", "Station", "Event", "Reason", "Remedy"), refused) if refused else None,
        element("h3", "Safe state"),
        table(("Time, UTC", "Action", "Outcome", "Read back"), safe) if safe else element("p", "It was never armed."),
        id_="findings",
    )  # fmt: skip


def _accuracy(one: Accuracy, unit: str) -> str:
    if not one.known:
        return "not known"
    parts = [] if one.certificate is None else [f"certificate from {one.certificate.points[0].reading:g} to "
                                                f"{one.certificate.points[-1].reading:g} {unit}"]  # fmt: skip
    parts += [] if isinf(one.percent) else [f"{one.percent:g} % of reading"]
    parts += [f"{one.offset:g} {unit} of its range"] if one.offset else []
    return f"{', '.join(parts)}, {one.resolution:g} {unit}"


def settings_section(judgement: Judgement, documents: Sequence[Document], host: Mapping[str, Any]) -> Markup:
    """Return the settings in force: of the scenario, of the rig, of the meters, of this computer."""
    in_force = [[one.data["what"], plain(one.data["value"]), one.data["origin"]] for one in documents if one.kind == Kind.SETTING]
    evses = [
        [one.name, one.meter or "none", ", ".join(f"L{phase}" for phase in one.phases),
         _accuracy(one.current, "A"), _accuracy(one.power, "W"),
         f"{one.latency_s[0]:g} to {one.latency_s[1]:g} s", f"{one.product_tolerance_a:g} A", len(one.samples), len(one.gaps)]
        for one in judgement.facts.evses
    ]  # fmt: skip
    packages = host.get("packages") if isinstance(host.get("packages"), Mapping) else {}
    facts = [(name, plain(value)) for name, value in host.items() if name != "packages"]
    versions = [(name, plain(value)) for name, value in (packages or {}).items()]
    head = (
        "EVSE",
        "Meter",
        "Phases",
        "Accuracy of current",
        "Accuracy of power",
        "Latency",
        "Product tolerance",
        "Readings",
        "Gaps",
    )
    return section(
        "Settings in force, instruments and versions",
        table(("Setting", "Value", "From"), in_force) if in_force else None,
        element("h3", "Instruments"),
        table(head, evses),
        element("h3", "Host and versions"),
        definitions([*facts, *versions]) if facts or versions else element("p", "No host facts were kept."),
        _folded("Scenario, whole", judgement.facts.scenario),
        _folded("Rig, whole", judgement.facts.rig),
        id_="settings",
    )


def _folded(title: str, value: Mapping[str, Any]) -> Markup:
    lines = "\n".join(f"{name} = {plain(one)}" for name, one in value.items())
    return element("details", element("summary", title), element("pre", lines))


def pointed_to(judgement: Judgement, documents: Sequence[Document]) -> list[int]:
    """Return the numbers of the documents that checks, measurements and findings point to."""
    refs = [ref for check in judgement.verdict.checks for ref in check.refs]
    refs += [ref for check in judgement.verdict.checks for one in check.measurements for ref in one.refs]
    refs += [ref for check in judgement.verdict.checks for one in leading(check.requirements).values() for ref in one.refs]
    refs += [ref for trace in judgement.traces for ref in trace.facts.energy().refs]
    return refs + [ref for one in documents if one.kind == Kind.FINDING for ref in one.data["refs"]]


def quoted_section(documents: Sequence[Document], wanted: Sequence[int]) -> tuple[Markup | None, set[int]]:
    """Return the readings and looks that the checks point to, word for word, and their numbers."""
    numbers = set(list(dict.fromkeys(wanted))[:_MOST_QUOTED])
    quoted = [one for one in documents if one.seq in numbers]
    rows = [
        [number(element("a", one.seq, id=f"d{one.seq}", href=f"#d{one.seq}")), _time(one), one.kind,
         element("code", plain(one.data))]
        for one in quoted
    ]  # fmt: skip
    if not rows:
        return None, set()
    quote = table(("Document", "Time, UTC", "Kind", "Content"), rows, class_="quoted")
    return section("Documents that the checks point to", quote, id_="readings"), numbers


def evidence_section(head_hash: str, *, chain_ok: bool, documents: int) -> Markup:
    """Return what the hash proves, and how to check it."""
    state = "is whole" if chain_ok else "is BROKEN: a line was changed, added or is missing"
    return section(
        "Evidence",
        element("p", f"This report was made from the {documents} documents of journal.jsonl, which holds each frame, reading, "
                f"setting and step, chained by SHA-256. The chain {state}. Head hash:"),
        element("p", element("code", head_hash)),
        element("p", "The chain shows tampering only if this hash is kept elsewhere, such as on paper: whoever can rewrite "
                "the journal can compute a new chain. It does not prove who wrote it, nor when, nor that an instrument told the "
                "truth."),
        element("p", "Where a laboratory has signed the run, ", element("code", "signature.json"), " beside this report holds "
                "its Ed25519 signature over head hash, report and JUnit; ", element("code", "bench verify DIR --key LAB.pub"),
                " checks it."),
        element("p", "To check: ", element("code", "bench verify DIR"), " with the folder of the run. It checks the chain and "
                "computes the verdict anew from the journal alone; compare the head hash that it prints with this one."),
        id_="evidence",
    )  # fmt: skip


def _time(document: Document) -> Markup:
    return element("td", clock_text(seconds(document.t)), class_="time")


def plain(value: object) -> str:
    """Return a setting's value for people."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {plain(one)}" for name, one in value.items()) or "–"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(plain(one) for one in value) + "]"
    return "–" if value is None else str(value)
