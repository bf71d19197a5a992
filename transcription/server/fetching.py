"""Fetcher: downloads audio by its URL, from allowed hosts only and never from a private network."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from fnmatch import fnmatchcase
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

import httpcore

from transcription.server.api_errors import ApiError
from transcription.server.bodies import to_file

_MAX_REDIRECTS = 3
_MAX_SECONDS = 60.0  # of a download
_TIMEOUT = {"timeout": {"connect": 10.0, "read": 10.0, "write": 10.0, "pool": 10.0}}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Address) -> bool:
    """Return whether an address is public, also if it is an IPv4 address inside an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


class Fetcher:
    """Downloads over HTTP(S) from the hosts of a list."""

    def __init__(self, hosts: Iterable[str], is_allowed: Callable[[Address], bool] = is_public) -> None:
        """Take names of hosts, or *.example.org for all subdomains, and a check of the addresses they resolve to."""
        self.hosts = tuple(host.lower() for host in hosts)
        self._backend = _CheckedBackend(is_allowed)

    async def fetch(self, url: str, max_bytes: int) -> IO[bytes]:
        """Return the content of a URL. The caller closes the file.

        Raises ApiError if the URL is not allowed, cannot be downloaded or has more than `max_bytes`.
        """
        try:
            async with (
                asyncio.timeout(_MAX_SECONDS),
                httpcore.AsyncConnectionPool(network_backend=self._backend) as pool,
            ):
                for _ in range(_MAX_REDIRECTS + 1):
                    self._check(url)
                    async with pool.stream("GET", _target(url), extensions=_TIMEOUT) as response:
                        location = _redirect_location(response)
                        if location is None:
                            return await to_file(_limited(response, max_bytes))
                    url = urljoin(url, location)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError, ValueError):
            raise _invalid_url("the audio cannot be downloaded: check the URL") from None
        raise _invalid_url("the URL redirects too often")

    def _check(self, url: str) -> None:
        """Check a URL. Raises ApiError if it is malformed or its host is not allowed."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise _invalid_url("the URL is malformed") from None
        if parts.scheme not in ("http", "https") or not host or parts.username is not None or not url.isascii():
            raise _invalid_url("audio_url must be a data: URL, or an http(s) URL without a user name")
        if not any(fnmatchcase(host, pattern) for pattern in self.hosts):
            raise _invalid_url("this host is not allowed: send the audio itself, or add the host to AUDIO_URL_HOSTS")


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the address that was checked. A second DNS query could return another one (DNS rebinding)."""

    def __init__(self, is_allowed: Callable[[Address], bool]) -> None:
        self._is_allowed = is_allowed
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *options: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(info[4][0]) for info in infos]
        if not addresses or not all(self._is_allowed(ipaddress.ip_address(address)) for address in addresses):
            raise _invalid_url("this host is in a private network: send the audio itself")
        return await self._backend.connect_tcp(addresses[0], port, *options, **named)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _target(url: str) -> httpcore.URL:
    """Return the URL with its whole path: httpcore drops what follows a semicolon."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=path)


def _redirect_location(response: httpcore.Response) -> str | None:
    """Return the URL that a response redirects to, None if it does not. Raises ApiError for an error status."""
    if response.status in (301, 302, 303, 307, 308):
        locations = [value for name, value in response.headers if name.lower() == b"location"]
        return locations[0].decode("latin-1") if locations else ""
    if response.status != 200:
        raise _invalid_url(f"the host of the audio responded with status {response.status}")
    return None


async def _limited(response: httpcore.Response, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the chunks of a body. Raises ApiError above `max_bytes`."""
    count = 0
    async for chunk in response.aiter_stream():
        count += len(chunk)
        if count > max_bytes:
            raise ApiError(
                413, "audio_too_long", f"the audio is larger than the {max_bytes} bytes allowed here", "messages"
            )
        yield chunk


def _invalid_url(message: str) -> ApiError:
    return ApiError(400, "invalid_audio_url", message, "messages")
