"""Capabilities: what a request may ask of a loaded model, also of a model in another process."""

from dataclasses import dataclass

from transcription.config import MAX_BEAMS, InferenceConfig
from transcription.errors import InvalidRequest
from transcription.whisper.languages import language_code

DEFAULT_BEAMS = 5
"""Chosen by error rate and time on real speech (benchmarks/README.md, Beam search)."""


@dataclass(frozen=True)
class Capabilities:
    """languages: codes, empty for an English-only model. assisted: whether an assistant is loaded."""

    languages: tuple[str, ...]
    assisted: bool
    max_beams: int = MAX_BEAMS

    def check(self, config: InferenceConfig) -> str | None:
        """Return the language code of the request, or None if the language is to be detected.

        Raises InvalidRequest if the model cannot do what the request asks for.
        """
        if config.assisted is True and not self.assisted:
            raise InvalidRequest("assisted needs an assistant: set ASSISTANT_MODEL, or leave assisted out", "assisted")
        if config.assisted is True and (config.beam_size or 1) > 1:
            raise InvalidRequest("assisted=true needs beam_size 1: speculative decoding is greedy", "assisted")
        if (config.beam_size or 1) > self.max_beams:
            raise InvalidRequest("beam_size above 1 needs another engine: set ENGINE to batching", "beam_size")
        self.candidate_languages(config)
        if config.task == "translate" and not self.languages:
            raise InvalidRequest("this model is English only: task translate needs a multilingual one", "task")
        return None if config.language is None or config.detects_language else self._code(config.language, "language")

    def beam_size(self, config: InferenceConfig) -> int:
        """Return the number of beams: that of the request, or 1 for what decodes greedily, as an assistant drafts."""
        if config.beam_size is not None:
            return config.beam_size
        return 1 if self.assisted else min(DEFAULT_BEAMS, self.max_beams)

    def candidate_languages(self, config: InferenceConfig) -> list[str]:
        """Return the codes among which the language is detected; empty means all.

        Raises InvalidRequest if the model does not know one of them.
        """
        return list(dict.fromkeys(self._code(name, "languages") for name in config.languages))

    def _code(self, language: str, param: str) -> str:
        """Return the code of a language given by its code, its tag or its English name."""
        code = language_code(language, self.languages or ("en",))
        if self.languages and code not in self.languages:
            known = ", ".join(sorted(self.languages)[:100])
            raise InvalidRequest(f"the model does not know the language {code[:20]!r}: choose one of {known}", param)
        if not self.languages and code != "en":
            raise InvalidRequest(f"this model is English only: leave {param} out, or send en", param)
        return code
