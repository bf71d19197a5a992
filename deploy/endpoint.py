"""An Inference Endpoint from the command line: `python deploy/endpoint.py create transcribe --repository you/this`.

Needs huggingface_hub 2.4 or newer, and a token that may manage endpoints: $HF_TOKEN, the variable that
--token-variable names, or what `hf auth login` saved.
Exit codes: 0 done, 1 the service refused or the endpoint failed, 2 the call itself was wrong.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from huggingface_hub import HfApi, InferenceEndpoint
    from huggingface_hub.errors import HfHubHTTPError

SERVER = {"port": 8000, "healthRoute": "/health"}  # what deploy/Dockerfile exposes
SECRET_NAME = re.compile(r"(^|_)(TOKEN|KEY|SECRET|PASSWORD)S?$", re.IGNORECASE)
TOKEN = re.compile(r"hf_\w+")
VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
HINTS = {
    401: "the token is not valid: set HF_TOKEN, or run `hf auth login`",
    403: "the token may not do this: it needs the right to manage Inference Endpoints",
    404: "there is no endpoint of this name in this namespace",
    409: "an endpoint of this name exists already: update it",
}

EPILOG = """examples:
  python deploy/endpoint.py create transcribe --repository you/this-repository \\
      --env ASR_MODEL=openai/whisper-large-v3-turbo --secret HF_TOKEN --wait
  python deploy/endpoint.py create transcribe --repository openai/whisper-large-v3-turbo \\
      --image you/whisper-server:cuda --min-replica 0 --scale-to-zero 15
  python deploy/endpoint.py update transcribe --env ASR_MODEL=openai/whisper-large-v3 --dry-run
  python deploy/endpoint.py pause transcribe"""


class WrongCall(Exception):
    """The command line asks for what cannot be."""


class NotSent(Exception):
    """A request of a dry run, caught where it would have left."""

    def __init__(self, method: str, url: str, body: bytes) -> None:
        super().__init__(f"{method} {url}")
        self.body = body


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the token that may stand in it."""

    def error(self, message: str) -> NoReturn:
        raise WrongCall(message)


def parser() -> Parser:
    """The command line."""
    command = Parser(
        description="Create, change and end an Inference Endpoint.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="start a new endpoint")
    update = actions.add_parser("update", help="change what is named, leave the rest")
    resume = actions.add_parser("resume", help="start a paused endpoint again")
    pause = actions.add_parser("pause", help="stop it and its costs, until it is resumed")
    delete = actions.add_parser("delete", help="end it for good")
    status = actions.add_parser("status", help="whether it runs, and where")

    for action in (create, update, resume, pause, delete, status):
        action.add_argument("name", metavar="NAME", help="the endpoint")
        action.add_argument("--namespace", help="user or organization (default: who the token belongs to)")
        action.add_argument(
            "--token-variable", metavar="NAME",
            help="variable of the token that manages endpoints, where HF_TOKEN is only the endpoint's own",
        )  # fmt: skip
    for action in (create, update, resume, pause, delete):
        action.add_argument("--dry-run", action="store_true", help="print what would be sent, and send nothing")
    for action in (create, update, resume):
        action.add_argument("--wait", action="store_true", help="until it answers")
        action.add_argument(
            "--timeout", type=int, default=1800, metavar="SECONDS", help="with --wait (default: %(default)s)"
        )
    delete.add_argument("--yes", action="store_true", help="it cannot be undone")

    create.add_argument("--type", choices=("authenticated", "public", "private"), default="authenticated",
                        help="authenticated: callers need a Hub token (default)")  # fmt: skip
    create.add_argument("--vendor", default="aws", help="default: %(default)s")
    create.add_argument("--region", default="us-east-1", help="default: %(default)s")
    add_model(create, required=True)
    add_model(update, required=False)
    add_compute(create, accelerator="gpu", instance_size="x1", instance_type="nvidia-l4")
    add_compute(update)
    return command


def add_model(action: argparse.ArgumentParser, required: bool) -> None:
    """What is served, in which container, with which variables."""
    action.add_argument(
        "--repository", required=required,
        help="this repository on the Hub; with --image the Whisper checkpoint, which is mounted at /repository",
    )  # fmt: skip
    action.add_argument("--revision", help="branch, tag or commit of it")
    action.add_argument("--image", metavar="URL", help="image of deploy/Dockerfile (default: the default container)")
    action.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable; may be repeated; never a secret"
    )
    action.add_argument(
        "--secret", action="append", default=[], metavar="NAME",
        help="a secret variable; may be repeated; its value is read from your variable of this name",
    )  # fmt: skip


def add_compute(action: argparse.ArgumentParser, **defaults: str) -> None:
    """On which machine, and how many of them."""
    for name in ("accelerator", "instance_size", "instance_type"):
        default = defaults.get(name)
        action.add_argument(
            f"--{name.replace('_', '-')}", default=default, help=f"default: {default}" if default else None
        )
    action.add_argument("--min-replica", type=int, metavar="N", help="0: may scale to zero")
    action.add_argument("--max-replica", type=int, metavar="N")
    action.add_argument("--scale-to-zero", type=int, metavar="MINUTES", help="after so long without a request")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit code."""
    try:
        options = parser().parse_args(arguments)
        changes = wished(options)
        token = known_token(options)
    except WrongCall as error:
        return failed(str(error), 2)
    hidden = [value for value in (token, *changes.get("secrets", {}).values()) if value]
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError

        api = HfApi(token=token)
        if getattr(options, "dry_run", False):
            return rehearse(api, options, changes)
        endpoint = act(api, options, changes)
        if getattr(options, "wait", False) and endpoint is not None:
            print(f"{options.name}: {endpoint.status}, waiting until it runs", file=sys.stderr)
            endpoint.wait(timeout=options.timeout)
    except HfHubHTTPError as error:
        return failed(explained(error), 1, hidden)
    except Exception as error:  # the network's errors come from whichever client the library has
        return failed(str(error) or type(error).__name__, 1, hidden)
    found = ["deleted"] if endpoint is None else [endpoint.status, endpoint.url or ""]
    print(f"{options.name}: {' '.join(found).strip()}")
    return 0


def wished(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say of the endpoint, by huggingface_hub's names; what they leave out is absent.

    Raises WrongCall.
    """
    if options.action == "delete" and not (options.yes or options.dry_run):
        raise WrongCall("a deleted endpoint cannot be had back: add --yes, or pause it")
    if options.action not in ("create", "update"):
        return {}
    env, secrets = variables(options.env), taken_from_here(options.secret)
    twice = sorted(env.keys() & secrets.keys())
    if twice:
        raise WrongCall(f"{twice[0]} is given as --env and as --secret")
    check_replicas(options)
    named = {
        "repository": options.repository, "revision": options.revision,
        "custom_image": {"url": options.image, **SERVER} if options.image else None,
        "env": env or None, "secrets": secrets or None,
        "accelerator": options.accelerator, "instance_size": options.instance_size,
        "instance_type": options.instance_type, "min_replica": options.min_replica,
        "max_replica": options.max_replica, "scale_to_zero_timeout": options.scale_to_zero,
    }  # fmt: skip
    changes = {name: value for name, value in named.items() if value is not None}
    if not changes:
        raise WrongCall("nothing to change: name at least one option, e.g. --env ASR_MODEL=openai/whisper-large-v3")
    return changes


def check_replicas(options: argparse.Namespace) -> None:
    """Whether the numbers of machines go together. Raises WrongCall."""
    least, most, minutes = options.min_replica, options.max_replica, options.scale_to_zero
    if options.action == "create":  # an update leaves in place what it does not name
        least, most = 1 if least is None else least, 1 if most is None else most
        if minutes is not None and least > 0:
            raise WrongCall("--scale-to-zero needs --min-replica 0")
    if (least is not None and least < 0) or (most is not None and most < 1):
        raise WrongCall("--min-replica is at least 0, --max-replica at least 1")
    if least is not None and most is not None and least > most:
        raise WrongCall("--min-replica is not more than --max-replica")
    if minutes is not None and minutes < 1:
        raise WrongCall("--scale-to-zero is at least 1 minute")


def variables(given: Sequence[str]) -> dict[str, str]:
    """--env's NAME=VALUE pairs. Raises WrongCall, also for what looks like a secret; its value is not repeated."""
    found: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not VARIABLE.fullmatch(name):
            raise WrongCall("--env takes NAME=VALUE")
        if SECRET_NAME.search(name) or TOKEN.match(value.strip()):
            raise WrongCall(f"{name} looks like a secret, and --env is for everyone to read: use --secret {name}")
        if name in found:
            raise WrongCall(f"{name} is given twice")
        found[name] = value
    return found


def taken_from_here(names: Sequence[str]) -> dict[str, str]:
    """--secret's names, with the values that the caller's environment has. Raises WrongCall."""
    found: dict[str, str] = {}
    for name in names:
        if not VARIABLE.fullmatch(name) or TOKEN.match(name):
            raise WrongCall("--secret takes a name alone: the value is read from your environment")
        if not os.environ.get(name):
            raise WrongCall(f"{name} is not set in your environment, where --secret reads it")
        found[name] = os.environ[name]
    return found


def known_token(options: argparse.Namespace) -> str | None:
    """The token that manages the endpoint; a dry run needs none. Raises WrongCall."""
    try:
        from huggingface_hub import get_token
    except ImportError:
        raise WrongCall("huggingface_hub is missing: pip install 'huggingface_hub>=2.4'") from None
    variable = options.token_variable
    token = os.environ.get(variable) if variable else get_token()
    if not token and not getattr(options, "dry_run", False):
        raise WrongCall(f"{variable} is not set" if variable else "no token: set HF_TOKEN, or run `hf auth login`")
    return token


def act(api: "HfApi", options: argparse.Namespace, changes: dict[str, Any]) -> "InferenceEndpoint | None":
    """Does what is asked for; the endpoint as it is then, None when it is no more."""
    name, namespace = options.name, options.namespace
    if options.action == "create":
        return api.create_inference_endpoint(
            name, framework="custom", task="custom", type=options.type, vendor=options.vendor, region=options.region,
            namespace=namespace, **changes,
        )  # fmt: skip
    if options.action == "update":
        return api.update_inference_endpoint(name, namespace=namespace, **changes)
    if options.action == "pause":
        return api.pause_inference_endpoint(name, namespace=namespace)
    if options.action == "resume":
        return api.resume_inference_endpoint(name, namespace=namespace)
    if options.action == "status":
        return api.get_inference_endpoint(name, namespace=namespace)
    api.delete_inference_endpoint(name, namespace=namespace)
    return None


def rehearse(api: "HfApi", options: argparse.Namespace, changes: dict[str, Any]) -> int:
    """Prints the request that the library makes of this: its line on standard error, its body on standard output."""
    options.namespace = options.namespace or "your-name"  # who the token belongs to is a question to the Hub
    try:
        with nothing_leaves():
            act(api, options, changes)
    except NotSent as request:
        print(request, file=sys.stderr)
        if request.body:
            body = json.loads(request.body)
            for name in body.get("model", {}).get("secrets", {}):
                body["model"]["secrets"][name] = "***"
            print(json.dumps(body, indent=2))
    return 0


@contextmanager
def nothing_leaves() -> Iterator[None]:
    """The library's client stops at its first request, which it raises as NotSent."""
    from huggingface_hub import get_session

    def stop(request: Any) -> NoReturn:
        raise NotSent(request.method, str(request.url), request.read())

    session = get_session()
    hooks = session.event_hooks
    session.event_hooks = {"request": [stop]}
    try:
        yield
    finally:
        session.event_hooks = hooks


def explained(error: "HfHubHTTPError") -> str:
    """Which status, what it usually means, and what the service says of it."""
    status = error.response.status_code
    said = (HINTS.get(status, error.response.reason_phrase), error.server_message)
    return f"{status}: " + "; ".join(filter(None, said))


def failed(message: str, code: int, hidden: Sequence[str] = ()) -> int:
    """Says it in one line, in which no secret stands; the exit code."""
    for value in hidden:
        message = message.replace(value, "***")
    print(f"error: {' '.join(TOKEN.sub('hf_***', message).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # what shells expect of who was interrupted
