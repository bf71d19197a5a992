"""Capabilities: what a request may ask of a loaded model, also of a model in another process."""

from dataclasses import dataclass

from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from transcription.config import InferenceConfig
from transcription.errors import InvalidRequest


@dataclass(frozen=True)
class Capabilities:
    """languages: codes, empty for an English-only model. assisted: whether an assistant is loaded."""

    languages: tuple[str, ...]
    assisted: bool

    def check(self, config: InferenceConfig) -> str | None:
        """Return the language code of the request, or None if the language is to be detected.

        Raises InvalidRequest if the model cannot do what the request asks for.
        """
        if config.assisted is True and not self.assisted:
            raise InvalidRequest("assisted needs an assistant: set ASSISTANT_MODEL, or leave assisted out", "assisted")
        self.candidate_languages(config)
        if config.task == "translate" and not self.languages:
            raise InvalidRequest("this model is English only: task translate needs a multilingual one", "task")
        return None if config.language is None or config.detects_language else self._code(config.language, "language")

    def candidate_languages(self, config: InferenceConfig) -> list[str]:
        """Return the codes among which the language is detected; empty means all.

        Raises InvalidRequest if the model does not know one of them.
        """
        return list(dict.fromkeys(self._code(name, "languages") for name in config.languages))

    def _code(self, language: str, param: str) -> str:
        """Return the code of a language given by its code or its English name."""
        name = language.strip().lower()
        code: str = TO_LANGUAGE_CODE.get(name, name)
        if self.languages and code not in self.languages:
            known = ", ".join(sorted(self.languages)[:100])
            raise InvalidRequest(f"the model does not know the language {name[:20]!r}: choose one of {known}", param)
        if not self.languages and code != "en":
            raise InvalidRequest(f"this model is English only: leave {param} out, or send en", param)
        return code
