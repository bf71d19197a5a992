"""The page by itself, as a Hugging Face Space runs it: `python app.py`."""

import sys

from transcription.ui.app import main

if __name__ == "__main__":
    sys.exit(main())
