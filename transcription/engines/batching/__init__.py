"""The batching engine: the windows of all requests are decoded in one batch.

A window is encoded once into a slot, a place in preallocated memory. Language detection, silence, each temperature,
the assistant's drafts and word timestamps read it there. Windows start as slots become free.
"""
