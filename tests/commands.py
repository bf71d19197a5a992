"""Command lines in documents, checked against what they call: parsers, targets, extras, files."""

import importlib.util
import re
import shlex
import tomllib
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from deploy import endpoint
from tests.conftest import ROOT
from transcription.cli import archive, export, serve, transcribe
from transcription.cluster.arguments import ClusterArguments

OUR_MODULES = ("transcription", "tests", "benchmarks", "tools", "deploy", "models")
_VARIABLE = re.compile(r"[A-Z_]+=\S*")


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words of each command line of a page, from code blocks and from code in a sentence."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if language in ("", "bash", "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                yield from _pipeline(line)
    prose = re.sub(r"^```.*?^```", "", page, flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`([^`]+)`", prose):
        yield from (words for words in _pipeline(code.replace("\n", " ")) if len(words) > 1)


def _pipeline(line: str) -> Iterator[list[str]]:
    """Yield the commands that `|` and `&&` join, without variables and comments; none if the line is no command."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return
    command: list[str] = []
    for word in [*words, "|"]:
        if word not in ("|", "&&"):
            command.append(word)
            continue
        while command and _VARIABLE.fullmatch(command[0]):
            command = command[1:]
        if command:
            yield [command[0].removeprefix(".venv/bin/"), *command[1:]]
        command = []


def problem(words: Sequence[str]) -> str | None:
    """Return what is wrong with a command line, None if it is right or not ours."""
    check = CHECKS.get(words[0])
    return None if check is None else check(words[1:])


def _parsed(parser: ArgumentParser) -> Callable[[Sequence[str]], str | None]:
    def check(arguments: Sequence[str]) -> str | None:
        try:
            parser.parse_args(list(arguments))
        except SystemExit as error:
            return f"exit code {error.code}" if error.code else None
        except endpoint.UsageError as error:
            return str(error)
        return None

    return check


def _make(targets: Sequence[str]) -> str | None:
    unknown = set(targets) - set(make_targets())
    return f"no such target: {unknown}" if unknown else None


def make_targets() -> list[str]:
    """Return the targets that `make help` lists."""
    return re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)


def _pip(arguments: Sequence[str]) -> str | None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in arguments:
        if word.startswith("."):
            unknown = set(re.findall(r"[\w-]+", word)) - set(extras)
            if unknown:
                return f"no such extra: {unknown}"
    return _files(arguments)


def _files(arguments: Sequence[str]) -> str | None:
    """Check the files that options such as -f, -c and -r name."""
    named = [value for option, value in pairwise(arguments) if option in ("-c", "-f", "-r")]
    missing = [name for name in named if not (ROOT / name).exists()]
    return f"no such file: {missing}" if missing else None


def _python(arguments: Sequence[str]) -> str | None:
    if arguments[0] == "-m":
        module = arguments[1]
        ours = module.split(".")[0] in OUR_MODULES
        return f"no such module: {module}" if ours and importlib.util.find_spec(module) is None else None
    if arguments[0] == "deploy/endpoint.py":
        return _parsed(endpoint.build_parser())(arguments[1:])
    return None if (ROOT / arguments[0]).is_file() else f"no such file: {arguments[0]}"


def _serve(arguments: Sequence[str]) -> str | None:
    """Check Ray Serve's commands: the application, its arguments and configuration files."""
    for word in arguments[1:]:
        name, equals, _ = word.partition("=")
        if equals and name not in ClusterArguments.model_fields:
            return f"no such argument: {name}"
        if word.endswith(".yaml") and not (ROOT / word).is_file():
            return f"no such file: {word}"
        if ":" in word and word != "transcription.cluster.app:app":
            return f"no such application: {word}"
    return None


CHECKS: dict[str, Callable[[Sequence[str]], str | None]] = {
    "transcribe": _parsed(transcribe.parser()),
    "transcribe-archive": _parsed(archive.parser()),
    "transcribe-server": _parsed(serve.parser()),
    "transcribe-export": _parsed(export.parser()),
    "make": _make,
    "pip": _pip,
    "python": _python,
    "python3": _python,
    "docker": _files,
    "kubectl": _files,
    "serve": _serve,
}
