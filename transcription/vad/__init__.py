"""Voice activity detection, and the chunking of long audio into windows."""
