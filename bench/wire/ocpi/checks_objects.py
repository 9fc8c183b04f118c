"""What a peer got wrong in Locations, Sessions, CDRs, Tariffs, Tokens, commands, Credentials and ClientInfo, from raw JSON alone.

Unknown fields are never wrong. An unknown value is wrong where the version does not call the enum open.
Source: OCPI 2.2.1 and 2.3.0, the tables of each module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bench.wire.ocpi.checks import Finding, short
from bench.wire.ocpi.checks_fields import (
    Kind,
    Table,
    at_least,
    check_fields,
    ci_text,
    count,
    credentials_token,
    exact_text,
    flag,
    moment,
    number,
    one_of,
    percent,
    text,
    url,
    whole,
)  # fmt: skip
from bench.wire.ocpi.checks_rules import RULES

NEWEST: Final = "2.3.0"
OWNED: Final = ("location", "session", "tariff", "cdr", "token")
"""Objects with country_code and party_id of their owner."""
_NAME: Final = ci_text(255)
"""An open enum: any name is right."""
_COUNTRY: Final = exact_text("[A-Za-z]{2}", "a country code of two letters")
_PARTY: Final = exact_text("[A-Za-z0-9]{3}", "a party id of three characters")
_HUB: Final = exact_text("[A-Za-z]{2}[A-Za-z0-9]{3}", "a country code and a party id in one")
_CURRENCY: Final = exact_text("[A-Z]{3}", "a currency of three letters")
_CLOCK: Final = exact_text(r"([01]\d|2[0-3]):[0-5]\d", "a time of day such as 17:30")
_OWNER: Final[Table] = (("country_code", "1", _COUNTRY), ("party_id", "1", _PARTY))
_DISPLAY: Final[Table] = (("language", "1", exact_text("[A-Za-z]{2}", "a language of two letters")), ("text", "1", text(512)))
_PLACE: Final[Table] = (
    ("latitude", "1", exact_text(r"-?\d{1,2}\.\d{5,7}", "a latitude with 5 to 7 decimals")),
    ("longitude", "1", exact_text(r"-?\d{1,3}\.\d{5,7}", "a longitude with 5 to 7 decimals")),
)
_STATUS: Final = one_of(
    "AVAILABLE", "BLOCKED", "CHARGING", "INOPERATIVE", "OUTOFORDER", "PLANNED", "REMOVED", "RESERVED", "UNKNOWN"
)
_FORMAT: Final = one_of("SOCKET", "CABLE")
_POWER: Final = one_of("AC_1_PHASE", "AC_2_PHASE", "AC_2_PHASE_SPLIT", "AC_3_PHASE", "DC")
_PROFILE: Final = one_of("CHEAP", "FAST", "GREEN", "REGULAR")
_AUTH: Final = one_of("AUTH_REQUEST", "COMMAND", "WHITELIST")
_SESSION_ONLY: Final = ("CURRENT", "ENERGY_EXPORT", "ENERGY_IMPORT", "POWER", "STATE_OF_CHARGE")
_CDR_TOO: Final = (
    "ENERGY", "MAX_CURRENT", "MIN_CURRENT", "MAX_POWER", "MIN_POWER", "PARKING_TIME", "RESERVATION_TIME", "TIME",
)  # fmt: skip
_CAPABILITIES: Final = (
    "CHARGING_PROFILE_CAPABLE", "CHARGING_PREFERENCES_CAPABLE", "CHIP_CARD_SUPPORT", "CONTACTLESS_CARD_SUPPORT",
    "CREDIT_CARD_PAYABLE", "DEBIT_CARD_PAYABLE", "PED_TERMINAL", "REMOTE_START_STOP_CAPABLE", "RESERVABLE", "RFID_READER",
    "START_SESSION_CONNECTOR_REQUIRED", "TOKEN_GROUP_CAPABLE", "UNLOCK_CAPABLE",
)  # fmt: skip
_STANDARDS: Final = (
    "CHADEMO", "CHAOJI", *(f"DOMESTIC_{letter}" for letter in "ABCDEFGHIJKLMNO"), "GBT_AC", "GBT_DC", "IEC_60309_2_single_16",
    "IEC_60309_2_three_16", "IEC_60309_2_three_32", "IEC_60309_2_three_64", "IEC_62196_T1", "IEC_62196_T1_COMBO", "IEC_62196_T2",
    "IEC_62196_T2_COMBO", "IEC_62196_T3A", "IEC_62196_T3C", "NEMA_5_20", "NEMA_6_30", "NEMA_6_50", "NEMA_10_30", "NEMA_10_50",
    "NEMA_14_30", "NEMA_14_50", "PANTOGRAPH_BOTTOM_UP", "PANTOGRAPH_TOP_DOWN", "TESLA_R", "TESLA_S",
)  # fmt: skip
_ROLES: Final = ("CPO", "EMSP", "NAP", "NSP", "OTHER", "SCSP")
_PICTURES: Final = ("CHARGER", "ENTRANCE", "LOCATION", "NETWORK", "OPERATOR", "OTHER", "OWNER")
_PARKING_TYPES: Final = ("ALONG_MOTORWAY", "ON_DRIVEWAY", "ON_STREET", "PARKING_GARAGE", "PARKING_LOT", "UNDERGROUND_GARAGE")
_FACILITIES: Final = (
    "AIRPORT", "BIKE_SHARING", "BUS_STOP", "CAFE", "CARPOOL_PARKING", "FUEL_STATION", "HOTEL", "MALL", "METRO_STATION", "MUSEUM",
    "NATURE", "PARKING_LOT", "RECREATION_AREA", "RESTAURANT", "SPORT", "SUPERMARKET", "TAXI_STAND", "TRAIN_STATION", "TRAM_STOP",
    "WIFI",
)  # fmt: skip
_ANSWER: Final[Table] = (
    ("result", "1", one_of("ACCEPTED", "NOT_SUPPORTED", "REJECTED", "UNKNOWN_SESSION")), ("timeout", "1", count),
    ("message", "*", _DISPLAY),
)  # fmt: skip
_RESULT: Final[Table] = (
    ("result", "1", one_of(
        "ACCEPTED", "CANCELED_RESERVATION", "EVSE_OCCUPIED", "EVSE_INOPERATIVE", "FAILED", "NOT_SUPPORTED", "REJECTED", "TIMEOUT",
        "UNKNOWN_RESERVATION",
    )),
    ("message", "*", _DISPLAY),
)  # fmt: skip
_REFERENCES: Final[Table] = (("location_id", "1", ci_text(36)), ("evse_uids", "*", ci_text(36)))
_PREFERENCES: Final[Table] = (
    ("profile_type", "1", _PROFILE), ("departure_time", "?", moment), ("energy_need", "?", number),
    ("discharge_allowed", "?", flag),
)  # fmt: skip
PREFERENCES_ANSWERS: Final = (
    "ACCEPTED", "DEPARTURE_REQUIRED", "ENERGY_NEED_REQUIRED", "NOT_POSSIBLE", "PROFILE_TYPE_NOT_SUPPORTED",
)  # fmt: skip


def tables(version: str) -> dict[str, Table]:
    """Return the table of each object in a version, by its name here."""
    return _TABLES[version if version in _TABLES else NEWEST]


def check_object(
    name: str, raw: Any, version: str, *, patch: bool = False, url_ids: tuple[str, ...] = ()
) -> list[Finding]:
    """Check an object by its name in `tables`.

    Args:
        patch: it is a part, in which only `last_updated` is required.
        url_ids: what stood in the URL: country code, party id and the object's id, or the id alone.
    """
    found = check_fields(raw, tables(version)[name], name, patch=patch)
    if isinstance(raw, dict):
        found += _by_url(name, raw, url_ids)
        if not patch and name in RULES:
            found += RULES[name](raw)
    return found


def _by_url(name: str, raw: Mapping[str, Any], ids: tuple[str, ...]) -> list[Finding]:
    """Transport, Client Owned Object Push: owner and id in the URL are those of the object."""
    keys = ("country_code", "party_id", _ID.get(name, "id"))
    pairs = [(key, part) for key, part in zip(keys[-len(ids) :], ids, strict=True) if key in raw] if ids else []
    return [
        Finding(f"{name}_url", f"{key} {short(raw[key])} stands under the URL of {short(part)}")
        for key, part in pairs
        if not isinstance(raw[key], str) or raw[key].casefold() != part.casefold()
    ]


def _periods(*dimensions: str) -> Table:
    return (
        ("start_date_time", "1", moment),
        ("dimensions", "+", (("type", "1", one_of(*dimensions)), ("volume", "1", number))),
        ("tariff_id", "?", ci_text(36)),
    )


def _build(version: str) -> dict[str, Table]:
    newest = version == NEWEST

    def opened(*words: str) -> Kind:
        return _NAME if newest else one_of(*words)

    token_type, role = opened("AD_HOC_USER", "APP_USER", "OTHER", "RFID"), one_of(*_ROLES, *(() if newest else ("HUB",)))
    image: Table = (
        ("url", "1", url), ("thumbnail", "?", url), ("category", "1", opened(*_PICTURES)), ("type", "1", ci_text(4)),
        ("width", "?", whole), ("height", "?", whole),
    )  # fmt: skip
    business: Table = (("name", "1", text(100)), ("website", "?", url), ("logo", "?", image))
    impact: Table = (("category", "1", opened("NUCLEAR_WASTE", "CARBON_DIOXIDE")), ("amount", "1", number))
    mix: Table = (
        ("is_green_energy", "1", flag),
        ("energy_sources", "*", (
            ("source", "1", one_of("NUCLEAR", "GENERAL_FOSSIL", "COAL", "GAS", "GENERAL_GREEN", "SOLAR", "WIND", "WATER")),
            ("percentage", "1", percent),
        )),
        ("environ_impact", "*", impact), ("supplier_name", "?", text(64)), ("energy_product_name", "?", text(64)),
    )  # fmt: skip
    tax: Table = (
        ("name", "1", text(255)), ("account_number", "?", text(255)), ("percentage", "?", number), ("amount", "1", number),
    )  # fmt: skip
    old_price: Table = (("excl_vat", "1", number), ("incl_vat", "?", number))
    price: Table = (("before_taxes", "1", number), ("taxes", "*", tax)) if newest else old_price
    bound: Table = (("before_taxes", "1", number), ("after_taxes", "?", number)) if newest else old_price
    connector: Table = (
        ("id", "1", ci_text(36)), ("standard", "1", opened(*_STANDARDS)), ("format", "1", _FORMAT), ("power_type", "1", _POWER),
        ("max_voltage", "1", count), ("max_amperage", "1", count), ("max_electric_power", "?", count),
        ("tariff_ids", "*", ci_text(36)), ("terms_and_conditions", "?", url),
        *((("capabilities", "*", _NAME),) if newest else ()), ("last_updated", "1", moment),
    )  # fmt: skip
    evse: Table = (
        ("uid", "1", ci_text(36)), ("evse_id", "?", ci_text(48)), ("status", "1", _STATUS),
        ("status_schedule", "*", (("period_begin", "1", moment), ("period_end", "?", moment), ("status", "1", _STATUS))),
        ("capabilities", "*", opened(*_CAPABILITIES)), ("connectors", "+", connector), ("floor_level", "?", text(4)),
        ("coordinates", "?", _PLACE), ("physical_reference", "?", text(16)), ("directions", "*", _DISPLAY),
        ("parking_restrictions", "*", opened("EV_ONLY", "PLUGGED", "DISABLED", "CUSTOMERS", "MOTORCYCLES")),
        ("images", "*", image), *((("parking", "*", _PARKED), ("accepted_service_providers", "*", text(50))) if newest else ()),
        ("last_updated", "1", moment),
    )  # fmt: skip
    tariff: Table = (
        *_OWNER, ("id", "1", ci_text(36)), ("currency", "1", _CURRENCY),
        ("type", "?", one_of("AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR")),
        ("tariff_alt_text", "*", _DISPLAY), ("tariff_alt_url", "?", url), ("min_price", "?", bound), ("max_price", "?", bound),
        ("elements", "+", (("price_components", "+", _COMPONENT), ("restrictions", "?", _RESTRICTIONS))),
        *((("tax_included", "1", one_of("YES", "NO", "N/A")),) if newest else ()),
        ("start_date_time", "?", moment), ("end_date_time", "?", moment), ("energy_mix", "?", mix),
        ("last_updated", "1", moment),
    )  # fmt: skip
    cdr_token: Table = (*_OWNER, ("uid", "1", ci_text(36)), ("type", "1", token_type), ("contract_id", "1", ci_text(36)))
    token: Table = (
        *cdr_token, ("visual_number", "?", text(64)), ("issuer", "1", text(64)), ("group_id", "?", ci_text(36)),
        ("valid", "1", flag), ("whitelist", "1", one_of("ALWAYS", "ALLOWED", "ALLOWED_OFFLINE", "NEVER")),
        ("language", "?", text(2)), ("default_profile_type", "?", _PROFILE),
        ("energy_contract", "?", (("supplier_name", "1", text(64)), ("contract_id", "?", text(64)))),
        ("last_updated", "1", moment),
    )  # fmt: skip
    begun: Table = (("authorization_reference", "?", ci_text(36)), ("meter_id", "?", text(255)), ("currency", "1", _CURRENCY))
    used: Table = (("cdr_token", "1", cdr_token), ("auth_method", "1", _AUTH))
    return {
        "location": (
            *_OWNER, ("id", "1", ci_text(36)), ("publish", "1", flag), ("publish_allowed_to", "*", _published(token_type)),
            ("name", "?", text(255)), ("address", "1", text(255)), ("city", "1", text(45)), ("postal_code", "?", text(10)),
            ("state", "?", text(45)), ("country", "1", exact_text("[A-Z]{3}", "a country of three letters")),
            ("coordinates", "1", _PLACE), ("related_locations", "*", (*_PLACE, ("name", "?", _DISPLAY))),
            ("parking_type", "?", opened(*_PARKING_TYPES)), ("evses", "*", evse),
            *((("parking_places", "*", _parking(image)), ("help_phone", "?", ci_text(25))) if newest else ()),
            ("directions", "*", _DISPLAY), *((one, "?", business) for one in ("operator", "suboperator", "owner")),
            ("facilities", "*", opened(*_FACILITIES)), ("time_zone", "1", text(255)), ("opening_times", "?", _HOURS),
            ("charging_when_closed", "?", flag), ("images", "*", image), ("energy_mix", "?", mix),
            ("last_updated", "1", moment),
        ),
        "evse": evse, "connector": connector, "tariff": tariff, "token": token,
        "session": (
            *_OWNER, ("id", "1", ci_text(36)), ("start_date_time", "1", moment), ("end_date_time", "?", moment),
            ("kwh", "1", at_least(0)), *used, ("location_id", "1", ci_text(36)), ("evse_uid", "1", ci_text(36)),
            ("connector_id", "1", ci_text(36)), *begun, ("charging_periods", "*", _periods(*_SESSION_ONLY, *_CDR_TOO)),
            ("total_cost", "?", price),
            ("status", "1", one_of("ACTIVE", "COMPLETED", "INVALID", "PENDING", "RESERVATION")), ("last_updated", "1", moment),
        ),
        "cdr": (
            *_OWNER, ("id", "1", ci_text(39)), ("start_date_time", "1", moment), ("end_date_time", "1", moment),
            ("session_id", "?", ci_text(36)), *used, *begun,
            ("cdr_location", "1", (
                ("id", "1", ci_text(36)), ("name", "?", text(255)), ("address", "1", text(45)), ("city", "1", text(45)),
                ("postal_code", "?", text(10)), ("state", "?", text(20)), ("country", "1", text(3)), ("coordinates", "1", _PLACE),
                ("evse_uid", "1", ci_text(36)), ("evse_id", "1", ci_text(48)), ("connector_id", "1", ci_text(36)),
                ("connector_standard", "1", opened(*_STANDARDS)), ("connector_format", "1", _FORMAT),
                ("connector_power_type", "1", _POWER),
            )),
            ("tariffs", "*", tariff), ("charging_periods", "+", _periods(*_CDR_TOO)), ("signed_data", "?", _SIGNED),
            ("total_cost", "1", price), ("total_energy", "1", number), ("total_time", "1", number),
            ("total_parking_time", "?", number),
            *((f"total_{one}_cost", "?", price) for one in ("fixed", "energy", "time", "parking", "reservation")),
            ("remark", "?", text(255)), ("invoice_reference_id", "?", ci_text(39)), ("credit", "?", flag),
            ("credit_reference_id", "?", ci_text(39)), ("home_charging_compensation", "?", flag), ("last_updated", "1", moment),
        ),
        "authorization": (
            ("allowed", "1", one_of("ALLOWED", "BLOCKED", "EXPIRED", "NO_CREDIT", "NOT_ALLOWED")), ("token", "1", token),
            ("location", "?", _REFERENCES), ("authorization_reference", "?", ci_text(36)), ("info", "?", _DISPLAY),
        ),
        "credentials": (
            ("token", "1", credentials_token), ("url", "1", url), *((("hub_party_id", "?", _HUB),) if newest else ()),
            ("roles", "+", (*_OWNER, ("role", "1", role), ("business_details", "1", business))),
        ),
        "client_info": (
            *_OWNER, ("role", "1", role), ("status", "1", one_of("CONNECTED", "OFFLINE", "PLANNED", "SUSPENDED")),
            ("last_updated", "1", moment),
        ),
        "location_references": _REFERENCES, "preferences": _PREFERENCES,
        "command_response": _ANSWER, "command_result": _RESULT,
        "start_session": (
            ("response_url", "1", url), ("token", "1", token), ("location_id", "1", ci_text(36)), ("evse_uid", "?", ci_text(36)),
            ("connector_id", "?", ci_text(36)), ("authorization_reference", "?", ci_text(36)),
        ),
        "stop_session": (("response_url", "1", url), ("session_id", "1", ci_text(36))),
        "reserve_now": (
            ("response_url", "1", url), ("token", "1", token), ("expiry_date", "1", moment), ("reservation_id", "1", ci_text(36)),
            ("location_id", "1", ci_text(36)), ("evse_uid", "?", ci_text(36)), ("authorization_reference", "?", ci_text(36)),
        ),
        "cancel_reservation": (("response_url", "1", url), ("reservation_id", "1", ci_text(36))),
        "unlock_connector": (
            ("response_url", "1", url), ("location_id", "1", ci_text(36)), ("evse_uid", "1", ci_text(36)),
            ("connector_id", "1", ci_text(36)),
        ),
    }  # fmt: skip


def _published(token_type: Kind) -> Table:
    return (
        ("uid", "?", ci_text(36)), ("type", "?", token_type), ("visual_number", "?", text(64)), ("issuer", "?", text(64)),
        ("group_id", "?", ci_text(36)),
    )  # fmt: skip


def _parking(image: Table) -> Table:
    return (
        ("id", "1", ci_text(36)), ("physical_reference", "?", text(12)), ("vehicle_types", "+", _NAME),
        ("direction", "?", one_of("PARALLEL", "PERPENDICULAR", "ANGLE")), ("restricted_to_type", "1", flag),
        ("reservation_required", "1", flag), ("time_limit", "?", number), ("images", "*", image), ("standards", "*", ci_text(36)),
        *((f"max_vehicle_{one}", "?", number) for one in ("weight", "height", "length", "width")),
        *((f"parking_space_{one}", "?", number) for one in ("length", "width")), ("apds_reference", "?", _NAME),
        *((one, "?", flag) for one in ("dangerous_goods_allowed", "drive_through", "roofed", "lighting", "refrigeration_outlet")),
    )  # fmt: skip


_EXCEPTION: Final[Table] = (("period_begin", "1", moment), ("period_end", "1", moment))
_HOURS: Final[Table] = (
    ("twentyfourseven", "1", flag),
    ("regular_hours", "*", (("weekday", "1", whole), ("period_begin", "1", _CLOCK), ("period_end", "1", _CLOCK))),
    ("exceptional_openings", "*", _EXCEPTION), ("exceptional_closings", "*", _EXCEPTION),
)  # fmt: skip
_COMPONENT: Final[Table] = (
    ("type", "1", one_of("ENERGY", "FLAT", "PARKING_TIME", "TIME")), ("price", "1", number), ("vat", "?", number),
    ("step_size", "1", whole),
)  # fmt: skip
_DAY: Final = exact_text(r"\d{4}-\d\d-\d\d", "a day such as 2026-01-15")
_RESTRICTIONS: Final[Table] = (
    ("start_time", "?", _CLOCK), ("end_time", "?", _CLOCK),
    ("start_date", "?", _DAY), ("end_date", "?", _DAY),
    *((f"{bound}_{what}", "?", number) for what in ("kwh", "current", "power") for bound in ("min", "max")),
    ("min_duration", "?", whole), ("max_duration", "?", whole),
    ("day_of_week", "*", one_of("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")),
    ("reservation", "?", one_of("RESERVATION", "RESERVATION_EXPIRES")),
)  # fmt: skip
_PARKED: Final[Table] = (("parking_id", "1", ci_text(36)), ("evse_position", "?", one_of("LEFT", "RIGHT", "CENTER")))
_SIGNED: Final[Table] = (
    ("encoding_method", "1", ci_text(36)), ("encoding_method_version", "?", whole), ("public_key", "?", text(512)),
    ("signed_values", "+", (("nature", "1", ci_text(32)), ("plain_data", "1", text(5000)), ("signed_data", "1", text(5000)))),
    ("url", "?", text(512)),
)  # fmt: skip
_ID: Final = {"token": "uid", "evse": "uid"}
_TABLES: Final = {version: _build(version) for version in ("2.2.1", NEWEST)}
