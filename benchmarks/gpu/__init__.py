"""The benchmark for a GPU: `python -m benchmarks.gpu`."""
