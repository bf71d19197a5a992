"""The engine for small devices: a checkpoint as ONNX graphs, run by onnxruntime, without torch.

`transcribe-export` writes the graphs (export.py). It needs torch; all other modules do not.
"""
