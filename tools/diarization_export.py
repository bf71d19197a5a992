"""Writes the trained networks as a pyannote pipeline: `python -m training.diarization_export`."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scipy.linalg import eigh

from models.speaker_nets import EmbeddingNet
from tools.corpus import CACHE
from tools.diarization import NETS, POPULATION, Windows, new_embedding, new_segmentation
from tools.speakers import speakers

FOLDER = Path(__file__).parent.parent / "models" / "demo-diarization"
CONFIG = {
    "dependencies": {"pyannote.audio": "4.0.0"},
    "pipeline": {
        "name": "pyannote.audio.pipelines.SpeakerDiarization",
        "params": {
            "segmentation": "$model/segmentation",
            "embedding": "$model/embedding",
            "plda": "$model/plda",
            "segmentation_step": 0.2,
            "embedding_exclude_overlap": True,
            "clustering": "AgglomerativeClustering",
            "segmentation_batch_size": 32,
            "embedding_batch_size": 32,
        },
    },
    "params": {
        "segmentation": {"min_duration_off": 0.0},
        "clustering": {"method": "centroid", "min_cluster_size": 8, "threshold": 0.5},
    },
}


def save_network(net: Any, state: dict[str, torch.Tensor], folder: Path) -> None:
    """A network as the checkpoint that pyannote loads, in fp16."""
    prefix = "net."
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    net.load_state_dict(own)
    checkpoint: dict[str, Any] = {
        "state_dict": {name: value.half() if value.is_floating_point() else value for name, value in own.items()},
        "hyper_parameters": dict(net.hparams),
        "pytorch-lightning_version": "2.0.0",
    }
    net.on_save_checkpoint(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, folder / "pytorch_model.bin")


def save_plda(net: EmbeddingNet, folder: Path, batches: int = 40, crowd: int = 200, dimension: int = 32) -> None:
    """PLDA of training speakers' embeddings: the two-covariance model in the space of an LDA (Ioffe 2006)."""
    windows, embedded, who = Windows(speakers(POPULATION), seed=1), [], []
    net.eval()
    for _ in range(batches):
        mel, made = windows.batch(NETS["embedding"][1], crowd)
        for row, window in enumerate(made):
            alone = window.active & (window.active.sum(1, keepdims=True) == 1)
            for voice, speaker in enumerate(window.who):
                if alone[:, voice].sum() >= 50:
                    mask = torch.from_numpy(alone[:, voice]).float()[None]
                    with torch.inference_mode():
                        embedded.append(net.embed(mel[row : row + 1], mask)[0].double().numpy())
                    who.append(speaker)
    vectors, labels = np.stack(embedded), np.array(who)
    mean1 = vectors.mean(0)
    centred = _unit(vectors - mean1) * np.sqrt(vectors.shape[1])
    _, directions = eigh(*_scatter(centred, labels))
    lda = directions[:, ::-1][:, :dimension]
    mean2 = (centred @ lda).mean(0)
    reduced = _unit(centred @ lda - mean2) * np.sqrt(dimension)
    psi, axes = eigh(*_scatter(reduced, labels))
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "xvec_transform.npz", mean1=mean1, mean2=mean2, lda=lda)
    np.savez(folder / "plda.npz", mu=reduced.mean(0), tr=axes[:, ::-1].T, psi=np.maximum(psi[::-1], 1e-4))


def _scatter(vectors: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance between and within speakers."""
    names, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.stack([vectors[index == at].mean(0) for at in range(len(names))])
    within = np.cov((vectors - means[index]).T) + 1e-6 * np.eye(vectors.shape[1])
    between = np.cov(means[counts > 1].T) + 1e-6 * np.eye(vectors.shape[1])
    return between, within


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER)
    options = parser.parse_args()
    segmentation, embedding = new_segmentation(), new_embedding()
    for name, net in (("segmentation", segmentation), ("embedding", embedding)):
        save_network(net, torch.load(CACHE / f"{name}.pt")["module"], options.output / name)
    save_plda(embedding, options.output / "plda")
    (options.output / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))


if __name__ == "__main__":
    main()
