"""Load a pipeline of pyannote.audio, and explain why it cannot be loaded.

Works with pyannote.audio 4 (`token`) and 3 (`use_auth_token`).
"""

import contextlib
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from transcription.config import ModelSettings
from transcription.errors import InvalidSettings
from transcription.whisper.loading import display_name

logger = logging.getLogger(__name__)

_NOT_A_PIPELINE = "is not a pyannote pipeline: it has no config.yaml"


def load_pipeline(settings: ModelSettings) -> Any:
    """Load the pyannote pipeline DIARIZATION_MODEL.

    Raises InvalidSettings if it cannot be loaded.
    """
    pipeline_class = _import_pipeline_class()
    name, revision = str(settings.diarization_model), settings.diarization_revision
    token = settings.hf_token.get_secret_value() if settings.hf_token else None
    if Path(name).is_dir() and not Path(name, "config.yaml").is_file():
        raise InvalidSettings(f"DIARIZATION_MODEL {display_name(name)} {_NOT_A_PIPELINE}")
    known = inspect.signature(pipeline_class.from_pretrained).parameters
    options: dict[str, Any] = {"token" if "token" in known else "use_auth_token": token}
    if revision and "revision" in known:
        options["revision"] = revision
    checkpoint = f"{name}@{revision}" if revision and "revision" not in known else name  # the syntax of pyannote 3
    try:
        with _modules_beside(name), contextlib.redirect_stdout(None):  # it prints the message of the error
            pipeline = pipeline_class.from_pretrained(checkpoint, **options)
    except Exception as error:
        raise InvalidSettings(f"DIARIZATION_MODEL {display_name(name)} {_explain(error, name, token)}") from None
    if pipeline is None:  # the result of pyannote 3 for a gated repository
        raise InvalidSettings(f"DIARIZATION_MODEL {name} {_explain_gated(name, token)}")
    return pipeline


@contextlib.contextmanager
def _modules_beside(name: str) -> Iterator[None]:
    """Let a pipeline in a directory find its own modules: those of models/x are named from the parent of models.

    pyannote imports the classes of a checkpoint by the name of their module.
    """
    root = str(Path(name).resolve().parent.parent)
    if not Path(name).is_dir() or root in sys.path:
        yield
        return
    sys.path.append(root)  # at the end, so that it hides no installed package
    try:
        yield
    finally:
        sys.path.remove(root)


def _import_pipeline_class() -> Any:
    os.environ["PYANNOTE_METRICS_ENABLED"] = "0"  # telemetry is on by default
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about file decoders, which are not used here
            from pyannote.audio import Pipeline
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "pyannote":
            raise InvalidSettings(f"DIARIZATION_MODEL needs pyannote.audio, which needs {error.name}") from None
        raise InvalidSettings("DIARIZATION_MODEL needs pyannote.audio: pip install pyannote.audio") from None
    except (ImportError, OSError, RuntimeError):
        logger.exception("pyannote.audio cannot be imported")
        raise InvalidSettings(
            "pyannote.audio cannot be imported: the versions of torch, torchaudio and torchcodec do not match;"
            " see the log"
        ) from None
    return Pipeline


def _explain(error: Exception, name: str, token: str | None) -> str:
    """Return what an error of huggingface_hub, or of a broken checkpoint, means for the deployer."""
    if isinstance(error, GatedRepoError):  # the URL names the repository: a pipeline may need a second one
        return _explain_gated("/".join(str(error.response.url).split("/")[3:5]), token)
    if isinstance(error, RevisionNotFoundError):
        return "has no such DIARIZATION_REVISION"
    if isinstance(error, (RepositoryNotFoundError, HFValidationError)):
        return "does not exist, or HF_TOKEN may not read it"
    if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
        return _NOT_A_PIPELINE
    if isinstance(error, (HfHubHTTPError, LocalEntryNotFoundError)):
        # huggingface_hub reports some HTTP errors as "not in the cache"
        response = getattr(error if isinstance(error, HfHubHTTPError) else error.__cause__, "response", None)
        return f"cannot be downloaded: {_explain_status(getattr(response, 'status_code', None), token)}"
    return _explain_broken(error)


def _explain_broken(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"needs the Python module {error.name}: install it, or add its folder to PYTHONPATH"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"is not complete: the file {'/'.join(Path(error.filename).parts[-2:])} is missing"
    logger.error("DIARIZATION_MODEL cannot be loaded", exc_info=error)
    return "is not a pyannote pipeline: see the log"


def _explain_status(code: int | None, token: str | None) -> str:
    if code == 401:
        return "HF_TOKEN is not valid" if token else "set HF_TOKEN"
    return "HF_TOKEN may not read it" if code == 403 else "the Hub cannot be reached"


def _explain_gated(name: str, token: str | None) -> str:
    message = f"is gated: accept the conditions on https://hf.co/{name}"
    if token is None or not token.startswith("hf_"):  # pyannote ignores other tokens
        return f"{message} and set HF_TOKEN (hf_…)"
    return f"{message} with the account of HF_TOKEN"


@contextlib.contextmanager
def preserve_global_state() -> Iterator[None]:
    """Restore the TF32 flags of torch afterwards, and hide warnings.

    pyannote turns TF32 off for the whole process, which would slow Whisper down.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            matmul.allow_tf32, cudnn.allow_tf32 = before
