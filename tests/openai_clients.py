"""OpenAI's client, and what the service answers without HTTP."""

from typing import Any

import openai

from tests.conftest import SAMPLES
from tests.serving import Running
from transcription.audio import decode_audio
from transcription.config import InferenceConfig
from transcription.transcriber import Transcriber
from transcription.transcript import Transcript

SHORT, MEETING, LONG, GERMAN = (SAMPLES[name].path for name in ("short", "meeting", "long", "german"))


def openai_client(url: str) -> openai.OpenAI:
    """Return OpenAI's client of the server at `url`. It never retries."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def transcribed(server: Running, path: Any = SHORT, **config: Any) -> Transcript:
    """Return the transcript of the same service without HTTP."""
    transcriber: Transcriber = server.service.transcriber
    return transcriber.transcribe(decode_audio(path.read_bytes()), InferenceConfig(**config))
