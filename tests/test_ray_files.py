"""deploy/ray: the configurations of Ray Serve and KubeRay are valid, and fit ClusterArguments."""

from typing import Any

import yaml
from ray.serve.schema import ServeDeploySchema

from tests.conftest import ROOT
from transcription.cluster.arguments import ClusterArguments
from transcription.config import ModelSettings
from transcription.server.settings import ServerSettings

FOLDER = ROOT / "deploy" / "ray"


def only_application(config: dict[str, Any]) -> dict[str, Any]:
    """Return the only application of a valid Serve configuration."""
    ServeDeploySchema.model_validate(config)
    (application,) = config["applications"]
    assert application["import_path"] == "transcription.cluster.app:app"
    ClusterArguments.model_validate(application["args"])
    return dict(application)


def are_known(names: set[str]) -> bool:
    """Return whether all of these environment variables have a reader."""
    fields = {name.upper() for name in (*ModelSettings.model_fields, *ServerSettings.model_fields)}
    return names <= fields | {"RAY_USAGE_STATS_ENABLED", "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"}


def test_the_serve_configuration_is_valid() -> None:
    deployed = only_application(yaml.safe_load((FOLDER / "serve.yaml").read_text()))
    assert are_known(set(deployed["runtime_env"]["env_vars"]))


def test_the_kuberay_manifest_deploys_the_same_application() -> None:
    manifest = yaml.safe_load((FOLDER / "rayservice.yaml").read_text())
    kuberay = yaml.safe_load(manifest["spec"]["serveConfigV2"])
    serve = yaml.safe_load((FOLDER / "serve.yaml").read_text())
    serve["applications"][0].pop("runtime_env")  # the pods set the variables
    assert only_application(kuberay) == only_application(serve)
    assert kuberay == serve
    cluster = manifest["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for container in (group["template"]["spec"]["containers"][0] for group in groups):
        assert container["image"] == "you/whisper-server:ray"
        assert are_known({variable["name"] for variable in container["env"]})
