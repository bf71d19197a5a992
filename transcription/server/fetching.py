"""Recordings that a request names by address: from allowed hosts alone, and never from inside our network."""

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

_REDIRECTS = 3
_SECONDS = 60.0  # for all of it
_TIMEOUT = {"timeout": {"connect": 10.0, "read": 10.0, "write": 10.0, "pool": 10.0}}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Address) -> bool:
    """Whether an address lies outside of every private, local and reserved network, however it is wrapped."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
    site_local = isinstance(address, ipaddress.IPv6Address) and address.is_site_local
    return address.is_global and not (address.is_multicast or address.is_reserved or site_local)


class Fetcher:
    """Downloads over http(s) from the hosts of a list."""

    def __init__(self, hosts: Iterable[str], allowed: Callable[[Address], bool] = is_public) -> None:
        """hosts: names, or *.example.org for all below. allowed: which addresses these may resolve to."""
        self.hosts = tuple(host.lower() for host in hosts)
        self._backend = _Checked(allowed)

    async def fetch(self, url: str, most: int) -> IO[bytes]:
        """What lies at `url`, at most so many bytes. Whoever gets the file closes it. Raises ApiError."""
        try:
            async with asyncio.timeout(_SECONDS), httpcore.AsyncConnectionPool(network_backend=self._backend) as pool:
                for _ in range(_REDIRECTS + 1):
                    self._check(url)
                    async with pool.stream("GET", _target(url), extensions=_TIMEOUT) as response:
                        target = _redirect(response)
                        if target is None:
                            return await to_file(_counted(response, most))
                    url = urljoin(url, target)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError, ValueError):
            raise _unusable("the audio could not be downloaded: is the address right?") from None
        raise _unusable("the address redirects too often")

    def _check(self, url: str) -> None:
        """Raises ApiError unless the address is one that may be asked."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise _unusable("the address is no URL") from None
        if parts.scheme not in ("http", "https") or not host or parts.username is not None or not url.isascii():
            raise _unusable("audio_url takes data: URLs, and http(s) addresses without a user name")
        if not any(fnmatchcase(host, pattern) for pattern in self.hosts):
            raise _unusable("this host may not be asked for audio: send the audio itself, or set AUDIO_URL_HOSTS")


class _Checked(httpcore.AsyncNetworkBackend):
    """Connects to the very address that was checked, so that no second answer of the name service can differ."""

    def __init__(self, allowed: Callable[[Address], bool]) -> None:
        self._allowed = allowed
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *options: Any, **named: Any) -> httpcore.AsyncNetworkStream:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(one[4][0]) for one in found]
        if not addresses or not all(self._allowed(ipaddress.ip_address(one)) for one in addresses):
            raise _unusable("this host lies in a private network: send the audio itself")
        return await self._backend.connect_tcp(addresses[0], port, *options, **named)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _target(url: str) -> httpcore.URL:
    """The address with all of its path: httpcore itself would drop what follows a semicolon."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=path)


def _redirect(response: httpcore.Response) -> str | None:
    """Where to look instead, None where it is here. Raises ApiError."""
    if response.status in (301, 302, 303, 307, 308):
        places = [value for name, value in response.headers if name.lower() == b"location"]
        return places[0].decode("latin-1") if places else ""
    if response.status != 200:
        raise _unusable(f"the audio's host answered with status {response.status}")
    return None


async def _counted(response: httpcore.Response, most: int) -> AsyncIterator[bytes]:
    """The body in chunks, up to `most` bytes of it. Raises ApiError."""
    count = 0
    async for chunk in response.aiter_stream():
        count += len(chunk)
        if count > most:
            raise ApiError(413, "audio_too_long", f"the audio is larger than the {most} bytes allowed here", "url")
        yield chunk


def _unusable(message: str) -> ApiError:
    return ApiError(400, "invalid_audio_url", message, "url")
