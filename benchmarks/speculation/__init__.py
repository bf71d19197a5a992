"""Speculative decoding with a real pair: distil an assistant for a checkpoint, and measure what it gains."""
