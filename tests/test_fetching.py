"""Recordings by address: from hosts that were named, never from inside."""

import asyncio
import http.server
import ipaddress
import threading
from collections.abc import Iterator

import pytest

from transcription.server.api_errors import ApiError
from transcription.server.fetching import Fetcher, is_public


class _Shelf(http.server.BaseHTTPRequestHandler):
    """Some recordings, and addresses that lead to them, astray, or nowhere."""

    def do_GET(self) -> None:
        redirects = {
            "/moved": "/sound",
            "/inside": "http://other.example/sound",
            "/round": "/round",
            "/file": "file:///etc",
        }
        if self.path in redirects:
            self.send_response(302)
            self.send_header("Location", redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        found = self.path == "/sound"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(5 if found else 0))
        self.end_headers()
        self.wfile.write(b"sound" if found else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def shelf() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Shelf) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetched(url: str, most: int = 100, hosts: tuple[str, ...] = ("127.0.0.1",), anywhere: bool = True) -> bytes:
    async def fetch() -> bytes:
        with await Fetcher(hosts, (lambda _: True) if anywhere else is_public).fetch(url, most) as file:
            return file.read()

    return asyncio.run(fetch())


def test_a_recording_is_fetched_also_where_it_was_moved(shelf: str) -> None:
    assert [fetched(shelf + path) for path in ("/sound", "/moved")] == [b"sound"] * 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nothing", "the host of the audio responded with status 404"),
        ("/inside", "this host is not allowed"),
        ("/round", "the URL redirects too often"),
        ("/file", "audio_url must be a data: URL"),
    ],
)
def test_where_it_leads_astray_it_is_not_followed(shelf: str, path: str, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        fetched(shelf + path)


def test_too_much_is_not_read(shelf: str) -> None:
    with pytest.raises(ApiError) as caught:
        fetched(f"{shelf}/sound", most=4)
    assert caught.value.status == 413


def test_an_allowed_name_that_leads_inside_is_refused(shelf: str) -> None:
    port = shelf.rsplit(":", 1)[1]
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
        with pytest.raises(ApiError, match=r"^this host is in a private network"):
            fetched(f"http://{host}:{port}/sound", hosts=(host.strip("[]"),), anywhere=False)


def test_where_nobody_listens_it_says_so() -> None:
    with pytest.raises(ApiError, match=r"^the audio cannot be downloaded"):
        fetched("http://127.0.0.1:1/sound")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/x", "http:///x", "http://user:word@a.example/x", "http://a.example:port/x", "https://[x/", "http://ä.example",
        "http://.c.example/x",
        "http://b.example/x", "http://a.example.evil/x",
    ],
)  # fmt: skip
def test_only_plain_addresses_of_named_hosts_are_asked(url: str) -> None:
    with pytest.raises(ApiError) as caught:
        fetched(url, hosts=("a.example", "*.c.example"))
    assert caught.value.reason == "invalid_audio_url"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "::1", "fe80::1", "fec0::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_what_is_not_public_is_known_in_every_dress(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_what_is_public_is_known_too(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
