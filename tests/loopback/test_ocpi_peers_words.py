"""The lines that a mock peer tells: in the order of the exchange, with the CSO's reason, and readable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import PeerError
from bench.peers.msp import MockMsp
from bench.peers.scsp import MockScsp
from bench.wire.ocpi.transport import VERSIONS
from tests.ocpi_peers import BASE, open_scripted

pytestmark = pytest.mark.virtual
FIXTURES = Path(__file__).parents[2] / "fixtures/ocpi"


async def test_a_result_is_told_after_the_answer_that_it_overtakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CSO may post it before its answer has been read."""
    async with open_scripted(MockScsp, "2.3.0") as (peer, cso):
        notes: list[str] = []
        peer.on_note, call = notes.append, peer.call

        async def read_late(*arguments: Any, **options: Any) -> Any:
            answer = await call(*arguments, **options)
            await cso.post(cso.response_url, {"result": "ACCEPTED"})
            return answer

        monkeypatch.setattr(peer, "call", read_late)
        await peer.delete("S-1")
        assert notes == ["DELETE on S-1: ACCEPTED, result within 30 s", "result of DELETE on S-1: ACCEPTED"]


async def test_the_reason_of_a_refusal_is_told() -> None:
    """The envelope's status_message stands beside REJECTED."""
    async with open_scripted(MockScsp, "2.3.0") as (peer, cso):
        notes: list[str] = []
        peer.on_note = notes.append
        refused = {"result": "REJECTED", "timeout": 0}
        cso.answers["DELETE chargingprofiles"] = (200, {"status_code": 1000, "status_message": "another writes", "data": refused})
        await peer.delete("S-1")
        assert notes == ["DELETE on S-1: REJECTED (another writes)"]


async def test_a_refusal_without_ocpi_s_form_is_told_with_its_reason() -> None:
    """A web framework's own answer: HTTP status, and what it has to say."""
    async with open_scripted(MockScsp, "2.3.0") as (peer, cso):
        notes: list[str] = []
        peer.on_note = notes.append
        rows = [{"type": "missing", "loc": ["body", "charging_profile", "min_charge_rate"], "msg": "Field required"}]
        cso.answers["PUT chargingprofiles"] = (422, {"detail": rows})
        await peer.send_plan("S-1", {})
        assert notes[-1] == "PUT on S-1: HTTP 422, no status_code (body.charging_profile.min_charge_rate: Field required)"


async def test_a_registration_that_is_refused_names_the_reason_of_the_cso() -> None:
    """Whoever runs the peer reads what is missing."""
    async with open_scripted(MockScsp, "2.3.0") as (peer, cso):
        cso.answers["DELETE credentials"] = (422, {"detail": "no such party"})
        with pytest.raises(PeerError, match=r"credentials: HTTP 422, no status_code \(no such party\)$"):
            await peer.unregister()


async def test_a_reason_that_repeats_a_token_is_told_without_it() -> None:
    """Neither the token that was sent nor the one that the CSO has of us."""
    async with open_scripted(MockScsp, "2.3.0") as (peer, cso):
        notes: list[str] = []
        peer.on_note = notes.append
        why = f"{peer.cso().token} may not steer, {peer.token_b} neither"
        cso.answers["PUT chargingprofiles"] = (403, {"detail": why})
        refused = {"result": "REJECTED", "timeout": 0}
        cso.answers["DELETE chargingprofiles"] = (200, {"status_code": 1000, "status_message": why, "data": refused})
        await peer.send_plan("S-1", {})
        await peer.delete("S-1")
        said = "(token) may not steer, (token) neither"
        told = [one for one in notes if not one.startswith("FINDING")]
        assert told == [f"PUT on S-1: HTTP 403, no status_code ({said})", f"DELETE on S-1: REJECTED ({said})"]


@pytest.mark.parametrize(
    ("version", "price", "told"),
    [
        ("2.2.1", {"excl_vat": 0.5, "incl_vat": 0.605}, "0.5 EUR without taxes, 0.605 with"),
        ("2.2.1", {"excl_vat": 0.5}, "0.5 EUR without taxes"),
        ("2.3.0", {"before_taxes": 0.5, "taxes": [{"name": "VAT", "amount": 0.105}]}, "0.5 EUR without taxes, 0.605 with"),
        ("2.3.0", {"before_taxes": 0.5}, "0.5 EUR without taxes"),
    ],
)
async def test_the_cost_of_a_cdr_is_told_in_words(version: str, price: dict[str, Any], told: str) -> None:
    """A Price of either version, with its taxes where it has them."""
    async with open_scripted(MockMsp, version) as (peer, cso):
        notes: list[str] = []
        peer.on_note = notes.append
        cdr = json.loads((FIXTURES / version / "cdr.json").read_text()) | {"total_cost": price, "currency": "EUR"}
        await cso.send("POST", "cdrs", cdr)
        assert notes[-1] == f"POST cdr CDR-1001: {cdr['total_energy']} kWh, {told}"


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_role_of_the_credentials_endpoint_is_disregarded(version: str) -> None:
    """version information, Endpoint: a CSO may list its credentials as RECEIVER; the peer registers, renews and leaves there."""
    async with open_scripted(MockScsp, version) as (peer, cso):
        await peer.unregister()
        cso.modules[0] = ("credentials", "RECEIVER")
        await peer.register(f"{BASE}/ocpi/versions", "token-a")
        await peer.renew()
        await peer.unregister()
        assert [one[0] for one in cso.asked if "/credentials" in one[1]][-3:] == ["POST", "PUT", "DELETE"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((200, {"status_code": 1000, "data": "DEPARTURE_REQUIRED"}), "DEPARTURE_REQUIRED"),
        ((404, {"status_code": 2001, "status_message": "not capable"}), "HTTP 404, status_code 2001 (not capable)"),
    ],
)
async def test_the_answer_to_preferences_is_told(answer: tuple[int, dict[str, Any]], told: str) -> None:
    """The word, or how it was refused and why."""
    async with open_scripted(MockMsp, "2.3.0") as (peer, cso):
        notes: list[str] = []
        peer.on_note = notes.append
        cso.answers["PUT sessions"] = answer
        await peer.set_preferences("S-1", {"profile_type": "GREEN"})
        assert notes == [f"preferences of S-1: {told}"]
