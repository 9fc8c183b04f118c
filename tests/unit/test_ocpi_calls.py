"""How an answer of a registered platform is taken that is not in OCPI's form."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bench.adapters.ids import SeededIds
from bench.cso.ocpi.calls import Answer, Calls, why
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.registry import Party, Platform
from bench.errors import PeerError
from bench.wire.ocpi.transport import PartyId
from tests.support import MemoryJournal


class _Fixed:
    """A transport with one answer."""

    def __init__(self, status: int, body: bytes) -> None:
        self._answer = status, body

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> tuple[int, dict[str, str], bytes]:
        """Give it."""
        return self._answer[0], {}, self._answer[1]


async def _call(status: int, body: bytes) -> Answer:
    calls = Calls(_Fixed(status, body), SeededIds(1, "calls"), PartyId("NL", "BEN"), Findings(MemoryJournal()), ())
    platform = Platform("token-in", "token-out", "http://peer/versions", "2.3.0", (Party(PartyId("ES", "MSP"), "EMSP"),))
    return await calls.call("PATCH", "http://peer/sessions/NL/BEN/S-1", platform, {})


@pytest.mark.parametrize("body", [b'{"detail": "Not found"}', b"Not Found", b""])
async def test_an_http_error_without_an_envelope_is_a_refusal(body: bytes) -> None:
    """transport, PATCH: one that fails is followed by a PUT, also where a web framework answers in OCPI's place."""
    answer = await _call(404, body)
    assert not answer.ok
    assert why(answer) == "HTTP 404 without an OCPI status_code"


@pytest.mark.parametrize("status", [200, 307, 502])
async def test_anything_else_without_an_envelope_is_no_answer(status: int) -> None:
    """A success must say so, a redirect is not followed, and behind a gateway nobody has answered."""
    with pytest.raises(PeerError, match=f"HTTP {status} without an OCPI status_code"):
        await _call(status, b"")
