"""The table of diarizers, what is missing in a pipeline, and the warnings about the number of speakers."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import DIARIZATION, diarization_settings
from transcription.diarization import DIARIZERS, load_diarizer
from transcription.diarization.counts import count_warnings
from transcription.diarization.loading import load_pipeline
from transcription.errors import InvalidSettings


@pytest.mark.parametrize("name", DIARIZERS)
def test_every_diarizer_is_a_value_of_the_setting_and_needs_its_model(name: str, tmp_path: Path) -> None:
    chosen = diarization_settings(tmp_path, diarizer=name)
    assert chosen.diarizer == name
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL "):
        load_diarizer(chosen)


def test_an_unknown_diarizer_is_an_error() -> None:
    with pytest.raises(InvalidSettings, match=r"^DIARIZER: Input should be 'pyannote'$"):
        diarization_settings(DIARIZATION, diarizer="other")


def test_the_error_names_a_missing_file_or_module(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(DIARIZATION, tmp_path / "part")
    (tmp_path / "part" / "embedding" / "pytorch_model.bin").unlink()
    message = "DIARIZATION_MODEL part is not complete: the file embedding/pytorch_model.bin is missing"
    with pytest.raises(InvalidSettings, match=f"^{message}$"):
        load_pipeline(diarization_settings(tmp_path / "part"))
    (tmp_path / "part" / "config.yaml").write_text("pipeline: {name: nowhere.Pipeline}")
    with pytest.raises(InvalidSettings, match=r"^DIARIZATION_MODEL part needs the Python module nowhere: install it"):
        load_pipeline(diarization_settings(tmp_path / "part"))
    assert caplog.records == []


@pytest.mark.parametrize(
    ("count", "asked", "warnings"),
    [
        (2, {}, []),
        (2, {"num_speakers": 2}, []),
        (1, {"num_speakers": 3}, ["1 speaker was found, but num_speakers is 3: more voices cannot be told apart"]),
        (2, {"min_speakers": 3}, ["2 speakers were found, but min_speakers is 3: more voices cannot be told apart"]),
        (0, {"num_speakers": 2}, ["0 speakers were found, but num_speakers is 2"]),
        (3, {"num_speakers": 2}, ["3 speakers were found, but num_speakers is 2"]),
        (3, {"min_speakers": 1, "max_speakers": 2}, ["3 speakers were found, but max_speakers is 2"]),
    ],
)
def test_a_warning_says_that_another_number_was_found(count: int, asked: dict[str, int], warnings: list[str]) -> None:
    assert list(count_warnings(count, asked)) == warnings
