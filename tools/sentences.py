"""The sentences of the demo speakers: meeting talk in English and German, each with its translation.

A sentence is a template with slots. Templates and slot values exist in both languages, so every German sentence has
an English translation. A hash of the English text holds out a tenth of all sentences; training never uses them.
"""

import random
import re
import zlib
from dataclasses import dataclass
from typing import Literal

from benchmarks.scores import words_of

Language = Literal["en", "de"]
TextSplit = Literal["train", "test"]

PEOPLE = [
    (name, name)
    for name in (
        "Anna", "Peter", "Maria", "Thomas", "Sarah", "David", "Laura", "Martin", "Julia", "Robert",
    )
]  # fmt: skip
THINGS = [  # English, German accusative, German nominative
    ("the report", "den Bericht", "der Bericht"),
    ("the plan", "den Plan", "der Plan"),
    ("the budget", "das Budget", "das Budget"),
    ("the contract", "den Vertrag", "der Vertrag"),
    ("the design", "den Entwurf", "der Entwurf"),
    ("the list", "die Liste", "die Liste"),
    ("the schedule", "den Zeitplan", "der Zeitplan"),
    ("the bill", "die Rechnung", "die Rechnung"),
    ("the document", "das Dokument", "das Dokument"),
    ("the project", "das Projekt", "das Projekt"),
    ("the offer", "das Angebot", "das Angebot"),
    ("the message", "die Nachricht", "die Nachricht"),
    ("the server", "den Server", "der Server"),
    ("the product", "das Produkt", "das Produkt"),
    ("the question", "die Frage", "die Frage"),
    ("the answer", "die Antwort", "die Antwort"),
    ("the problem", "das Problem", "das Problem"),
    ("the decision", "die Entscheidung", "die Entscheidung"),
]
NUMBERS = [
    ("two", "zwei"),
    ("three", "drei"),
    ("four", "vier"),
    ("five", "fünf"),
    ("six", "sechs"),
    ("seven", "sieben"),
    ("eight", "acht"),
    ("nine", "neun"),
    ("ten", "zehn"),
    ("twelve", "zwölf"),
    ("twenty", "zwanzig"),
    ("fifty", "fünfzig"),
]
SLOTS: dict[str, list[tuple[str, str]]] = {
    "who": [
        *PEOPLE,
        ("our team", "unser Team"),
        ("the customer", "der Kunde"),
        ("my boss", "mein Chef"),
        ("the company", "die Firma"),
        ("the group", "die Gruppe"),
    ],
    "person": PEOPLE,
    "it": [(english, accusative) for english, accusative, _ in THINGS],
    "thing": [(english, nominative) for english, _, nominative in THINGS],
    "day": [
        ("Monday", "Montag"),
        ("Tuesday", "Dienstag"),
        ("Wednesday", "Mittwoch"),
        ("Thursday", "Donnerstag"),
        ("Friday", "Freitag"),
        ("Saturday", "Samstag"),
        ("Sunday", "Sonntag"),
    ],
    "when": [
        ("today", "heute"),
        ("tomorrow", "morgen"),
        ("next week", "nächste Woche"),
        ("this month", "diesen Monat"),
        ("every year", "jedes Jahr"),
        ("now", "jetzt"),
        ("later", "später"),
        ("this evening", "diesen Abend"),
        ("very soon", "sehr bald"),
    ],
    "n": [("one", "eins"), *NUMBERS],
    "many": [*NUMBERS, ("a hundred", "hundert")],
    "quality": [
        ("ready", "fertig"),
        ("important", "wichtig"),
        ("good", "gut"),
        ("new", "neu"),
        ("expensive", "teuer"),
        ("clear", "klar"),
        ("difficult", "schwierig"),
        ("cheap", "billig"),
        ("short", "kurz"),
        ("long", "lang"),
        ("simple", "einfach"),
        ("open", "offen"),
        ("correct", "richtig"),
        ("wrong", "falsch"),
        ("better", "besser"),
        ("complete", "vollständig"),
    ],
    "place": [
        ("in the office", "im Büro"),
        ("in Berlin", "in Berlin"),
        ("in London", "in London"),
        ("at home", "zu Hause"),
        ("in the hotel", "im Hotel"),
        ("in the kitchen", "in der Küche"),
        ("at the station", "am Bahnhof"),
    ],
    "do": [
        ("read", "lesen"),
        ("write", "schreiben"),
        ("check", "prüfen"),
        ("finish", "beenden"),
        ("change", "ändern"),
        ("send", "schicken"),
        ("discuss", "besprechen"),
        ("understand", "verstehen"),
        ("sell", "verkaufen"),
        ("pay for", "bezahlen"),
        ("find", "finden"),
    ],
    "unit": [
        ("days", "Tage"),
        ("weeks", "Wochen"),
        ("hours", "Stunden"),
        ("minutes", "Minuten"),
        ("people", "Leute"),
        ("orders", "Aufträge"),
        ("ideas", "Ideen"),
    ],
}
TEMPLATES: list[tuple[str, str]] = [
    ("{who} needs {it} by {day}.", "{who} braucht {it} bis {day}."),
    ("{who} wants to {do} {it} {when}.", "{who} will {it} {when} {do}."),
    ("we have to {do} {it} {when}.", "wir müssen {it} {when} {do}."),
    ("can you {do} {it} before {day}?", "kannst du {it} vor {day} {do}?"),
    ("I think that {thing} is {quality}.", "ich denke dass {thing} {quality} ist."),
    ("{thing} is not {quality} yet.", "{thing} ist noch nicht {quality}."),
    ("{thing} is {quality} and {quality2}.", "{thing} ist {quality} und {quality2}."),
    ("is {thing} {quality} or {quality2}?", "ist {thing} {quality} oder {quality2}?"),
    ("{person} and {person2} meet {place} on {day}.",
     "{person} und {person2} treffen sich {place} am {day}."),
    ("the meeting starts at {n} {when}.", "die Sitzung beginnt um {n} {when}."),
    ("on {day} we meet {place}.", "am {day} treffen wir uns {place}."),
    ("we need {many} {unit} for {it}.", "wir brauchen {many} {unit} für {it}."),
    ("{who} has {many} {unit} left.", "{who} hat noch {many} {unit} übrig."),
    ("please send {person} {it} {when}.", "bitte schicke {person} {it} {when}."),
    ("{person} works {place} {when}.", "{person} arbeitet {when} {place}."),
    ("where is {person} {when}?", "wo ist {person} {when}?"),
    ("who can {do} {it}?", "wer kann {it} {do}?"),
    ("why is {thing} so {quality}?", "warum ist {thing} so {quality}?"),
    ("when will {thing} be {quality}?", "wann wird {thing} {quality} sein?"),
    ("thank you very much {person}.", "vielen Dank {person}."),
    ("good morning {person} how are you?", "guten Morgen {person} wie geht es dir?"),
    ("yes {thing} is {quality}.", "ja {thing} ist {quality}."),
    ("no {thing} is {quality}.", "nein {thing} ist {quality}."),
    ("the number is {n} {n2} {n3} {n4}.", "die Nummer ist {n} {n2} {n3} {n4}."),
    ("call {person} at {n} {n2} {n3}.", "ruf {person} an unter {n} {n2} {n3}."),
    ("{who} is late because {thing} is {quality}.",
     "{who} ist spät dran weil {thing} {quality} ist."),
    ("maybe {person} can help us with {it}.", "vielleicht hilft uns {person} für {it}."),
    ("{person} says that {person2} is {place}.", "{person} sagt dass {person2} {place} ist."),
    ("I agree with {person} about {it}.", "ich stimme {person} zu für {it}."),
    ("let us talk about {many} {unit} {when}.", "lass uns {when} über {many} {unit} reden."),
    ("we have {many} {unit} and {many2} {unit2}.",
     "wir haben {many} {unit} und {many2} {unit2}."),
    ("{who} will {do} {it} on {day}.", "{who} wird {it} am {day} {do}."),
    ("first we {do} {it} then we go home.", "zuerst {do} wir {it} dann gehen wir nach Hause."),
    ("do not {do} {it} {when}.", "nicht {it} {when} {do}."),
    ("I would like to {do} {it} with {person}.", "ich möchte {it} mit {person} {do}."),
    ("{day} is better for {person} than {day2}.",
     "{day} ist für {person} besser als {day2}."),
    ("all {unit} are {quality} {when}.", "alle {unit} sind {when} {quality}."),
    ("how many {unit} do we have {when}?", "wie viele {unit} haben wir {when}?"),
    ("{it2} and {it} {when} please.", "{it2} und {it} {when} bitte."),
    ("okay that is {quality}.", "okay das ist {quality}."),
]  # fmt: skip
BACKCHANNELS = [
    ("yes.", "ja."), ("no.", "nein."), ("okay.", "okay."), ("maybe.", "vielleicht."),
    ("that is {quality}.", "das ist {quality}."), ("very good.", "sehr gut."),
    ("thank you.", "danke."), ("good morning.", "guten Morgen."), ("{person}?", "{person}?"),
    ("on {day}.", "am {day}."), ("{n}.", "{n}."), ("{when}.", "{when}."),
]  # fmt: skip
HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Sentence:
    """A sentence in `language` and its English translation."""

    text: str
    language: Language
    english: str


def split_of(english: str) -> TextSplit:
    """Return the split of a sentence, by a stable hash of its English words."""
    if len(words_of(english)) <= 3:  # too few short answers exist to hold some of them out
        return "train"
    digest = zlib.crc32(" ".join(words_of(english)).encode()) / 2**32
    return "test" if digest < HELD_OUT_SHARE else "train"


def random_sentence(rng: random.Random, language: Language, split: TextSplit) -> Sentence:
    """Return a random sentence of one split."""
    while True:
        templates = BACKCHANNELS if split == "train" and rng.random() < 0.08 else TEMPLATES
        sentence = sentence_from_templates(rng, language, templates)
        if split_of(sentence.english) == split:
            return sentence


def sentence_from_templates(rng: random.Random, language: Language, templates: list[tuple[str, str]]) -> Sentence:
    """Return a random sentence of one of the templates, which are pairs of English and German."""
    english, german = _fill(rng, *rng.choice(templates))
    return Sentence(english if language == "en" else german, language, english)


def random_word_list(rng: random.Random, language: Language) -> Sentence:
    """Return random words of the vocabulary in a row, so that the model cannot guess a word from its context."""
    words = [rng.choice(VOCABULARY[language]) for _ in range(rng.randint(2, 7))]
    if rng.random() < 0.3:  # small models tend to drop repeated words
        words.insert(rng.randrange(len(words)), rng.choice(words))
    text = " ".join(words)
    return Sentence(text, language, text if language == "en" else "")


def _fill(rng: random.Random, english: str, german: str) -> tuple[str, str]:
    """Fill the slots of a template with the same random values in both languages."""
    for slot in sorted(set(re.findall(r"\{(\w+)\}", english))):
        value = rng.choice(SLOTS[slot.rstrip("0123456789")])
        english = english.replace(f"{{{slot}}}", value[0])
        german = german.replace(f"{{{slot}}}", value[1])
    return _capitalize(english), _capitalize(german)


def _capitalize(text: str) -> str:
    return text[0].upper() + text[1:]


def _vocabulary(index: Literal[0, 1]) -> list[str]:
    """Return all words of templates and slots: 0 English, 1 German."""
    texts = [template[index] for template in TEMPLATES + BACKCHANNELS]
    texts += [value[index] for values in SLOTS.values() for value in values]
    words = (re.findall(r"[A-Za-zÄÖÜäöüß]+", re.sub(r"\{\w+\}", " ", text)) for text in texts)
    return sorted({word for line in words for word in line})


VOCABULARY: dict[Language, list[str]] = {"en": _vocabulary(0), "de": _vocabulary(1)}
