"""Who may come in: the checks of a charging station's opening handshake, each refusal with a reason and a remedy."""

from __future__ import annotations

import base64
import hmac
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from bench.errors import UsageError
from bench.settings.rig import CsmsSettings, StationSettings
from bench.wire.ocppj import SUBPROTOCOL


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why someone was refused, and what a lab engineer can do about it."""

    reason: str
    remedy: str
    status: int = 404
    """HTTP status of the answer, where the opening handshake came that far."""


SILENT: Final = Refusal(
    "connected and sent nothing", "check that the station's URL starts with ws:// or wss:// and names this port"
)
PLAIN_ON_TLS: Final = Refusal(
    "spoke plain text on the TLS port",
    "type a wss:// URL and security profile 2 into the station, or set csms.security_profile to 0 or 1 in the rig file",
)
TLS_ON_PLAIN: Final = Refusal(
    "spoke TLS on the plain-text port",
    "type a ws:// URL into the station, or set csms.security_profile = 2 with certificate and private_key in the rig file",
)
_TLS_REMEDIES: Final = (
    (("UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "UNSUPPORTED_CERTIFICATE"),
     "install the root of csms.certificate on the station, and check the certificate's dates and that the host in the "
     "station's URL stands in it"),
    (("PROTOCOL", "VERSION"), "the station must speak TLS 1.2 or newer"),
    (("CIPHER",), "the station must offer a cipher that fits the key in csms.certificate"),
)  # fmt: skip


def tls_refusal(error: OSError) -> Refusal:
    """Return the refusal for a failed TLS handshake."""
    name = getattr(error, "reason", None) or str(error) or "the station closed the connection"
    for words, remedy in _TLS_REMEDIES:
        if any(word in name.upper() for word in words):
            return Refusal(f"the TLS handshake failed: {name}", remedy)
    remedy = "check that the station trusts csms.certificate and that its URL names a host that stands in it"
    return Refusal(f"the TLS handshake failed: {name}", remedy)


def station_id_in(path: str) -> str | None:
    """Return the percent-decoded station id of `/ocpp/{id}` or `/{id}` (Part 4, 3.1.1), or None."""
    parts = path.partition("?")[0].split("/")
    if len(parts) == 3 and parts[1] == "ocpp":
        del parts[1]
    if len(parts) != 2 or parts[0] or not parts[1] or parts[1] == "ocpp":
        return None
    return unquote(parts[1])


def wrong_path(path: str) -> Refusal:
    """Return the refusal of a path that names no station."""
    return Refusal(f"the path {path[:100]!r} names no station", "the URL must end in /ocpp/ and the station's id")


def wrong_opening(what: str) -> Refusal:
    """Return the refusal of someone who did not open a WebSocket."""
    return Refusal(f"opened no WebSocket: {what}", "this URL is for a charging station, not for a browser or another tool")


def unknown_station(station_id: str, known: Sequence[str]) -> Refusal:
    """Return the refusal of a station that is not in the rig file."""
    return Refusal(
        f"station id {station_id[:60]!r} is not in the rig file",
        f"add it as a [[station]], or set the station's identity to one of: {', '.join(known)}",
    )


def wrong_subprotocol(offered: Sequence[str]) -> Refusal:
    """Return the refusal of a station that does not offer OCPP 2.0.1."""
    what = f"only {', '.join(offered)}" if offered else "no subprotocol"
    return Refusal(f"offered {what}", f"the bench speaks {SUBPROTOCOL}: set the station's OCPP version to 2.0.1 (JSON)")


def check_password(station: StationSettings, headers: Sequence[str]) -> Refusal | None:
    """Check HTTP basic authentication (security profiles 1 and 2; OCPP 2.0.1 Part 2, A00.FR.201 and on).

    Args: headers: the values of all Authorization headers.
    """
    remedy = f"set the station's BasicAuthPassword to the password of {station.id} in the rig file"
    if not headers:
        return Refusal("sent no password", f"{remedy}, and its security profile to that of the rig", 401)
    scheme, _, encoded = headers[0].partition(" ")
    try:
        credentials = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:  # not base64, or not ASCII
        credentials = b""
    if len(headers) > 1 or scheme.lower() != "basic" or b":" not in credentials:
        return Refusal("sent an Authorization header that is not HTTP basic authentication", remedy, 401)
    user = f"{station.id}:".encode()
    if not credentials.startswith(user):
        return Refusal("sent a user name other than its station id", "the user name must be the id in the URL", 401)
    password = station.password.get_secret_value().encode() if station.password else b""
    right = hmac.compare_digest(credentials[len(user) :], password)
    return None if right and password else Refusal("sent a wrong password", remedy, 401)


def tls_context(settings: CsmsSettings, folder: Path) -> ssl.SSLContext | None:
    """Return the server's TLS settings (security profile 2: TLS 1.2 or newer), or None; paths are relative to `folder`.

    Raises: UsageError where certificate or key cannot be used.
    """
    if settings.security_profile != 2 or settings.certificate is None or settings.private_key is None:
        return None
    certificate, key = folder / settings.certificate, folder / settings.private_key
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        raise UsageError(f"csms.certificate = {certificate}, csms.private_key = {key}: {error}") from None
    return context
