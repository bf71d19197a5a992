"""API keys: who may use the service."""

import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from transcription.server.api_errors import ApiError
from transcription.server.service import service_of
from transcription.server.settings import ServerSettings

_BEARER = HTTPBearer(auto_error=False, description="one of API_KEYS, if any are set")


async def authorised(request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
    """Check the API key of a request. Raises ApiError if it is missing or wrong."""
    check_key(service_of(request).settings, sent.credentials if sent else "")


def check_key(settings: ServerSettings, sent: str) -> None:
    """Check an API key. Raises ApiError if it is missing or wrong."""
    keys = [key.get_secret_value().encode() for key in settings.api_keys]
    credentials = sent.encode()
    matches = [hmac.compare_digest(credentials, key) for key in keys]  # all keys, so that timing shows nothing
    if keys and not any(matches):
        raise ApiError(401, "invalid_api_key", "send one of the service's API keys as Authorization: Bearer")
