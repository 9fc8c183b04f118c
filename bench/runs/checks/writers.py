"""Is what several writers want of one EVSE merged as the policy says? What they want against what is installed.

The oracle knows no claims and no merged profiles: at each moment it takes the writers that have a limit, leaves out whom the
policy leaves out, and takes the lowest of what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bench.domain.evidence import ON_THE_SPOT, EvseFacts, TransactionSpan, Wanted
from bench.domain.exchange import HttpExchange
from bench.domain.oracle import ExpectedLimit
from bench.domain.quantities import clock_text, parse_time
from bench.domain.verdicts import CheckResult, FaultClass, Layer, Verdict
from bench.runs.checks.intent import GRACE_S, Parting, excused_spans, outside, together
from bench.runs.checks.relay import target_of
from bench.runs.checks.unsent import is_accepted_delete, is_accepted_put
from bench.runs.expected import ClearProfiles, SetProfile, StoreStep, changes_of, limits_over_run, store_history
from bench.runs.scene import ALWAYS, Scene

SCSP: Final = "SCSP"
TITLE: Final = "Of all who limit, the lowest limit that counts is installed"
_ROUNDING_A: Final = 0.1
_OWN_ID: Final = 1_000_000_000
"""Of what should be installed; nobody's in the run."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What one writer wants over time."""

    by: str
    limits: tuple[tuple[float, float], ...]
    """(since when, A per phase), ascending."""
    end: float
    emergency: bool

    def at(self, moment: float) -> float | None:
        """Return the limit at a moment; None where nothing is wanted."""
        return next((limit for since, limit in reversed(self.limits) if since <= moment < self.end), None)


@dataclass(frozen=True, slots=True)
class Ruling:
    """From a moment on: the lowest limit, and whose it is."""

    at: float
    seq: int
    limit_a: float | None
    by: str
    transaction: TransactionSpan

    def text(self) -> str:
        """Return it in words."""
        what = "nobody limits" if self.limit_a is None else f"{self.limit_a:g} A of the {self.by}"
        return f"from {clock_text(self.at)}: {what}"


def judge_writers(scene: Scene, evse: EvseFacts) -> CheckResult:
    """Judge whether at each moment of a transaction the lowest limit that counts was installed, and no other.

    Limits are compared in A per phase at nominal voltage; one rounded down by 0.1 A is the same.
    """
    wants = sorted([*_of_scsp(scene, evse), *_on_the_spot(scene, evse)], key=lambda one: one.seq)
    if not {one.data["by"] for one in wants} & set(ON_THE_SPOT):
        return CheckResult("writers", TITLE, Verdict.NOT_APPLICABLE, ("nobody limited beside the SCSP",))
    rulings, refused = _rulings(scene, evse, wants)
    refs = tuple(one.seq for one in wants)
    if all(one.limit_a is None for one in rulings):
        return CheckResult("writers", TITLE, Verdict.INCONCLUSIVE, ("no limit counted while a transaction ran",), refs=refs)
    partings = list(_partings(scene, evse, rulings, wants))
    names = ", ".join(dict.fromkeys(one.data["by"] for one in wants))
    told = tuple(one.text() for one in rulings) + tuple(f"refused: {one}" for one in refused)
    if not partings:
        good = f"{len(wants)} wishes of {names}: at each moment the lowest that counts ({_policy(scene)}) was installed"
        return CheckResult("writers", TITLE, Verdict.PASS, (good, *told), refs=refs)
    over, under = (any(one.above is side for one in partings) for side in (True, False))
    fault = FaultClass.TIMING if over and under else FaultClass.OVER_LIMIT if over else FaultClass.UNDER_DELIVERY
    return CheckResult(
        "writers", TITLE, Verdict.FAIL, (*(one.text() for one in partings), *told), (Layer.OCPI,), fault, pair="intent/sent",
        periods=tuple(one.period(one.wanted) for one in partings if one.wanted is not None), refs=refs,
        demanded="; ".join(one.text() for one in rulings),
    )  # fmt: skip


def _policy(scene: Scene) -> str:
    return str((scene.facts.scenario.get("scsp") or {}).get("policy") or scene.facts.rig["ocpi"]["policy"])


def _of_scsp(scene: Scene, evse: EvseFacts) -> Iterator[Wanted]:
    """Yield what the SCSP set and took back by OCPI and was accepted."""
    place = f"{evse.station}-{evse.evse_id}"[-36:]
    for one in scene.facts.http:
        taken_back = is_accepted_delete(one)
        if (is_accepted_put(one) or taken_back) and target_of(scene.facts, one) == place:
            yield _want(scene, one, None if taken_back else one.body["charging_profile"])


def _want(scene: Scene, one: HttpExchange, profile: Any) -> Wanted:
    said = {"by": SCSP, "action": "release" if profile is None else "limit", "profile": profile}
    return Wanted(one.asked, one.asked_seq, scene.station, said)


def _on_the_spot(scene: Scene, evse: EvseFacts) -> Iterator[Wanted]:
    return (
        one for one in scene.facts.intents
        if one.station == scene.station and one.data.get("evse") == evse.evse_id and one.data.get("by") in ON_THE_SPOT
    )  # fmt: skip


def counting(policy: str, wishes: Sequence[Wish], at: float) -> list[Wish]:
    """Return whose limits count at a moment, by the policy's words, of wishes in the order in which their writers came.

    Who wants nothing at that moment leaves nobody out; only with one_writer the first one keeps its place all the same.
    """
    if policy == "one_writer":
        return list(wishes[:1])
    owns = {"bems_owns": "BEMS", "scsp_owns": SCSP}.get(policy)
    if not any(one.by == owns and one.at(at) is not None for one in wishes):
        return list(wishes)
    loser = SCSP if owns == "BEMS" else "BEMS"
    return [one for one in wishes if one.by != loser or one.emergency]


def _rulings(scene: Scene, evse: EvseFacts, wants: Sequence[Wanted]) -> tuple[list[Ruling], list[str]]:
    """Return what has to rule, from each moment on at which that changes, and who was refused."""
    refused: list[str] = []
    rulings: list[Ruling] = []
    for span in evse.transactions:
        wishes: dict[str, Wish] = {}
        ends = span.ended_seq if span.ended is not None else ALWAYS
        mine = [one for one in wants if one.seq < ends and (one.data["by"] != SCSP or one.seq > span.begun_seq)]
        for index, want in enumerate(mine):
            before, until = dict(wishes), mine[index + 1].at if index + 1 < len(mine) else _end(scene, span)
            wishes.pop(want.data["by"], None) if want.data["action"] == "release" else None
            if want.data["action"] == "limit":
                wish = _wish(evse, span, want)
                wishes[wish.by] = wish
                accepted = not _refused(scene, evse, want, mine[index + 1].seq if index + 1 < len(mine) else ends)
                if wish not in counting(_policy(scene), list(wishes.values()), want.at) or not accepted:
                    refused.append(f"{wish.by} at {clock_text(want.at)}")
                    wishes = before
            since = max(want.at, span.begun)
            edges = {since, *(at for one in wishes.values() for at in (*(start for start, _ in one.limits), one.end))}
            for at in sorted(one for one in edges if since <= one < until):
                counted = [(limit, one.by) for one in counting(_policy(scene), list(wishes.values()), at)
                           if (limit := one.at(at)) is not None]  # fmt: skip
                limit, by = min(counted, default=(None, ""))
                if not rulings or (rulings[-1].limit_a, rulings[-1].by, rulings[-1].transaction) != (limit, by, span):
                    rulings.append(Ruling(at, _seq(scene, at, want.seq), limit, by, span))
    return rulings, refused


def _end(scene: Scene, span: TransactionSpan) -> float:
    return scene.facts.end if span.ended is None else span.ended


def _wish(evse: EvseFacts, span: TransactionSpan, want: Wanted) -> Wish:
    """Return a ChargingProfile of OCPI in A per phase; a relative one counts from the begin of the transaction."""
    profile = want.data["profile"]
    start = span.begun if profile.get("start_date_time") is None else parse_time(profile["start_date_time"])
    volts = evse.supply.voltage_v * min(evse.supply.phases, len(evse.phases))
    scale = 1 / volts if profile["charging_rate_unit"] == "W" else 1.0
    limits = tuple((start + one["start_period"], one["limit"] * scale) for one in profile["charging_profile_period"])
    end = start + profile["duration"] if profile.get("duration") is not None else float("inf")
    return Wish(want.data["by"], limits, end, bool(want.data.get("emergency")))


def _refused(scene: Scene, evse: EvseFacts, want: Wanted, until: int) -> bool:
    """Say whether the station refused what was sent for a wish: then what was before goes on."""
    named = _named(scene)
    sent = [one for one in scene.sent("SetChargingProfile") if want.seq < one.asked_seq < until]
    mine = (one for one in sent if one.request["evseId"] == evse.evse_id and one.request["chargingProfile"]["id"] not in named)
    first = next(mine, None)
    return first is not None and first.status != "Accepted"


def _named(scene: Scene) -> set[Any]:
    """Return the ids of the profiles that a step asked for; the platform's own have other ones."""
    return {one.data.get("profile_id") for one in scene.facts.intents}


def _seq(scene: Scene, at: float, least: int) -> int:
    """Return the number of the last message before a moment."""
    return max(least, max((one.asked_seq for one in scene.calls if one.asked <= at), default=0))


def _partings(scene: Scene, evse: EvseFacts, rulings: Sequence[Ruling], wants: Sequence[Wanted]) -> Iterator[Parting]:
    """Yield where what is installed allows something else than what has to rule, beyond what a message takes on its way."""
    history = store_history(scene.facts, scene.station, list(_due(scene, evse, rulings)))
    wanted, held = limits_over_run(scene.facts, evse, history), scene.limits[evse.evse_id]
    changes = [Wanted(one.at, one.seq, scene.station, {}) for one in rulings]
    excused = list(excused_spans(scene, [*wants, *changes]))
    for start, end, want, got in together(wanted, held):
        if not _same(want, got):
            for left, right in outside(start, end, excused):
                if right - left > GRACE_S:
                    yield Parting(evse.evse_id, left, right, want, got)


def _due(scene: Scene, evse: EvseFacts, rulings: Sequence[Ruling]) -> Iterator[StoreStep]:
    """Yield the changes of a store in which, in place of what the platform sent, each ruling is installed."""
    named, changes = _named(scene), [*changes_of(scene.facts, scene.station)]
    theirs = {
        one.profile["id"]: one.profile["stackLevel"] for _, _, one in changes
        if isinstance(one, SetProfile) and one.profile["chargingProfilePurpose"] == "TxProfile" and one.profile["id"] not in named
    }  # fmt: skip
    for at, seq, change in changes:
        sent = isinstance(change, SetProfile) and change.profile["id"] in theirs
        if not sent and not (isinstance(change, ClearProfiles) and change.request.get("chargingProfileId") in theirs):
            yield at, seq, change
    for one in rulings:
        if one.limit_a is None:
            yield one.at, one.seq, ClearProfiles({"chargingProfileId": _OWN_ID})
        else:
            yield one.at, one.seq, SetProfile(evse.evse_id, _as_ocpp(one, len(evse.phases), next(iter(theirs.values()), 0)))


def _as_ocpp(ruling: Ruling, phases: int, level: object) -> dict[str, object]:
    start = datetime.fromtimestamp(int(ruling.at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    period = {"startPeriod": 0, "limit": ruling.limit_a, "numberPhases": phases}
    schedule = {"id": _OWN_ID, "startSchedule": start, "chargingRateUnit": "A", "chargingSchedulePeriod": [period]}
    return {
        "id": _OWN_ID, "stackLevel": level, "chargingProfilePurpose": "TxProfile", "chargingProfileKind": "Absolute",
        "transactionId": ruling.transaction.transaction.id, "chargingSchedule": [schedule],
    }  # fmt: skip


def _same(wanted: ExpectedLimit | None, held: ExpectedLimit | None) -> bool:
    if wanted is None or held is None:
        return wanted is held
    return wanted.limit_a - _ROUNDING_A - 1e-3 <= held.limit_a <= wanted.limit_a + 1e-3
