"""StreamingVad: the speech probabilities of audio that arrives piece by piece."""

import numpy as np
import numpy.typing as npt

from transcription.audio import Samples
from transcription.vad.silero import CONTEXT, FRAME, STATE, run_model


class StreamingVad:
    """Silero VAD with the state of one stream. The result is that of `speech_probabilities` on the whole audio."""

    def __init__(self) -> None:
        """Start with silence."""
        self._hidden, self._cell = np.zeros(STATE, np.float32), np.zeros(STATE, np.float32)
        self._context = np.zeros(CONTEXT, np.float32)
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Return the speech probability of each frame that is complete now. samples: at 16 kHz, any number."""
        samples = np.concatenate([self._rest, samples])
        count = len(samples) // FRAME
        self._rest = samples[count * FRAME :].copy()
        if not count:
            return np.zeros(0, np.float32)
        frames = samples[: count * FRAME].reshape(count, FRAME)
        contexts = np.vstack([self._context, frames[:-1, -CONTEXT:]])
        self._context = frames[-1, -CONTEXT:].copy()
        probabilities, self._hidden, self._cell = run_model(np.hstack([contexts, frames]), self._hidden, self._cell)
        return probabilities
