"""Make torchaudio importable beside a torch build that does not fit its compiled extension.

transformers and pyannote.audio import torchaudio for functions that are pure torch. The wheel also loads a
compiled extension at import. This fails beside a CPU-only torch or a torch of another CUDA version, and then
transformers and pyannote.audio cannot be imported either. Only in this case, the extension is replaced by a stub.
"""

import importlib
import importlib.util
import sys
import types


def patch_torchaudio() -> None:
    """Make `import torchaudio` work if it is installed. Call this before transformers or pyannote are imported."""
    if "torchaudio" in sys.modules or importlib.util.find_spec("torchaudio") is None:
        return
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        stub = types.ModuleType("torchaudio._extension")
        vars(stub).update(_IS_TORCHAUDIO_EXT_AVAILABLE=False, fail_if_no_align=_unchanged, _load_lib=lambda _: False)
        sys.modules[stub.__name__] = stub
        importlib.import_module("torchaudio")


def _unchanged(function: object) -> object:
    """Return the function. Replaces the decorator of functions that need the extension: they fail when called."""
    return function
