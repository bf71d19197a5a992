"""The server as a whole: who gets in, what is said to those who don't, and what is told of it."""

import httpx

from tests.conftest import SAMPLES
from tests.serving import Running

SHORT = SAMPLES["short"]


def test_it_is_well(server: Running) -> None:
    for path in ("/health", "/ready", "/"):
        answer = httpx.get(server.url + path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
