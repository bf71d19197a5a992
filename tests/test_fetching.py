"""Downloads by URL: from allowed hosts only, and never from a private network."""

import asyncio
import http.server
import ipaddress
import threading
from collections.abc import Iterator

import pytest

from transcription.server.api_errors import ApiError
from transcription.server.fetching import Fetcher, is_public


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves one recording, redirects and errors."""

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
        exists = self.path == "/sound"
        self.send_response(200 if exists else 404)
        self.send_header("Content-Length", str(5 if exists else 0))
        self.end_headers()
        self.wfile.write(b"sound" if exists else b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def fetched(url: str, max_bytes: int = 100, hosts: tuple[str, ...] = ("127.0.0.1",), any_address: bool = True) -> bytes:
    async def fetch() -> bytes:
        with await Fetcher(hosts, (lambda _: True) if any_address else is_public).fetch(url, max_bytes) as file:
            return file.read()

    return asyncio.run(fetch())


def test_download_follows_redirects(host: str) -> None:
    assert [fetched(host + path) for path in ("/sound", "/moved")] == [b"sound"] * 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/nothing", "the host of the audio responded with status 404"),
        ("/inside", "this host is not allowed"),
        ("/round", "the URL redirects too often"),
        ("/file", "audio_url must be a data: URL"),
    ],
)
def test_bad_redirects_and_statuses_are_refused(host: str, path: str, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        fetched(host + path)


def test_download_above_the_limit_is_refused(host: str) -> None:
    with pytest.raises(ApiError) as caught:
        fetched(f"{host}/sound", max_bytes=4)
    assert caught.value.status == 413


def test_allowed_name_of_a_private_address_is_refused(host: str) -> None:
    port = host.rsplit(":", 1)[1]
    for name in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
        with pytest.raises(ApiError, match=r"^this host is in a private network"):
            fetched(f"http://{name}:{port}/sound", hosts=(name.strip("[]"),), any_address=False)


def test_failed_connection_is_an_error() -> None:
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
def test_malformed_urls_and_other_hosts_are_refused(url: str) -> None:
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
def test_private_addresses_are_not_public_in_any_notation(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_public_in_any_notation(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
