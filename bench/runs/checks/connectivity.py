"""Was the connection there? Outages listed, and those that no step had caused counted."""

from __future__ import annotations

from typing import Final

from bench.domain.exchange import Call
from bench.domain.quantities import clock_text
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Measurement, Verdict, Warn
from bench.runs.scene import Scene

CAUSED_S: Final = 90.0
"""How long after an act on the network or the supply the end of a connection is put down to it."""
SILENT_S: Final = 30.0
"""So long before the end of the run a request has to have been sent for its missing answer to tell anything."""
OUTAGE_ACTS: Final = ("cut_network", "power_cycle", "power", "reset", "disturb_link")


def judge_connectivity(scene: Scene) -> CheckResult:
    """List the outages of the station's connection; several that nothing in the run had caused are flaps, a warning.

    A connection that stands and carries nothing any more is INCONCLUSIVE.
    Limits across an outage are judged by power as everywhere: a profile rules offline too.
    """
    facts, title = scene.facts, f"{scene.station} is connected"
    links = [one for one in facts.links if one.station == scene.station]
    causes = [one.at for one in facts.actions if one.station == scene.station and one.action in OUTAGE_ACTS]
    causes += [one.asked for one in scene.calls if not one.from_station and one.action == "Reset"]
    causes += facts.disturbed
    outages = facts.offline(scene.station)
    flaps = [(start, end) for start, end in outages if not any(at <= start <= at + CAUSED_S for at in causes)]
    refs = tuple(one.seq for one in links)
    warnings: tuple[Warn, ...] = ()
    if len(flaps) > 1:
        when = ", ".join(clock_text(start) for start, _ in flaps[:5])
        text = f"the connection ended {len(flaps)} times without a cause in the run: {when}"
        warnings = (Warn("connection-flaps", text, (Layer.NETWORK, Layer.STATION), refs),)
    spans = tuple(
        Measurement("outage", round(end - start, 3), "s", f"without connection from {clock_text(start)} on")
        for start, end in outages
    )
    reasons = (f"{len(outages)} outages, {len(flaps)} of them without a cause in the run",)
    if unheard := [] if scene.offline_at(facts.end - SILENT_S) else _unheard(scene):
        since = clock_text(unheard[0].asked)
        text = f"connected, but from {since} on {len(unheard)} requests stayed without an answer, and nothing else was heard"
        return CheckResult(
            "connectivity", title, Verdict.INCONCLUSIVE, (text, *reasons), (Layer.NETWORK,), FaultClass.CONNECTIVITY,
            refs=tuple(ref for one in unheard for ref in one.refs), measurements=spans, warnings=warnings,
        )  # fmt: skip
    return CheckResult("connectivity", title, Verdict.PASS, reasons, refs=refs, measurements=spans, warnings=warnings)


def _unheard(scene: Scene) -> list[Call]:
    """Return the requests to the station after which nothing came from it any more."""
    asked = [one for one in scene.calls if not one.from_station and one.answered is None]
    return [one for one in asked if one.asked < scene.facts.end - SILENT_S and scene.heard_after(one) is None]
