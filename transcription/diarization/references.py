"""The voices of known speakers, from samples of their speech."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from transcription.audio import Audio, AudioLimits, decode_base64, load_audio
from transcription.config import KnownSpeaker
from transcription.diarization.stretches import Floats, Hook, Parts, chunks_of, cluster, embed_pieces
from transcription.errors import AudioTooLong, InvalidAudio, InvalidRequest
from transcription.transcript import Voiceprint

PARAMETER = "known_speakers"
MIN_SECONDS, MAX_SECONDS = 2.0, 30.0
"""Length of a sample."""
MIN_SPEECH = 1.0
"""Seconds of speech in a sample."""
PIECE_SECONDS, MIN_PIECE_SIMILARITY = 1.5, 0.35
"""Pieces of speech in a sample, and the lowest cosine similarity of two of them. Of 52 clips of one person none has
less than 0.41; of 23 samples of two people, 20 are refused (benchmarks/README.md)."""
MAX_SAMPLE_BYTES = 12 * 1024 * 1024  # of a file: 30 s of stereo at 48 kHz and 32 bits
_TOLERANCE = 0.1  # seconds, by which encoders change the length
_ADVICE = "send 2 to 30 s in which only this person talks"


def decode_sample(known: KnownSpeaker) -> Audio:
    """Return the audio of a sample. Raises InvalidRequest, whose message names the speaker, if there is none."""
    limits = AudioLimits(MAX_SAMPLE_BYTES, MAX_SECONDS + _TOLERANCE)
    try:
        audio = load_audio(decode_base64(str(known.reference), limits), limits)
    except AudioTooLong:
        raise problem(known, "is too long") from None
    except InvalidAudio:
        raise problem(known, "is no audio file as base64 text or data URI") from None
    if audio.duration < MIN_SECONDS - _TOLERANCE:
        raise problem(known, f"is too short: it has {audio.duration:.1f} s")
    return audio


def problem(known: KnownSpeaker, what: str, advice: str = _ADVICE) -> InvalidRequest:
    """Return the error of a reference that cannot be used."""
    return InvalidRequest(f"{PARAMETER}: the sample of {known.name!r} {what}: {advice}", PARAMETER)


def voice_of_sample(parts: Parts, known: KnownSpeaker, sample: Audio, hook: Hook) -> Floats:
    """Return the embedding of the voice in a sample.

    Raises InvalidRequest if nobody talks in it, or several people.
    """
    chunks = chunks_of(parts, sample.samples, sample.sample_rate, hook)
    speech = cluster(parts, chunks, {"max_speakers": 1}).exclusive
    seconds = sum(turn.end - turn.start for turn in speech)
    if seconds < MIN_SPEECH:
        raise problem(known, "has less than a second of speech" if seconds else "has no speech")
    if has_several_voices(embed_pieces(parts, sample, chunks, PIECE_SECONDS, hook)):
        raise problem(known, "has several voices")
    embeddings, weights = chunks.embeddings, np.where(np.isnan(chunks.embeddings).any(axis=2), 0, chunks.alone)
    if not weights.any():
        raise problem(known, "has no clear speech")
    unit = np.nan_to_num(embeddings / np.maximum(np.linalg.norm(embeddings, axis=2, keepdims=True), 1e-9))
    return np.asarray((unit * weights[..., None]).sum(axis=(0, 1)))


def has_several_voices(pieces: Floats) -> bool:
    """Return whether the embeddings of a sample's pieces (pieces, dimension) are those of different people."""
    unit = pieces / np.maximum(np.linalg.norm(pieces, axis=1, keepdims=True), 1e-9)
    return len(unit) > 1 and float((unit @ unit.T).min()) < MIN_PIECE_SIMILARITY


def embedding_identity(pipeline: Any) -> str:
    """Return a name of the embedding model of a pipeline that only the same weights have."""
    digest = hashlib.sha256()
    for name, module in sorted(vars(getattr(pipeline, "_embedding", pipeline)).items()):
        if isinstance(module, torch.nn.Module):
            for key, value in sorted(module.state_dict().items()):
                digest.update(f"{name}.{key}".encode())
                digest.update(np.ascontiguousarray(value.detach().float().cpu().numpy()).tobytes())
    digest.update(str(type(getattr(pipeline, "_embedding", None)).__name__).encode())
    return f"sha256:{digest.hexdigest()[:32]}"


def check_embedding(known: Sequence[KnownSpeaker], embedding: str) -> None:
    """Raise InvalidRequest if a voiceprint is of another embedding model."""
    for one in known:
        if isinstance(one.reference, Voiceprint) and one.reference.embedding != embedding:
            raise InvalidRequest(
                f"{PARAMETER}: the voiceprint of {one.name!r} is of another embedding model: make it with this one",
                PARAMETER,
            )
