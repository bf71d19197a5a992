"""Manage an Inference Endpoint: `python deploy/endpoint.py create transcribe --repository you/this-repository`.

Needs huggingface_hub 2.4 or newer, and a token that may manage endpoints: the value of the variable that
--token-variable names, or else $HF_TOKEN, or else the token that `hf auth login` saved.
Exit codes: 0 success, 1 the service refused or the endpoint failed, 2 wrong usage.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from huggingface_hub import HfApi, InferenceEndpoint
    from huggingface_hub.errors import HfHubHTTPError

SERVER = {"port": 8000, "healthRoute": "/health"}  # as in deploy/Dockerfile
SAME_NAMES = (  # of options and of huggingface_hub's arguments
    "repository", "revision", "framework", "task", "type", "vendor", "region",
    "accelerator", "instance_size", "instance_type", "min_replica", "max_replica",
)  # fmt: skip
SECRET_NAME = re.compile(r"(^|_)(TOKEN|KEY|SECRET|PASSWORD)S?$", re.IGNORECASE)
TOKEN = re.compile(r"hf_\w+")
VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
HINTS = {
    401: "the token is not valid: set HF_TOKEN, or run `hf auth login`",
    403: "the token has no permission to manage Inference Endpoints",
    404: "this namespace has no endpoint of this name",
    409: "an endpoint of this name already exists: use update",
}

EPILOG = """examples:
  python deploy/endpoint.py create transcribe --repository you/this-repository \\
      --env ASR_MODEL=openai/whisper-large-v3-turbo --secret HF_TOKEN --wait
  python deploy/endpoint.py create transcribe --repository openai/whisper-large-v3-turbo \\
      --image you/whisper-server:cuda --min-replica 0 --scale-to-zero 15
  python deploy/endpoint.py update transcribe --env ASR_MODEL=openai/whisper-large-v3 --dry-run
  python deploy/endpoint.py pause transcribe"""


class UsageError(Exception):
    """The command line is wrong."""


class CapturedRequest(Exception):
    """The request of a dry run, raised instead of being sent."""

    def __init__(self, method: str, url: str, body: bytes) -> None:
        super().__init__(f"{method} {url}")
        self.body = body


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError, so that main can hide tokens in the message."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def build_parser() -> Parser:
    """Return the parser of the command line."""
    description = "Create, update, pause or delete an Inference Endpoint."
    command = Parser(description=description, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="create an endpoint")
    update = actions.add_parser("update", help="change the given options of an endpoint and keep all others")
    resume = actions.add_parser("resume", help="start a paused endpoint")
    pause = actions.add_parser("pause", help="stop an endpoint and its costs until it is resumed")
    delete = actions.add_parser("delete", help="delete an endpoint permanently")
    status = actions.add_parser("status", help="print the state and the URL of an endpoint")
    for action in (create, update, resume, pause, delete, status):
        action.add_argument("name", metavar="NAME", help="name of the endpoint")
        action.add_argument("--namespace", help="user or organization (default: the owner of the token)")
        action.add_argument("--token-variable", metavar="NAME", help="variable of the token (default: HF_TOKEN)")
    for action in (create, update, resume, pause, delete):
        action.add_argument("--dry-run", action="store_true", help="print the request, but do not send it")
    for action in (create, update, resume):
        action.add_argument("--wait", action="store_true", help="wait until the endpoint is ready")
        action.add_argument("--timeout", type=int, default=1800, metavar="SECONDS", help="of --wait (default: 1800)")
    delete.add_argument("--yes", action="store_true", help="confirm the deletion")
    create.add_argument("--type", choices=("authenticated", "public", "private"), default="authenticated",
                        help="who may call it (default: %(default)s, which requires a Hub token)")  # fmt: skip
    create.add_argument("--vendor", default="aws", help="cloud vendor (default: %(default)s)")
    create.add_argument("--region", default="us-east-1", help="region of the vendor (default: %(default)s)")
    create.set_defaults(framework="custom", task="custom")
    add_model_options(create, required=True)
    add_model_options(update, required=False)
    add_compute_options(create, accelerator="gpu", instance_size="x1", instance_type="nvidia-l4")
    add_compute_options(update)
    return command


def add_model_options(action: argparse.ArgumentParser, required: bool) -> None:
    """Add the options of repository, image and variables."""
    action.add_argument("--repository", required=required,
                        help="this repository on the Hub; with --image, the Whisper checkpoint")  # fmt: skip
    action.add_argument("--revision", help="branch, tag or commit of the repository")
    action.add_argument("--image", metavar="URL", help="image built from deploy/Dockerfile (default: no custom image)")
    action.add_argument("--env", action="append", default=[], metavar="NAME=VALUE",
                        help="set a variable that is not secret; repeatable")  # fmt: skip
    action.add_argument("--secret", action="append", default=[], metavar="NAME",
                        help="set a secret variable to its value in your environment; repeatable")  # fmt: skip


def add_compute_options(action: argparse.ArgumentParser, **defaults: str) -> None:
    """Add the options of hardware and scaling."""
    for name, meaning in (("accelerator", "cpu or gpu"), ("instance_size", "size"), ("instance_type", "hardware")):
        default = f" (default: {defaults[name]})" if name in defaults else ""
        action.add_argument(f"--{name.replace('_', '-')}", default=defaults.get(name), help=meaning + default)
    action.add_argument("--min-replica", type=int, metavar="N", help="fewest replicas; 0 allows scaling to zero")
    action.add_argument("--max-replica", type=int, metavar="N", help="most replicas")
    action.add_argument("--scale-to-zero", type=int, metavar="MINUTES", help="idle time before scaling to zero")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    try:
        options = build_parser().parse_args(arguments)
        fields = endpoint_fields(options)
        token = find_token(options)
    except UsageError as error:
        return report_error(str(error), 2)
    secrets = [value for value in (token, *fields.get("secrets", {}).values()) if value]
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError

        api = HfApi(token=token)
        if getattr(options, "dry_run", False):
            return print_request(api, options, fields)
        endpoint = run_action(api, options, fields)
        if getattr(options, "wait", False) and endpoint is not None:
            print(f"{options.name}: {endpoint.status}, waiting until it is ready", file=sys.stderr)
            endpoint.wait(timeout=options.timeout)
    except HfHubHTTPError as error:
        return report_error(describe(error), 1, secrets)
    except Exception as error:  # network errors depend on the library's HTTP client
        return report_error(str(error) or type(error).__name__, 1, secrets)
    state = "deleted" if endpoint is None else f"{endpoint.status} {endpoint.url or ''}"
    print(f"{options.name}: {state.strip()}")
    return 0


def endpoint_fields(options: argparse.Namespace) -> dict[str, Any]:
    """Return the given options under huggingface_hub's names.

    Raises UsageError if they contradict each other, or if there is nothing to update.
    """
    if options.action == "delete" and not (options.yes or options.dry_run):
        raise UsageError("a deleted endpoint cannot be restored: confirm with --yes, or use pause")
    if options.action not in ("create", "update"):
        return {}
    env, secrets = parse_env(options.env), read_secrets(options.secret)
    if both := sorted(env.keys() & secrets.keys()):
        raise UsageError(f"{both[0]} is given both as --env and as --secret")
    check_replicas(options)
    fields = {name: getattr(options, name, None) for name in SAME_NAMES} | {
        "custom_image": {"url": options.image, **SERVER} if options.image else None,
        "env": env or None, "secrets": secrets or None, "scale_to_zero_timeout": options.scale_to_zero,
    }  # fmt: skip
    given = {name: value for name, value in fields.items() if value is not None}
    if not given:
        raise UsageError("nothing to update: give at least one option, e.g. --env ASR_MODEL=openai/whisper-large-v3")
    return given


def check_replicas(options: argparse.Namespace) -> None:
    """Raise UsageError if the scaling options are out of range or contradict each other."""
    low, high, minutes = options.min_replica, options.max_replica, options.scale_to_zero
    if options.action == "create":  # an update keeps the values that are not given
        low, high = 1 if low is None else low, 1 if high is None else high
        if minutes is not None and low > 0:
            raise UsageError("--scale-to-zero requires --min-replica 0")
    if (low is not None and low < 0) or (high is not None and high < 1):
        raise UsageError("--min-replica must be at least 0, and --max-replica at least 1")
    if low is not None and high is not None and low > high:
        raise UsageError("--min-replica must not exceed --max-replica")
    if minutes is not None and minutes < 1:
        raise UsageError("--scale-to-zero must be at least 1 minute")


def parse_env(pairs: Sequence[str]) -> dict[str, str]:
    """Return the variables of NAME=VALUE pairs.

    Raises UsageError if a pair is malformed, repeated, or looks like a secret. The message never contains the value.
    """
    env: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not VARIABLE.fullmatch(name):
            raise UsageError("--env must be NAME=VALUE")
        if SECRET_NAME.search(name) or TOKEN.match(value.strip()):
            raise UsageError(f"{name} looks like a secret, and --env does not hide values: use --secret {name}")
        if name in env:
            raise UsageError(f"{name} is given twice")
        env[name] = value
    return env


def read_secrets(names: Sequence[str]) -> dict[str, str]:
    """Return the values of these variables in the caller's environment.

    Raises UsageError if a name is malformed, or if its variable is not set.
    """
    secrets: dict[str, str] = {}
    for name in names:
        if not VARIABLE.fullmatch(name) or TOKEN.match(name):
            raise UsageError("--secret must be a name without a value: the value is read from your environment")
        if not os.environ.get(name):
            raise UsageError(f"{name} is not set in your environment, and --secret reads its value there")
        secrets[name] = os.environ[name]
    return secrets


def find_token(options: argparse.Namespace) -> str | None:
    """Return the token that manages the endpoint; a dry run needs none.

    Raises UsageError if there is no token, or if huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import get_token
    except ImportError:
        raise UsageError("huggingface_hub is not installed: run pip install 'huggingface_hub>=2.4'") from None
    variable = options.token_variable
    token = os.environ.get(variable) if variable else get_token()
    if not token and not getattr(options, "dry_run", False):
        raise UsageError(f"{variable} is not set" if variable else "no token: set HF_TOKEN, or run `hf auth login`")
    return token


def run_action(api: "HfApi", options: argparse.Namespace, fields: dict[str, Any]) -> "InferenceEndpoint | None":
    """Call the API and return the endpoint, or None if it was deleted."""
    methods: dict[str, Callable[..., InferenceEndpoint | None]] = {
        "create": api.create_inference_endpoint,
        "update": api.update_inference_endpoint,
        "resume": api.resume_inference_endpoint,
        "pause": api.pause_inference_endpoint,
        "delete": api.delete_inference_endpoint,
        "status": api.get_inference_endpoint,
    }
    return methods[options.action](options.name, namespace=options.namespace, **fields)


def print_request(api: "HfApi", options: argparse.Namespace, fields: dict[str, Any]) -> int:
    """Print the request line to standard error and the body, with secrets masked, to standard output; return 0."""
    options.namespace = options.namespace or "your-name"  # else the library would ask the Hub for the token's owner
    try:
        with capture_request():
            run_action(api, options, fields)
    except CapturedRequest as request:
        print(request, file=sys.stderr)
        if request.body:
            body = json.loads(request.body)
            for name in body.get("model", {}).get("secrets", {}):
                body["model"]["secrets"][name] = "***"
            print(json.dumps(body, indent=2))
    return 0


@contextmanager
def capture_request() -> Iterator[None]:
    """Make huggingface_hub raise its first request as CapturedRequest instead of sending it."""
    from huggingface_hub import get_session

    def capture(request: Any) -> NoReturn:
        raise CapturedRequest(request.method, str(request.url), request.read())

    session = get_session()
    hooks, session.event_hooks = session.event_hooks, {"request": [capture]}
    try:
        yield
    finally:
        session.event_hooks = hooks


def describe(error: "HfHubHTTPError") -> str:
    """Return the status, a hint or the reason, and the service's message."""
    status = error.response.status_code
    parts = (HINTS.get(status, error.response.reason_phrase), error.server_message)
    return f"{status}: " + "; ".join(filter(None, parts))


def report_error(message: str, code: int, secrets: Sequence[str] = ()) -> int:
    """Print the message on one line with secrets masked, and return the exit code."""
    for value in secrets:
        message = message.replace(value, "***")
    print(f"error: {' '.join(TOKEN.sub('hf_***', message).split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # the exit code of an interrupted command
