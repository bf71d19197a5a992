"""The speaker turns in an RTTM file, for the recordings of one command."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from transcription.config import InferenceConfig
from transcription.errors import InvalidRequest
from transcription.rttm import as_field, read_rttm_files
from transcription.transcript import SpeakerTurn


@dataclass(frozen=True)
class GivenTurns:
    """The turns of each file, by its name in RTTM. for_one: there is one recording, whose name may differ."""

    by_name: Mapping[str, tuple[SpeakerTurn, ...]]
    for_one: bool = False

    @classmethod
    def read(cls, options: argparse.Namespace) -> Self:
        """Read --turns. Raises InvalidRequest if the file cannot be read or is no RTTM."""
        try:
            text = options.turns_file.read_text(encoding="utf-8")
        except OSError as error:
            raise InvalidRequest(f"--turns {options.turns_file} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InvalidRequest(f"--turns {options.turns_file} is no RTTM: it is not UTF-8 text") from None
        by_name = {name: tuple(turns) for name, turns in read_rttm_files(text).items()}
        is_one = len(options.files) == 1 and (options.files[0] == "-" or Path(options.files[0]).exists())
        return cls(by_name, for_one=is_one and len(by_name) == 1)

    def check(self, config: InferenceConfig) -> None:
        """Check the turns with the other parameters. Raises InvalidRequest if they contradict each other."""
        InferenceConfig.from_request({**config.model_dump(exclude_unset=True), "turns": ()})

    def of(self, name: str) -> tuple[SpeakerTurn, ...]:
        """Return the turns of a recording, by its path. Raises InvalidRequest if there are none."""
        if self.for_one:
            return next(iter(self.by_name.values()))
        for known in (Path(name).stem, Path(name).name):
            if (turns := self.by_name.get(as_field(known))) is not None:
                return turns
        raise InvalidRequest(f"--turns has no turns of the file {as_field(Path(name).stem)}", "turns")
