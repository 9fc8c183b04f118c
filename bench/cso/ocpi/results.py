"""The asynchronous result of what a party asked for: a POST to its response_url, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.cso.ocpi.calls import Calls, why
from bench.cso.ocpi.findings import Findings
from bench.cso.ocpi.registry import Platform
from bench.errors import PeerError
from bench.wire.ocpi.transport import PartyId


async def post_result(
    calls: Calls, findings: Findings, platform: Platform, party: PartyId, url: str, body: Mapping[str, Any]
) -> None:
    """Deliver a result; that it did not arrive is a finding, and nothing more: OCPI knows no second attempt."""
    try:
        answer = await calls.call("POST", url, platform.token_out, body, to=party)
    except PeerError as error:
        findings.tell("result_not_delivered", str(error))
        return
    if not answer.ok:
        findings.tell("result_refused", f"POST {url}: {why(answer)}")
