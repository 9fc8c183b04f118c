"""HTTP to OCPI peers: httpx behind the `OcpiTransport` port, and the address book of logical hosts."""

from __future__ import annotations

import asyncio
import logging
import ssl
import zlib
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from bench.adapters.http_server import HttpServer
from bench.errors import PeerError, UsageError
from bench.wire.ocpi.url import hide_secrets, is_address, is_off_limits, plain_host, web_host

logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells each URL, with secrets that may stand in its query

MAX_RESPONSE_BYTES: Final = 4_000_000
_LIMITS: Final = httpx.Limits(max_connections=50, max_keepalive_connections=10, keepalive_expiry=None)
"""A kept connection is dropped by its server; httpcore sees that before it is used again, without a timer of its own."""
_REACHABLE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to connect to a server that listens on all addresses."""


class AddressBook:
    """Where logical hosts such as `cso.bench` are served; any other host is taken as it is."""

    def __init__(self) -> None:
        self._hosts: dict[str, tuple[str, int]] = {}

    @contextmanager
    def entry(self, base_url: str, server: HttpServer) -> Iterator[None]:
        """Enter for a while where the host of a base URL is served, in plain HTTP. One with a port is real and needs no entry."""
        url = httpx.URL(base_url)
        if url.port is not None:
            yield
            return
        former = self._hosts.get(url.host)
        self._hosts[url.host] = (_REACHABLE.get(server.host, server.host), server.port)
        try:
            yield
        finally:
            del self._hosts[url.host]
            if former is not None:
                self._hosts[url.host] = former

    def resolve(self, url: httpx.URL) -> httpx.URL:
        """Return the URL to connect to."""
        known = self._hosts.get(url.host)
        return url if known is None else url.copy_with(scheme="http", host=known[0], port=known[1])


class HttpTransport:
    """Sends requests over kept connections. Redirects are not followed, proxies of the environment are not used.

    A name that leads to a link-local address or to a cloud's metadata service gets no request, unless it is allowed.
    """

    def __init__(
        self, addresses: AddressBook, stack: AsyncExitStack, ca_file: Path | None = None, allow_hosts: Collection[str] = ()
    ) -> None:
        self._addresses, self._stack, self._ca_file = addresses, stack, ca_file
        self._allow_hosts = frozenset(plain_host(one) for one in allow_hosts)
        self._plain: httpx.AsyncClient | None = None
        self._secure: httpx.AsyncClient | None = None

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request; see `bench.ports.OcpiTransport`. `timeout_s` counts from the start to the last byte."""
        try:
            place = web_host(url)
            if place is None:
                raise PeerError(f"{hide_secrets(url)!r} is no http or https address that can be used")
            logical = httpx.URL(url)
            target = self._addresses.resolve(logical)
            client = await self._client(target.scheme)
            watch = target is logical and not is_address(place[1]) and place[1] not in self._allow_hosts
            asked = client.build_request(
                method, target, headers={**headers, "host": logical.netloc.decode()}, content=body or None,
                extensions={"trace": _watch} if watch else None,
            )  # fmt: skip
            async with asyncio.timeout(timeout_s):
                response = await client.send(asked, stream=True)
                try:
                    content = await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise PeerError(f"{method} {url}: no answer within {timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, ValueError, OverflowError, ExceptionGroup) as error:
            raise PeerError(f"{method} {url}: {_tls(url, error) or str(error) or type(error).__name__}") from None
        return response.status_code, {name.lower(): value for name, value in response.headers.items()}, content

    async def _client(self, scheme: str) -> httpx.AsyncClient:
        """Return the client of a scheme; certificates are loaded only once somebody needs them."""
        if scheme == "https":
            if self._secure is None:
                self._secure = await self._open(verify=True)
            return self._secure
        if self._plain is None:
            self._plain = await self._open(verify=False)  # plain HTTP: nothing to verify, so load no certificates
        return self._plain

    async def _open(self, *, verify: bool) -> httpx.AsyncClient:
        trusted = ssl.create_default_context(cafile=self._ca_file) if verify and self._ca_file is not None else verify
        client = httpx.AsyncClient(verify=trusted, trust_env=False, follow_redirects=False, timeout=None, limits=_LIMITS)
        return await self._stack.enter_async_context(client)


async def _watch(event: str, info: Mapping[str, Any]) -> None:
    """Close a new connection to where no token may go; httpcore tells each step of a request. Raises ValueError."""
    if event == "connection.connect_tcp.complete":
        stream = info["return_value"]
        address = plain_host(stream.get_extra_info("server_addr")[0])
        if is_off_limits(address):
            await stream.aclose()
            raise ValueError(
                f"its host leads to {address}, link-local or a cloud's metadata service; allow it by allow_hosts, --allow-host"
            )


def _tls(url: str, error: BaseException | None) -> str:
    """Return what is wrong with a host's TLS, and which option mends a certificate; empty where that is not what failed."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    if isinstance(error, ssl.SSLCertVerificationError):
        named = f"the certificate of {urlsplit(url).hostname} is not trusted: {error.verify_message}"
        return f"{named}; name its authority by --ca-file ([ocpi] ca_file)"
    return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}; is it https?" if error is not None else ""


async def _read(response: httpx.Response) -> bytes:
    content = b""
    async for part in response.aiter_raw():
        content += part
        _bound(content)
    encoding = response.headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return content
    if encoding not in ("gzip", "deflate"):
        raise ValueError(f"Content-Encoding {encoding} is not understood")
    try:
        content = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(content, MAX_RESPONSE_BYTES + 1)
    except zlib.error as error:
        raise ValueError(f"Content-Encoding {encoding}: {error}") from None
    _bound(content)
    return content


def _bound(content: bytes) -> None:
    if len(content) > MAX_RESPONSE_BYTES:
        raise ValueError(f"the response is longer than {MAX_RESPONSE_BYTES} bytes")


@asynccontextmanager
async def open_transport(
    addresses: AddressBook, ca_file: Path | None = None, allow_hosts: Collection[str] = ()
) -> AsyncIterator[HttpTransport]:
    """Open a transport to OCPI peers and close its connections at the end.

    Args:
        ca_file: PEM file with the authorities that peers' certificates are checked by; absent: the well-known ones.
        allow_hosts: names that may lead to a link-local address or to a cloud's metadata service.
    Raises: UsageError where that file cannot be used.
    """
    if ca_file is not None:
        _check_authorities(ca_file)
    async with AsyncExitStack() as stack:
        yield HttpTransport(addresses, stack, ca_file, allow_hosts)


def _check_authorities(ca_file: Path) -> None:
    try:
        ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{ca_file}: no certificates of authorities: {error.strerror or error}") from None
