"""The engine of slots: every window of every request is decoded in one batch.

A window is encoded once into a slot, a place in preallocated memory; language, silence, every temperature
of the ladder, the assistant's drafts and the word times read it there. Windows enter as slots become free.
"""
