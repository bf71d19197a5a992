"""API keys: who may call the service."""

import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from transcription.server.api_errors import ApiError
from transcription.server.service import service_of

_BEARER = HTTPBearer(auto_error=False, description="one of API_KEYS, where any are set")


async def authorised(request: Request, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
    """Lets in who has one of the keys. Raises ApiError."""
    keys = [key.get_secret_value().encode() for key in service_of(request).settings.api_keys]
    given = sent.credentials.encode() if sent else b""
    matches = [hmac.compare_digest(given, key) for key in keys]  # all of them: time says nothing of which
    if keys and not any(matches):
        raise ApiError(401, "invalid_api_key", "send one of the service's API keys as Authorization: Bearer")
