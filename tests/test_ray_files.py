"""deploy/ray: what Ray Serve and KubeRay are told fits what transcription.cluster.app takes."""

from typing import Any

import yaml
from ray.serve.schema import ServeDeploySchema

from tests.conftest import ROOT
from transcription.cluster.app import Cluster
from transcription.config import ModelSettings
from transcription.server.settings import ServerSettings

FOLDER = ROOT / "deploy" / "ray"


def application(config: dict[str, Any]) -> dict[str, Any]:
    """The one application of a Serve configuration that Ray accepts."""
    ServeDeploySchema.model_validate(config)
    (found,) = config["applications"]
    assert found["import_path"] == "transcription.cluster.app:app"
    Cluster.model_validate(found["args"])
    return dict(found)


def known(names: set[str]) -> bool:
    """Whether these are variables that somebody reads."""
    fields = {name.upper() for name in (*ModelSettings.model_fields, *ServerSettings.model_fields)}
    return names <= fields | {"RAY_USAGE_STATS_ENABLED", "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"}


def test_the_configuration_is_one_that_serve_takes() -> None:
    found = application(yaml.safe_load((FOLDER / "serve.yaml").read_text()))
    assert known(set(found["runtime_env"]["env_vars"]))


def test_the_kuberay_manifest_deploys_the_same() -> None:
    manifest = yaml.safe_load((FOLDER / "rayservice.yaml").read_text())
    inside = yaml.safe_load(manifest["spec"]["serveConfigV2"])
    alone = yaml.safe_load((FOLDER / "serve.yaml").read_text())
    alone["applications"][0].pop("runtime_env")  # its pods have the variables
    assert application(inside) == application(alone)
    assert inside == alone
    cluster = manifest["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for container in (group["template"]["spec"]["containers"][0] for group in groups):
        assert container["image"] == "you/whisper-server:ray"
        assert known({variable["name"] for variable in container["env"]})
