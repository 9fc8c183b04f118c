"""What of the platform survives a restart, as one document: registrations, tokens, running sessions, claims, promises.

A reservation is not: the station ends it by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from bench.cso.arbiter import Arbiter
from bench.cso.arbitration import Claim
from bench.cso.ocpi.grants import Grant
from bench.cso.ocpi.periods import Periods
from bench.cso.ocpi.promises import Promise, Promises
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Party, Platform, Registry
from bench.cso.ocpi.sessions import Sessions
from bench.cso.ocpi.tokens import Tokens
from bench.cso.relay import Intent, Relay, Target
from bench.ports import Store
from bench.wire.ocpi.profiles import ChargingProfile
from bench.wire.ocpi.sessions import ChargingPreferences
from bench.wire.ocpi.tokens import Token
from bench.wire.ocpi.transport import PartyId

_MOMENTS: Final = ("started", "last_updated", "began", "told_at")


class Keeper:
    """Saves the platform's state, and brings it back into a new one. Without a store it does nothing."""

    def __init__(
        self, store: Store | None, registry: Registry, sessions: Sessions, relay: Relay, arbiter: Arbiter, promises: Promises,
        tokens: Tokens,
    ) -> None:  # fmt: skip
        self._store, self._registry, self._sessions = store, registry, sessions
        self._relay, self._arbiter, self._promises, self._tokens = relay, arbiter, promises, tokens

    def save(self) -> None:
        """Bring the state to the disk before this returns. Raises RigError."""
        if self._store is not None:
            self._store.save(self._document())

    def restore(self) -> list[SessionRecord]:
        """Take back what was saved; return the sessions that ran then. Raises UsageError."""
        document = None if self._store is None else self._store.load()
        if document is None:
            return []
        self._registry.restore([_platform(one) for one in document["platforms"]], document["invitations"], document["spent"])
        self._tokens.restore(Token.model_validate(one) for one in document["tokens"])
        records = [self._record(one) for one in document["sessions"]]
        for raw, record in zip(document["sessions"], records, strict=True):
            self._sessions.restore(record)
            self._arbiter.restore(record, [_claim(one) for one in raw["claims"]])
            for intent in raw["intents"]:
                self._relay.restore(_intent(intent, record.target))
        for station, evse_id, claims in document.get("limits", ()):
            self._arbiter.restore_at((station, evse_id), [_claim(one) for one in claims])
        self._promises.open = [Promise.model_validate(one) for one in document["promises"]]
        return records

    def _document(self) -> dict[str, Any]:
        return {
            "platforms": [_plain_platform(one) for one in self._registry.platforms],
            "invitations": self._registry.invitations,
            "spent": self._registry.spent,
            "sessions": [self._plain_record(one) for one in self._sessions.running() if not one.reserved],
            "limits": [
                [station, evse_id, [_plain_claim(one) for one in claims.values()]]
                for (station, evse_id), claims in self._arbiter.at_evse.items()
            ],
            "tokens": [one.plain() for one in self._tokens.all()],
            "promises": [one.model_dump(mode="json") for one in self._promises.open],
        }

    def _plain_record(self, record: SessionRecord) -> dict[str, Any]:
        target, moments = record.target, {name: getattr(record, name) for name in _MOMENTS}
        return {
            "target": [target.session_id, target.station, target.evse_id, target.transaction_id],
            **{name: None if at is None else at.isoformat() for name, at in moments.items()},
            "id_token": record.id_token,
            "periods": record.periods.saved(),
            "grant": None if record.grant is None else _plain_grant(record.grant),
            "preferences": None if record.preferences is None else record.preferences.plain(),
            "unit": record.steering.unit,
            "watchers": [[party.country_code, party.party_id] for party in record.steering.watchers],
            "claims": [_plain_claim(one) for one in record.steering.claims.values()],
            "intents": [_plain_intent(one) for one in self._relay.intents.values() if one.target == target],
        }

    def _record(self, raw: Mapping[str, Any]) -> SessionRecord:
        moments = {name: None if raw[name] is None else datetime.fromisoformat(raw[name]) for name in _MOMENTS}
        over, periods = asyncio.get_running_loop().create_future(), Periods.restored(raw["periods"])
        target = Target(*raw["target"])
        record = SessionRecord(target=target, over=over, periods=periods, id_token=raw["id_token"], **moments)  # type: ignore[arg-type]
        record.grant = None if raw["grant"] is None else _grant(raw["grant"])
        if (preferences := raw.get("preferences")) is not None:
            record.preferences = ChargingPreferences.model_validate(preferences)
        record.steering.unit = raw["unit"]
        for country_code, party_id in raw["watchers"]:
            party = PartyId(country_code, party_id)
            platform = next((one for one in self._registry.platforms if one.party(party) is not None), None)
            if platform is not None:
                record.steering.watchers[party] = platform
        return record


def _plain_platform(one: Platform) -> dict[str, Any]:
    return {
        "token_in": one.token_in, "token_out": one.token_out, "versions_url": one.versions_url, "version": one.version,
        "parties": [[party.id.country_code, party.id.party_id, party.role] for party in one.parties],
        "endpoints": [[identifier, role, url] for (identifier, role), url in one.endpoints.items()],
        "unreachable": sorted([party.country_code, party.party_id] for party in one.unreachable),
    }  # fmt: skip


def _platform(raw: Mapping[str, Any]) -> Platform:
    parties = tuple(Party(PartyId(country, party), role) for country, party, role in raw["parties"])
    endpoints = {(identifier, role): url for identifier, role, url in raw["endpoints"]}
    unreachable = {PartyId(country, party) for country, party in raw.get("unreachable", ())}
    return Platform(raw["token_in"], raw["token_out"], raw["versions_url"], raw["version"], parties, endpoints, unreachable)


def _plain_grant(one: Grant) -> dict[str, Any]:
    return {"token": one.token.plain(), "method": one.method, "reference": one.reference}


def _grant(raw: Mapping[str, Any]) -> Grant:
    return Grant(Token.model_validate(raw["token"]), raw["method"], 0.0, raw["reference"])


def _plain_claim(one: Claim) -> dict[str, Any]:
    return {
        "writer": one.writer, "role": one.role, "order": one.order, "emergency": one.emergency,
        "profile": None if one.profile is None else one.profile.plain(),
    }  # fmt: skip


def _claim(raw: Mapping[str, Any]) -> Claim:
    return Claim(raw["writer"], raw["role"], raw["order"], _profile(raw["profile"]), raw["emergency"])


def _plain_intent(one: Intent) -> dict[str, Any]:
    profile = None if one.profile is None else one.profile.plain()
    return {"writer": one.writer, "profile_id": one.profile_id, "profile": profile, "state": one.state}


def _intent(raw: Mapping[str, Any], target: Target) -> Intent:
    return Intent(target, raw["writer"], raw["profile_id"], _profile(raw["profile"]), raw["state"])


def _profile(raw: Mapping[str, Any] | None) -> ChargingProfile | None:
    return None if raw is None else ChargingProfile.model_validate(raw)
