"""What of the platform survives a restart: registrations, running sessions, claims, promises and what is owed to peers, as one
document; and beside it each Token, and each session that is over with its CDR, as a row of its own.

A reservation does not: the station ends it by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bench.cso.arbiter import Arbiter
from bench.cso.arbitration import Claim
from bench.cso.ocpi.grants import Grant
from bench.cso.ocpi.outbox import Key, Outbox
from bench.cso.ocpi.periods import Periods
from bench.cso.ocpi.promises import Promise, Promises
from bench.cso.ocpi.record import SessionRecord
from bench.cso.ocpi.registry import Party, Platform, Registry
from bench.cso.ocpi.sessions import Sessions
from bench.cso.ocpi.tokens import TokenKey, Tokens
from bench.cso.relay import Intent, Relay, Target
from bench.errors import RigError, UsageError
from bench.ports import Store
from bench.settings.ocpi_site import TariffSettings
from bench.wire.ocpi.clients import ClientInfo
from bench.wire.ocpi.profiles import ChargingProfile
from bench.wire.ocpi.sessions import ChargingPreferences
from bench.wire.ocpi.tokens import Token
from bench.wire.ocpi.transport import PartyId

_MOMENTS: Final = ("started", "last_updated", "began", "heard", "told_at", "ended")


@dataclass(frozen=True, slots=True)
class Restored:
    """What has to go on after a restart."""

    running: list[SessionRecord]
    untold: list[SessionRecord]
    """Sessions whose end was kept, and the process ended before anybody was told."""
    owed: list[tuple[Platform, Key]]
    """Objects of which a platform still had to be told something."""


class Keeper:
    """Saves the platform's state, and brings it back into a new one. Without a store it does nothing."""

    def __init__(
        self, store: Store | None, registry: Registry, sessions: Sessions, relay: Relay, arbiter: Arbiter, promises: Promises,
        tokens: Tokens, outbox: Outbox,
    ) -> None:  # fmt: skip
        self._store, self._registry, self._sessions, self._outbox = store, registry, sessions, outbox
        self._relay, self._arbiter, self._promises, self._tokens = relay, arbiter, promises, tokens
        self._unkept: list[SessionRecord] = []
        """Sessions that are over and have no row yet."""
        self.kept: Callable[[SessionRecord], None] = lambda record: None
        """Called with each session that is over once it is on the disk."""

    @property
    def is_behind(self) -> bool:
        """Say whether a session that is over is not on the disk yet."""
        return bool(self._unkept)

    def save(self) -> None:
        """Bring the state to the disk before this returns. Raises RigError."""
        if self._store is not None:
            with suppress(RigError):  # told when it ended; until it is kept it stands in the document
                self._keep(self._store)
            self._store.save(self._document())

    def keep_ended(self, record: SessionRecord) -> None:
        """Bring a session that is over to the disk before this returns. Raises RigError: then each `save` tries it again."""
        if self._store is None:
            self.kept(record)
            return
        self._unkept.append(record)
        self._keep(self._store)

    def _keep(self, store: Store) -> None:
        while self._unkept:
            record = self._unkept[0]
            store.keep_rows("session", {record.session_id: self._plain_record(record)})
            del self._unkept[0]
            self.kept(record)

    def drop_ended(self, record: SessionRecord) -> None:
        """Forget a session that is over. Raises RigError."""
        self._unkept = [one for one in self._unkept if one is not record]
        if self._store is not None:
            self._store.drop_row("session", record.session_id)

    def keep_tokens(self, tokens: Mapping[TokenKey, Token]) -> None:
        """Bring Tokens to the disk before this returns. Raises RigError."""
        if self._store is not None:
            self._store.keep_rows("token", {key.text: token.plain() for key, token in tokens.items()})

    def restore(self) -> Restored:
        """Take back what was saved. Raises UsageError, also where what was saved is something else than it should be."""
        if self._store is None:
            return Restored([], [], [])
        try:
            return self._restored(self._store)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # whose words may hold tokens
            text = f"{self._store}: its content is none that this version has written ({type(error).__name__})"
            raise UsageError(f"{text}; name another file or remove it, with the rows beside it") from None

    def _restored(self, store: Store) -> Restored:
        document = store.load()
        if document is None:  # a first life, or a file that was removed: the rows beside it are kept all the same
            document = {name: [] for name in ("platforms", "invitations", "spent", "sessions", "promises")}
        if "tokens" in document:
            text = "an earlier version has written it, with Tokens in it and what is over in a folder: this one reads neither"
            raise UsageError(f"{store}: {text}; name another file or remove it")
        self._registry.restore([_platform(one) for one in document["platforms"]], document["invitations"], document["spent"])
        self._tokens.restore(Token.model_validate(one) for one in store.load_rows("token").values())
        over = {name: self._record(one) for name, one in store.load_rows("session").items()}
        told = [(one, self._record(one)) for one in document["sessions"] if one["target"][0] not in over]
        self._unkept = [record for _, record in told if record.ended is not None]
        running = [(raw, record) for raw, record in told if record.ended is None]
        known = [*over.values(), *(record for _, record in told)]
        for record in sorted(known, key=lambda one: (one.number, one.started)):
            self._sessions.restore(record)
        for raw, record in running:
            self._arbiter.restore(record, [_claim(one) for one in raw["claims"]])
            for intent in raw["intents"]:
                self._relay.restore(_intent(intent, record.target))
        for station, evse_id, claims in document.get("limits", ()):
            self._arbiter.restore_at((station, evse_id), [_claim(one) for one in claims])
        self._promises.open = [Promise.model_validate(one) for one in document["promises"]]
        untold = [over[one["target"][0]] for one in document["sessions"] if one["target"][0] in over]
        owed = [
            (platform, (module, key))
            for platform, raw in zip(self._registry.platforms, document["platforms"], strict=True)
            for module, key in raw.get("owed", ())
        ]
        return Restored([record for _, record in running], untold, owed)

    def _document(self) -> dict[str, Any]:
        return {
            "platforms": [_plain_platform(one) | {"owed": self._outbox.owed(one)} for one in self._registry.platforms],
            "invitations": self._registry.invitations,
            "spent": self._registry.spent,
            "sessions": [self._plain_record(one) for one in (*self._unkept, *self._sessions.running())],
            "limits": [
                [station, evse_id, [_plain_claim(one) for one in claims.values()]]
                for (station, evse_id), claims in self._arbiter.at_evse.items()
            ],
            "promises": [one.model_dump(mode="json") for one in self._promises.open],
        }

    def _plain_record(self, record: SessionRecord) -> dict[str, Any]:
        target, moments = record.target, {name: getattr(record, name) for name in _MOMENTS}
        return {
            "target": [target.session_id, target.station, target.evse_id, target.transaction_id],
            **{name: None if at is None else at.isoformat() for name, at in moments.items()},
            "number": record.number,
            "id_token": record.id_token,
            "tariff": None if record.tariff is None else record.tariff.model_dump(mode="json", exclude_none=True),
            "cdr": record.cdr,
            "periods": record.periods.saved(),
            "grant": None if record.grant is None else _plain_grant(record.grant),
            "preferences": None if record.preferences is None else record.preferences.plain(),
            "unit": record.steering.unit,
            "watchers": [[party.country_code, party.party_id] for party in record.steering.watchers],
            "claims": [_plain_claim(one) for one in record.steering.claims.values()],
            "intents": [_plain_intent(one) for one in self._relay.intents.values() if one.target == target],
        }

    def _record(self, raw: Mapping[str, Any]) -> SessionRecord:
        moments = {name: None if (at := raw.get(name)) is None else datetime.fromisoformat(at) for name in _MOMENTS}
        over, periods = asyncio.get_running_loop().create_future(), Periods.restored(raw["periods"])
        if moments["ended"] is not None:
            over.set_result(None)
        target = Target(*raw["target"])
        record = SessionRecord(
            target=target, over=over, periods=periods, number=raw.get("number", 0), id_token=raw["id_token"], **moments,  # type: ignore[arg-type]
        )  # fmt: skip
        record.grant = None if raw["grant"] is None else _grant(raw["grant"])
        if (preferences := raw.get("preferences")) is not None:
            record.preferences = ChargingPreferences.model_validate(preferences)
        record.tariff, record.cdr = _tariff(raw.get("tariff")), raw.get("cdr", {})
        record.steering.unit = raw["unit"]
        for country_code, party_id in raw["watchers"]:
            party = PartyId(country_code, party_id)
            platform = next((one for one in self._registry.platforms if one.party(party) is not None), None)
            if platform is not None:
                record.steering.watchers[party] = platform
        return record


def _tariff(raw: Mapping[str, Any] | None) -> TariffSettings | None:
    return None if raw is None else TariffSettings.model_validate(raw)


def _plain_platform(one: Platform) -> dict[str, Any]:
    return {
        "token_in": one.token_in, "token_out": one.token_out, "versions_url": one.versions_url, "version": one.version,
        "parties": [[party.id.country_code, party.id.party_id, party.role] for party in one.parties],
        "endpoints": [[identifier, role, url] for (identifier, role), url in one.endpoints.items()],
        "clients": [info.plain() for info in one.clients.values()],
    }  # fmt: skip


def _platform(raw: Mapping[str, Any]) -> Platform:
    parties = tuple(Party(PartyId(country, party), role) for country, party, role in raw["parties"])
    endpoints = {(identifier, role): url for identifier, role, url in raw["endpoints"]}
    clients = {info.party: info for info in map(ClientInfo.model_validate, raw.get("clients", ()))}
    return Platform(raw["token_in"], raw["token_out"], raw["versions_url"], raw["version"], parties, endpoints, clients)


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
