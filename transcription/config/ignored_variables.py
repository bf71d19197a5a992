"""IgnoredVariables: environment variables of other software that have no effect here."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_SAME = {"vllm_kv_cache_dtype": "auto", "vllm_use_flashinfer": "0", "whisper_sampling_rate": "16000"}
"""Values that ask for what happens anyway."""


class IgnoredVariables(BaseSettings):
    """Variables of vLLM and of images that are built on it. If one is set, a line in the log says so."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    whisper_sampling_rate: str | None = Field(
        None, description="Nothing: each file has its own sampling rate, and the model needs 16000."
    )
    vllm_kv_cache_dtype: str | None = Field(None, description="Nothing: the cache has the data type of the weights.")
    vllm_attention_backend: str | None = Field(
        None, description="Nothing: ENGINE=batching has its own attention. See ATTN_IMPLEMENTATION."
    )
    vllm_use_flashinfer: str | None = Field(None, description="Nothing: FlashInfer is not used.")

    def names(self) -> list[str]:
        """Return the variables that are set to something else than what happens anyway."""
        values = self.model_dump(exclude_none=True)
        return [name.upper() for name, value in values.items() if value.strip().lower() != _SAME.get(name)]
