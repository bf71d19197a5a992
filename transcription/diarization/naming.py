"""Give speakers the names of known people. A stranger stays a stranger.

The rules:
1. A voice is compared with all known voices; the nearest one counts.
2. From the threshold on, the speaker gets the name. The most similar voice is named first.
3. Another voice gets the same name, if the two hardly ever talk at the same time: it is one person whom the clustering
   took for two. Otherwise it is somebody else.
4. All others are SPEAKER_00, SPEAKER_01, … in order of appearance, without labels that are names of known people.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from transcription.diarization.result import Diarization
from transcription.transcript import SpeakerMatch, SpeakerTurn, Voiceprint

MAX_TOGETHER = 0.1
"""Share of the shorter talk during which two voices of one person may seem to talk at the same time."""


def name_speakers(diarization: Diarization, known: Mapping[str, Voiceprint], threshold: float) -> Diarization:
    """Return the diarization with the names of known people, and how similar each voice is to the nearest of them.

    known: voices by name. threshold: cosine similarity.
    """
    if not known:
        return diarization
    nearest = {label: _nearest(voice, known) for label, voice in diarization.voiceprints.items()}
    names: dict[str, str] = {}
    for label, (name, score) in sorted(nearest.items(), key=lambda item: -item[1][1]):
        others = [other for other in names if names[other] == name]
        if score >= threshold and not any(_talk_together(diarization.turns, label, other) for other in others):
            names[label] = name
    labels = list(dict.fromkeys(turn.speaker for turn in diarization.turns))
    free = (label for number in count() if (label := f"SPEAKER_{number:02}") not in known)
    names = {label: names.get(label) or next(free) for label in labels}
    voiceprints: dict[str, Voiceprint] = {}
    for label, voice in sorted(diarization.voiceprints.items(), key=lambda item: -nearest[item[0]][1]):
        voiceprints.setdefault(names[label], voice)  # the most similar one of a person with several
    return replace(
        diarization,
        turns=join_turns(_renamed(diarization.turns, names)),
        exclusive=join_turns(_renamed(diarization.exclusive, names)),
        voiceprints={name: voiceprints[name] for name in names.values() if name in voiceprints},
        matches=_matches(names, nearest, threshold),
    )


def _nearest(voice: Voiceprint, known: Mapping[str, Voiceprint]) -> tuple[str, float]:
    """Return the name and the similarity of the known voice that is most similar."""
    scores = {name: voice.similarity(other) for name, other in known.items()}
    name = max(scores, key=lambda one: scores[one])
    return name, scores[name]


def _talk_together(turns: Sequence[SpeakerTurn], first: str, second: str) -> bool:
    """Return whether two speakers talk at the same time for more than MAX_TOGETHER of the shorter talk."""
    ours = [turn for turn in turns if turn.speaker == first]
    theirs = [turn for turn in turns if turn.speaker == second]
    together, index = 0.0, 0
    for turn in ours:  # both are in order of time, and one speaker's turns do not overlap
        while index < len(theirs) and theirs[index].end <= turn.start:
            index += 1
        for other in theirs[index:]:
            if other.start >= turn.end:
                break
            together += min(turn.end, other.end) - max(turn.start, other.start)
    shorter = min(sum(turn.end - turn.start for turn in part) for part in (ours, theirs))
    return together > MAX_TOGETHER * shorter


def _renamed(turns: Iterable[SpeakerTurn], names: Mapping[str, str]) -> list[SpeakerTurn]:
    return [replace(turn, speaker=names[turn.speaker]) for turn in turns]


def join_turns(turns: Iterable[SpeakerTurn]) -> tuple[SpeakerTurn, ...]:
    """Return the turns in order of time; those of one speaker that touch or overlap are joined."""
    joined: list[SpeakerTurn] = []
    last: dict[str, int] = {}
    for turn in sorted(turns, key=lambda turn: (turn.start, turn.end, turn.speaker)):
        index = last.get(turn.speaker)
        if index is not None and turn.start <= joined[index].end:
            joined[index] = replace(joined[index], end=max(joined[index].end, turn.end))
        else:
            last[turn.speaker] = len(joined)
            joined.append(turn)
    return tuple(joined)


def _matches(
    names: Mapping[str, str], nearest: Mapping[str, tuple[str, float]], threshold: float
) -> tuple[SpeakerMatch, ...]:
    """Return the match of each speaker, in order of appearance; of a person with several voices, the best one."""
    best: dict[str, SpeakerMatch] = {}
    for label, name in names.items():
        if label in nearest and (name not in best or nearest[label][1] > best[name].score):
            best[name] = SpeakerMatch(name, *nearest[label], threshold)
    return tuple(best.values())
