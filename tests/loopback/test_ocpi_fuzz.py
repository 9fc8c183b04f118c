"""Whatever is sent to an endpoint of our own OpenAPI, the answer is in the form of OCPI, and no 5xx (status codes)."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core import NOT_SET
from schemathesis.core.result import Ok

from bench.adapters.clock import VirtualLoop
from bench.adapters.json_store import JsonStore
from bench.cso.ocpi.app import ocpi_api
from bench.wire.ocpi.transport import encode_token
from tests.ocpi_rig import OcpiRig, open_ocpi_rig

WAIT_S = 10
EXAMPLES = 2000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 12
ENVELOPED = {200, 201, 400, 401, 404, 405, 413}
"""What an HTTP status may be: a request that is authenticated and can be parsed is answered 200 for its content."""


@dataclass(slots=True)
class Opened:
    """The CPO with a session, on a loop of its own, so that examples can be sent one by one."""

    runner: asyncio.Runner
    rig: OcpiRig
    session_id: str
    token: str

    def ask(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Send one request as the registered platform."""
        headers = {"authorization": encode_token(self.token)}
        headers |= {"x-request-id": "r", "x-correlation-id": "c", "content-type": "application/json"}
        answer = self.rig.transport.request(method, f"http://cso.bench{path}", headers, body, WAIT_S)
        status, _, text = self.runner.run(answer)
        found: dict[str, Any] = json.loads(text)
        return status, found


@contextmanager
def _open(**options: Any) -> Iterator[Opened]:
    """Open the CPO with one running session."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        stack = AsyncExitStack()
        rig = runner.run(stack.enter_async_context(open_ocpi_rig(**options)))
        session_id = runner.run(rig.session())
        yield Opened(runner, rig, session_id, rig.cpo.platform.registry.platforms[0].token_in)
        runner.run(stack.aclose())


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Return the CPO with one running session."""
    with _open() as found:
        yield found


def _operations() -> list[Any]:
    async def schema() -> dict[str, Any]:
        async with open_ocpi_rig(register=False) as rig:
            return ocpi_api(rig.cpo.platform).openapi()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        whole = schemathesis.openapi.from_dict(runner.run(schema()))
    return [found.ok() for found in whole.get_all_operations() if isinstance(found, Ok)]


OPERATIONS = _operations()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method.upper()} {one.path}")
def test_no_request_breaks_an_endpoint(opened: Opened, operation: Any) -> None:
    """Right and wrong objects alike: an envelope with a status code, no 5xx, no hang."""
    _fuzz(opened, operation, EXAMPLES)


def test_no_request_breaks_what_is_kept(tmp_path: Path) -> None:
    """With a store, one endpoint after another: the same holds, and what was kept can be read by who comes after."""
    store = JsonStore(tmp_path / "ocpi.json")
    with _open(store=store) as opened:
        for operation in sorted(OPERATIONS, key=lambda one: one.path.endswith("/credentials")):  # one may end the registration
            _fuzz(opened, operation, EXAMPLES // 12)
        known = opened.rig.cpo.platform.registry.platforms
        told = [one.plain() for one in opened.rig.cpo.platform.tokens.all()]

    async def after() -> None:
        async with open_ocpi_rig(register=False, store=store) as rig:
            assert [one.token_in for one in rig.cpo.platform.registry.platforms] == [one.token_in for one in known]
            assert [one.plain() for one in rig.cpo.platform.tokens.all()] == told

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(after())


def _fuzz(opened: Opened, operation: Any, examples: int) -> None:
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

    @settings(suppress_health_check=list(HealthCheck), max_examples=examples)
    @given(case=cases, known=st.booleans())
    def sends(case: Any, known: bool) -> None:
        path = case.path
        for name, value in (case.path_parameters or {}).items():
            given_id = opened.session_id if known and name == "session_id" else value
            path = path.replace(f"{{{name}}}", quote(str(given_id), safe=""))
        query = urlencode(case.query or {}, doseq=True)
        body = b"" if case.body is NOT_SET else json.dumps(case.body, default=str).encode(errors="surrogatepass")
        status, envelope = opened.ask(case.method, f"{path}?{query}" if query else path, body)
        assert status in ENVELOPED, (status, envelope)
        assert isinstance(envelope["status_code"], int)
        assert (status in (200, 201)) or envelope["status_code"] >= 2000

    sends()
