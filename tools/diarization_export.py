"""Save the trained networks as a pyannote pipeline in `models/`: `python -m tools.diarization_export`."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from scipy.linalg import eigh

from models.speaker_nets import EmbeddingNet
from tools.corpus import CACHE
from tools.diarization_train import RECIPES, SPEAKER_COUNT, new_embedding, new_segmentation, solo_speech
from tools.diarization_windows import WindowGenerator
from tools.speakers import load_speakers

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
    """Save a network as an fp16 checkpoint that pyannote loads. state: weights of the training module."""
    prefix = "net."
    weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    net.load_state_dict(weights)
    checkpoint: dict[str, Any] = {
        "state_dict": {name: value.half() if value.is_floating_point() else value for name, value in weights.items()},
        "hyper_parameters": dict(net.hparams),
        "pytorch-lightning_version": "2.0.0",
    }
    net.on_save_checkpoint(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, folder / "pytorch_model.bin")


def embed_training_speakers(net: EmbeddingNet, batches: int, speakers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings (count, dimension) of 1 s or more of solo speech, and the speaker index of each."""
    generator, embeddings, labels = WindowGenerator(load_speakers(SPEAKER_COUNT), seed=1), [], []
    net.eval()
    for _ in range(batches):
        mel, windows = generator.batch(RECIPES["embedding"].batch_size, speakers)
        for row, mask, speaker in zip(*solo_speech(windows, min_frames=50), strict=True):
            weights = torch.from_numpy(mask).float()[None]
            with torch.inference_mode():
                embeddings.append(net.embed(mel[row : row + 1], weights)[0].double().numpy())
            labels.append(speaker)
    return np.stack(embeddings), np.array(labels)


def save_plda(net: EmbeddingNet, folder: Path, batches: int = 40, speakers: int = 200, dimension: int = 32) -> None:
    """Save a PLDA of the training speakers: the two-covariance model after an LDA (Ioffe 2006)."""
    embeddings, labels = embed_training_speakers(net, batches, speakers)
    mean1 = embeddings.mean(0)
    centred = _normalize(embeddings - mean1) * np.sqrt(embeddings.shape[1])
    _, directions = eigh(*_covariances(centred, labels))
    lda = directions[:, ::-1][:, :dimension]
    mean2 = (centred @ lda).mean(0)
    reduced = _normalize(centred @ lda - mean2) * np.sqrt(dimension)
    psi, axes = eigh(*_covariances(reduced, labels))
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "xvec_transform.npz", mean1=mean1, mean2=mean2, lda=lda)
    np.savez(folder / "plda.npz", mu=reduced.mean(0), tr=axes[:, ::-1].T, psi=np.maximum(psi[::-1], 1e-4))


def _covariances(vectors: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the covariance between speakers and within speakers."""
    names, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.stack([vectors[index == number].mean(0) for number in range(len(names))])
    within = np.cov((vectors - means[index]).T) + 1e-6 * np.eye(vectors.shape[1])
    between = np.cov(means[counts > 1].T) + 1e-6 * np.eye(vectors.shape[1])
    return between, within


def _normalize(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the pipeline")
    options = parser.parse_args()
    segmentation, embedding = new_segmentation(), new_embedding()
    for name, net in (("segmentation", segmentation), ("embedding", embedding)):
        save_network(net, torch.load(CACHE / f"{name}.pt")["module"], options.output / name)
    save_plda(embedding, options.output / "plda")
    (options.output / "config.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))


if __name__ == "__main__":
    main()
