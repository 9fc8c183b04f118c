"""Which addresses of a peer the bench calls."""

from __future__ import annotations

import pytest

from bench.wire.ocpi.url import hide_secrets, hide_token_uid, not_to_be_called, plain_host, web_host


def test_scheme_and_host_of_a_web_address_are_known() -> None:
    """Case of the host does not matter, port and path neither."""
    assert web_host("https://Peer.Bench:8443/ocpi?x=1") == ("https", "peer.bench")
    assert web_host("http://[::1]:80/") == ("http", "::1")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/", "http://127.0.0.1:65536/", "http://127.0.0.1:-1/", "http://127.0.0.1:x/", "http://[::1",
        "http://user:word@peer/", "http://@peer/", "http://127.0.0.1\\@peer/", "ftp://peer/", "http:///x", "",
        "http://127.0.0\t.1/", "http://127.0.0.1/\r\nx", "http://peer/a b", "http://peer/\u202e", "http://peer/\ud800",
        "http://2852039166/", "http://0xa9fea9fe/", "http://169.254.43518/", "http://0251.0376.1.1/", "http://p\u00e9er/", "http://[fe80::1%]/",
        "http://peer%2e/", "http://a..b/",
    ],
)  # fmt: skip
def test_an_address_that_can_be_read_in_two_ways_is_none(url: str) -> None:
    """Impossible ports, user names, control characters, other schemes, hosts as numbers and letters beyond ASCII."""
    assert web_host(url) is None


@pytest.mark.parametrize("text", ['{"url": "http://user:w@rd@peer/v"}', '{"url": "http:\\/\\/user:word@peer\\/v"}'])
def test_user_names_are_hidden_in_a_text(text: str) -> None:
    """Also in JSON with escaped slashes; the rest stays as it is."""
    hidden = hide_secrets(text)
    assert "user" not in hidden
    assert "rd" not in hidden
    assert "(hidden)@peer" in hidden
    assert hide_secrets('{"url": "http://peer/a@b", "mail": "a@b"}') == '{"url": "http://peer/a@b", "mail": "a@b"}'


def test_a_host_has_one_form() -> None:
    """Names and addresses are compared by it."""
    assert [plain_host(one) for one in ("Peer.Bench.", "0:0::1", "::FFFF:10.0.0.1", "fe80::1%25eth0")] == [
        "peer.bench", "::1", "10.0.0.1", "fe80::1",
    ]  # fmt: skip


@pytest.mark.parametrize("url", ["http://PEER.bench:81/x", "https://peer.bench./x", "http://results.bench/1"])
def test_a_token_goes_to_its_platforms_host_and_to_those_that_are_allowed(url: str) -> None:
    """At any port, and from http up to https."""
    assert not_to_be_called(url, "http://peer.bench/versions", ("results.bench",)) == ""


@pytest.mark.parametrize(
    ("url", "home", "why"),
    [
        ("http://other/x", "http://peer/v", "other is not the platform's host, peer"),
        ("http://peer.evil/x", "http://peer/v", "not the platform's host"),
        ("http://peer/x", "https://peer/v", "the platform's own address is https"),
        ("http://results/x", "https://peer/v", "the platform's own address is https"),
        ("file://peer/x", "http://peer/v", "no http or https address"),
    ],
)
def test_a_token_goes_nowhere_else(url: str, home: str, why: str) -> None:
    """And never from https down to http, allowed or not."""
    assert why in not_to_be_called(url, home, ("results",))


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254", "192.0.0.192", "[::ffff:0:169.254.169.254]",
        "[fe80::1]", "Metadata.Google.Internal", "[fd00:ec2::254]", "[fd20:ce::254]",
        "[::ffff:169.254.169.254]", "[::169.254.169.254]", "[64:ff9b::169.254.169.254]", "[64:ff9b:1::a9fe:a9fe]",
        "[64:ff9b::100.100.100.200]", "[2002:a9fe:a9fe::1]", "[2002:a9fe:0101::]", "[2001:0:a9fe:a9fe::]",
        "[2001:0:102:304:0:0:5601:5601]",
    ],
)  # fmt: skip
def test_a_metadata_service_is_nobodys_host(host: str) -> None:
    """Also where it is the platform's own word, or an address of IPv6 leads to it: mapped, compatible, by NAT64, 6to4 or Teredo.
    Only a setting can make it so."""
    url = f"http://{host}/latest"
    assert "link-local or a cloud's metadata" in not_to_be_called(url, url)
    assert not_to_be_called(url, url, (plain_host(host.strip("[]")),)) == ""


@pytest.mark.parametrize("host", ["[64:ff9b::10.0.0.1]", "[2002:a00:1::1]", "[::1]", "[fd00::1]", "192.168.1.1"])
def test_a_lab_may_have_any_other_address(host: str) -> None:
    """Private ones and this computer's, translated or not."""
    assert not_to_be_called(f"http://{host}/x", f"http://{host}/v") == ""


@pytest.mark.parametrize("name", ["token", "access_token", "Api-Key", "client_secret", "password", "X-Amz-Signature"])
def test_secrets_in_a_query_are_hidden(name: str) -> None:
    """By their names; what else stands there is evidence."""
    text = f'{{"url": "http://peer/v?id=7&{name}=hush%20hush&page=2#x"}}'
    assert hide_secrets(text) == f'{{"url": "http://peer/v?id=7&{name}=(hidden)&page=2#x"}}'
    assert hide_secrets("http://peer/v?token_type=RFID&type=APP_USER") == "http://peer/v?token_type=RFID&type=APP_USER"


@pytest.mark.parametrize(
    "text",
    [
        "PUT /ocpi/2.3.0/tokens/NL/EVL/CARD-1: x-request-id is missing",
        "PUT /ocpi/2.3.0/tokens/NL//EVL//CARD-1: x-request-id is missing",
        "answer to POST http://peer/tokens/CARD-1/authorize?type=RFID: x-request-id is missing",
    ],
)
def test_a_uid_is_hidden_within_a_text(text: str) -> None:
    """What follows the address is kept."""
    hidden = hide_token_uid(text)
    assert "CARD" not in hidden
    assert hidden.endswith(" is missing")
