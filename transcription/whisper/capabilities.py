"""Capabilities: what a request may ask of a loaded model, also where the model is loaded elsewhere."""

from dataclasses import dataclass

from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from transcription.config import InferenceConfig
from transcription.errors import InvalidRequest


@dataclass(frozen=True)
class Capabilities:
    """languages: codes, none of an English-only model. assisted: whether an assistant is loaded beside it."""

    languages: tuple[str, ...]
    assisted: bool

    def check(self, config: InferenceConfig) -> str | None:
        """The language's code, None where it is to be detected. Raises InvalidRequest."""
        if config.assisted is True and not self.assisted:
            raise InvalidRequest("assisted needs an assistant: set ASSISTANT_MODEL, or leave assisted out", "assisted")
        self.among(config)
        if config.task == "translate" and not self.languages:
            raise InvalidRequest("this model is English only: task translate needs a multilingual one", "task")
        return None if config.language is None else self._code(config.language, "language")

    def among(self, config: InferenceConfig) -> list[str]:
        """The codes between which the language is detected, none where all are meant. Raises InvalidRequest."""
        return list(dict.fromkeys(self._code(name, "languages") for name in config.languages))

    def _code(self, language: str, param: str) -> str:
        """A language's code, of its code or its English name."""
        name = language.strip().lower()
        code: str = TO_LANGUAGE_CODE.get(name, name)
        if self.languages and code not in self.languages:
            some = ", ".join(sorted(self.languages)[:100])
            raise InvalidRequest(f"language {name[:20]!r} is not one this model knows: {some}", param)
        if not self.languages and code != "en":
            raise InvalidRequest(f"this model is English only: leave {param} out, or send en", param)
        return code
