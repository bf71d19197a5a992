"""Lets torchaudio be imported beside a torch that its compiled half does not fit.

transformers and pyannote.audio import torchaudio for functions that are pure torch. Its wheel also loads a
compiled extension at import, which fails beside a CPU-only torch or a torch of another CUDA version, and
takes them down with it. Only then the extension is stood in for, so that all the rest works.
"""

import importlib
import importlib.util
import sys
import types


def patch_torchaudio() -> None:
    """Makes `import torchaudio` work if it is installed; to be called before transformers or pyannote are imported."""
    if "torchaudio" in sys.modules or importlib.util.find_spec("torchaudio") is None:
        return
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError):
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
        stand_in = types.ModuleType("torchaudio._extension")
        vars(stand_in).update(_IS_TORCHAUDIO_EXT_AVAILABLE=False, fail_if_no_align=_as_it_is, _load_lib=lambda _: False)
        sys.modules[stand_in.__name__] = stand_in
        importlib.import_module("torchaudio")


def _as_it_is(function: object) -> object:
    """For a decorator of functions that need the extension: they fail when they are called."""
    return function
