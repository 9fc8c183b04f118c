"""What is wrong with an object as a whole: rules that no single field shows. From the raw JSON; none raises.

Source: OCPI 2.2.1 and 2.3.0, credentials, mod_cdrs, mod_sessions, mod_locations and mod_commands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from bench.wire.ocpi.checks import Finding, is_number, short
from bench.wire.ocpi.checks_fields import moment


def _cdr_rules(raw: Mapping[str, Any]) -> list[Finding]:
    found = []
    total = raw.get("total_energy")
    if raw.get("credit") is True and raw.get("credit_reference_id") is None:
        found.append(Finding("cdr_credit", "a credit CDR without credit_reference_id"))
    elif raw.get("credit") is True and any(is_number(one) and one > 0 for one in _amounts(raw.get("total_cost"))):
        found.append(Finding("cdr_credit", "a credit CDR takes money back, but its total_cost is not negative"))
    if raw.get("credit") is not True and isinstance(raw.get("id"), str) and len(raw["id"]) > 36:
        found.append(Finding("cdr_id", f"{len(raw['id'])} characters; only the id of a credit CDR has more than 36"))
    if raw.get("credit") is not True and _sane(total):
        energy = _volumes(raw.get("charging_periods"), "ENERGY")
        if energy is not None and abs(energy - total) > 0.001 * max(1, len(raw["charging_periods"])):
            found.append(Finding("cdr_energy", f"total_energy is {total:g}, the periods add up to {energy:g} kWh"))
    begin, end = raw.get("start_date_time"), raw.get("end_date_time")
    if not moment(begin) and not moment(end) and str(end)[:19] < str(begin)[:19]:
        found.append(Finding("cdr_times", f"ends at {end}, before its begin at {begin}"))
    return found


def _amounts(price: Any) -> list[Any]:
    """Return what a Price says without and with taxes, in the words of either version."""
    return [price.get(name) for name in ("excl_vat", "incl_vat", "before_taxes")] if isinstance(price, dict) else []


def _credentials_rules(raw: Mapping[str, Any]) -> list[Finding]:
    """Each triple of role, country and party is there once."""
    roles = [one for one in raw["roles"] if isinstance(one, dict)] if isinstance(raw.get("roles"), list) else []
    named = [tuple(short(one.get(name)).upper() for name in ("role", "country_code", "party_id")) for one in roles]
    twice = sorted({one for one in named if named.count(one) > 1})
    return [Finding("credentials_roles", f"{' '.join(one)} stands there more than once") for one in twice]


def _session_rules(raw: Mapping[str, Any]) -> list[Finding]:
    if raw.get("status") == "COMPLETED" and raw.get("end_date_time") is None:
        return [Finding("session_end", "COMPLETED without end_date_time")]
    return []


def _location_rules(raw: Mapping[str, Any]) -> list[Finding]:
    evses = raw.get("evses")
    named = [one.get("uid") for one in evses if isinstance(one, dict)] if isinstance(evses, list) else []
    uids = [one.casefold() for one in named if isinstance(one, str)]
    found = [Finding("location_evses", f"two EVSEs have the uid {short(one)}") for one in sorted({*uids}) if uids.count(one) > 1]
    if raw.get("publish_allowed_to") and raw.get("publish") is not False:
        found.append(Finding("location_publish", "publish_allowed_to stands where publish is not false"))
    allowed = raw.get("publish_allowed_to")
    for one in allowed if isinstance(allowed, list) else ():
        if isinstance(one, dict) and not _names_a_token(one):
            text = f"{short(one)} names no token: by uid and type, visual_number and issuer, or group_id"
            found.append(Finding("location_publish", text))
    return found


def _names_a_token(one: Mapping[str, Any]) -> bool:
    """PublishTokenType: one of three names, the first two with what belongs to them."""
    pairs = (("uid", "type"), ("visual_number", "issuer"))
    lacking = any(one.get(name) is not None and one.get(more) is None for name, more in pairs)
    return not lacking and any(one.get(name) is not None for name in ("uid", "visual_number", "group_id"))


def _start_rules(raw: Mapping[str, Any]) -> list[Finding]:
    if raw.get("connector_id") is not None and raw.get("evse_uid") is None:
        return [Finding("start_session_field", "evse_uid is missing beside connector_id")]
    return []


def _volumes(periods: Any, kind: str) -> float | None:
    """Return the sum of one dimension of all periods; None where no period has it or one cannot be read."""
    found = []
    for period in periods if isinstance(periods, list) else ():
        rows = period.get("dimensions") if isinstance(period, dict) else None
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and row.get("type") == kind:
                found.append(row.get("volume"))
    numbers = [one for one in found if _sane(one)]
    return sum(numbers) if found and len(numbers) == len(found) else None


def _sane(value: object) -> TypeGuard[int | float]:
    """Say whether it is a number that can be reckoned with."""
    return is_number(value) and abs(value) < 1e12


RULES: Final = {
    "session": _session_rules, "cdr": _cdr_rules, "location": _location_rules, "start_session": _start_rules,
    "credentials": _credentials_rules,
}  # fmt: skip
"""By the object's name in `checks_objects.tables`."""
