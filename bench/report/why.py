"""What a reader who was not there has to know first: demanded what, by whom; what happened; how sure; who; where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.domain.documents import Document, Kind
from bench.domain.evidence import ON_THE_SPOT, Judgement
from bench.domain.exchange import Call
from bench.domain.quantities import clock_text
from bench.domain.verdicts import Breach, CheckResult, Layer, Verdict, gravest
from bench.report.markup import Markup, element, section, text
from bench.report.sections import links, quantity, words

_PAIRS: Final = {
    "intent/installed": "What was wanted and what the station holds differ.",
    "intent/sent": "What was wanted and what was sent to the station differ.",
    "installed/reported": "The station holds one thing and reports another.",
    "installed/physical": "The limit is installed, and the meter shows more than it allows.",
    "reported/physical": "The station reports one thing, and the independent meter shows another.",
}
_LAYERS: Final = {
    Layer.STATION: "the charging station",
    Layer.EV: "the EV",
    Layer.METER: "the meter or the line it hangs on",
    Layer.CSMS: "the management system",
    Layer.OCPI: "the OCPI platform that relays",
    Layer.NETWORK: "the connection between station and management system",
    Layer.BENCH: "the bench itself",
}
_MOST: Final = 4
_BY_MESSAGES: Final = ("relay", "writers", "intent", "connectivity", "installed", "composite", "transactions", "time")
"""Checks that nothing measured decides."""


def why_section(judgement: Judgement, documents: Sequence[Document], shown: set[int]) -> Markup | None:
    """Return the explanation of a verdict that is no PASS; None where there is nothing to explain."""
    run = judgement.verdict
    if run.verdict in (Verdict.PASS, Verdict.NOT_APPLICABLE) or not run.leading:
        return None
    check = run.leading[0]
    rows: list[tuple[str, object]] = [
        ("Demanded", _demanded(judgement, check, shown)),
        ("What happened", element("ul", [element("li", one) for one in check.reasons[:_MOST]])),
        ("How sure", _sure(judgement, check, documents)),
        ("To blame", _blamed(check)),
        ("Evidence", text(*links(check.refs, shown))),
    ]
    title = f"Why {words(run.verdict)}"
    body = [element("div", element("dt", name), element("dd", value)) for name, value in rows if value]
    return section(title, element("dl", *body, class_="why"), id_="why")


def _demanded(judgement: Judgement, check: CheckResult, shown: set[int]) -> Markup:
    """Return which limit had to hold, and who set it."""
    breach = next(iter(gravest(check.breaches)), None)
    if check.demanded:
        return text(f"{check.demanded}.")
    if breach is None:
        asked = f" (requirement {check.requirement} of OCPP 2.0.1)" if check.requirement else ""
        return text(f"{check.title}{asked}.")
    span = next((one for one in check.periods if one.evse_id == breach.evse_id and one.start <= breach.start < one.end), None)
    start, end = (breach.start, breach.end) if span is None else (span.start, span.end)
    limit = f"At most {quantity(breach.limit, breach.unit)} from {clock_text(start)} to {clock_text(end)}"
    by = _set_by(judgement, check, breach)
    if by is None:
        return text(f"{limit}.")
    profile = by.request["chargingProfile"]
    who = f", wanted by the {_wanted_by(judgement, by)}, set by profile {profile['id']} ({profile['chargingProfilePurpose']}, "
    told = f"stack level {profile['stackLevel']}), which the station accepted {clock_text(by.answered or by.asked)} "
    return text(f"{limit}{who}{told}", *links(by.refs, shown))


def _wanted_by(judgement: Judgement, call: Call) -> str:
    """Return who wanted a profile: the last one who had said so before it was sent, and of merged limits all who had."""
    standing: dict[str, None] = {}
    for one in judgement.facts.intents:
        if one.at <= call.asked:
            standing.pop(one.data["by"], None)
            if one.data["action"] == "limit":
                standing[one.data["by"]] = None
    merged = standing.keys() & set(ON_THE_SPOT)
    return (" and ".join(standing) if merged else next(reversed(standing), "")) or "operator"


def _set_by(judgement: Judgement, check: CheckResult, breach: Breach) -> Call | None:
    """Return the last accepted SetChargingProfile of the profile that led in the period of a breach."""
    leads = {one.profile_id for one in check.periods if one.evse_id == breach.evse_id and one.start <= breach.start < one.end}
    station = judgement.facts.scenario["station"]
    found = [
        one for one in judgement.facts.calls
        if one.station == station and one.action == "SetChargingProfile" and one.status == "Accepted"
        and one.request.get("chargingProfile", {}).get("id") in leads and one.asked <= breach.start
    ]  # fmt: skip
    return found[-1] if found else None


def _sure(judgement: Judgement, check: CheckResult, documents: Sequence[Document]) -> Markup | None:
    """Return by how much the finding lies outside what the rig cannot tell apart."""
    told: list[str] = []
    breach = next(iter(gravest(check.breaches)), None)
    evse = judgement.facts.evse(judgement.facts.scenario["station"], breach.evse_id) if breach is not None else None
    if breach is not None and evse is not None and breach.unit in ("A", "W"):
        accuracy = evse.current if breach.unit == "A" else evse.power
        uncertainty = accuracy.expanded(breach.highest) if accuracy.known else None
        excess = f"The excess is {_fine(breach.excess, breach.unit)}"
        if uncertainty:
            reading = quantity(breach.highest, breach.unit)
            certain = f"the reading of {reading} is certain to {_fine(uncertainty, breach.unit)} (U, k = 2)"
            told.append(f"{excess}; {certain}: {breach.excess / uncertainty:.0f} times that.")
        told.append(f"It lasted {breach.end - breach.start:.0f} s.")
    limits = [one for one in check.measurements if one.name == "detection_limit"]
    told += [f"{one.name.replace('_', ' ')}: {_fine(one.value or 0.0, one.unit).strip()} ({one.doc})."
             for one in check.measurements if one.name in ("detection_limit", "test_uncertainty_ratio")][:2]  # fmt: skip
    if breach is not None and told and limits:
        told.append("U grows with what is read: that of the reading is taken there, that of the detection limit at the limit.")
    certificates = [f"meter {one.data['meter']}: {one.data['certificate'] or 'no certificate'} ({one.data['reason']})"
                    for one in documents
                    if one.kind == Kind.METER_IDENTITY and evse is not None and one.data["meter"] == evse.meter]  # fmt: skip
    told += [f"Accuracy of {one}." for one in certificates]
    if check.check in _BY_MESSAGES:
        told.append("Nothing measured decides this: the messages under Evidence do, each with the bench's own time.")
        if check.blamed == (Layer.NETWORK,):
            told.append("That nothing came through is certain; what the station did meanwhile is not known.")
    return element("ul", [element("li", one) for one in told]) if told else None


def _fine(value: float, unit: str) -> str:
    """Return a difference with the digits that an uncertainty has."""
    return f"{value:.0f} W" if unit == "W" else f"{value:.2f} {unit}"


def _blamed(check: CheckResult) -> Markup:
    who = " or ".join(_LAYERS[one] for one in check.blamed) or "nobody: what was seen does not tell"
    told = {one.blamed: one.why for one in reversed(gravest(check.breaches)) if one.why}
    apart = " The evidence does not separate them." if len(check.blamed) > 1 and not told else ""
    kind = f" Class: {check.fault_class}." if check.fault_class else ""
    pair = f" {_PAIRS[check.pair]}" if check.pair in _PAIRS else ""
    why = " ".join(f"{' or '.join(blamed)}: {one}." for blamed, one in reversed(told.items()))
    return text(element("strong", who), f".{apart}{kind}{pair} {why}")


def warnings_section(judgement: Judgement, shown: set[int]) -> Markup | None:
    """Return the findings beside the verdict; None where there are none."""
    warned = judgement.verdict.warnings
    if not warned:
        return None
    items = [
        element("li", element("code", one.code), f" {one.text}", f" ({' or '.join(one.blamed)}) " if one.blamed else " ",
                *links(one.refs, shown))
        for one in warned
    ]  # fmt: skip
    return section("Worth an eye", element("ul", items), id_="warnings")


def job_section(start: Document) -> Markup | None:
    """Return who ordered the test of what; None where no job was named."""
    job = start.data.get("job")
    if not job:
        return None
    item, around = job["item"], job["environment"]
    pairs = [
        ("Job", job["number"]), ("Laboratory", job["laboratory"]), ("Operator", job["operator"]), ("Customer", job["customer"]),
        ("Item", " ".join(one for one in (item["vendor"], item["model"]) if one)),
        ("Serial number", item["serial_number"]), ("Firmware", item["firmware"]), ("Condition", item["condition"]),
        ("Received", item["received"]),
        ("Temperature", None if around["temperature_c"] is None else f"{around['temperature_c']:g} °C"),
        ("Humidity", None if around["humidity_percent"] is None else f"{around['humidity_percent']:g} %"),
        ("Note", " ".join(one for one in (around["note"], job["note"]) if one)),
    ]  # fmt: skip
    body = [element("div", element("dt", name), element("dd", value)) for name, value in pairs if value]
    return section("Job", element("dl", *body), id_="job")
