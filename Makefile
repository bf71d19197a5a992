# `make demo` and `make test` need Python 3.11+, git and a package registry, nothing else.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
CONTAINER := .venv-container
IMAGE := .venv-image

.PHONY: demo serve test check test-container test-image bench models samples screenshots clean

demo: $(INSTALLED)  ## a bundled meeting, who says what, with the bundled models
	$(VENV)/bin/transcribe samples/meeting.flac --model models/demo-whisper \
		--diarization-model models/demo-diarization --timestamps word

serve: $(INSTALLED)  ## the HTTP server on port 8000 and its page at /ui, with the bundled models
	ASR_MODEL=models/demo-whisper ASSISTANT_MODEL=models/demo-whisper-assistant \
		DIARIZATION_MODEL=models/demo-diarization $(VENV)/bin/transcribe-server

# Files go out in their order: by the number of their tests, the cluster's few, which take longest, would come last.
test: check  ## style, types and all tests, by two processes of one thread each
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

test-container: $(CONTAINER)/.installed  ## the handler's tests under the default container's versions
	$(CONTAINER)/bin/python -m pytest -q tests/test_handler.py tests/test_engines.py tests/test_hf_generate.py tests/test_loop.py \
		tests/test_toolkit.py::test_the_toolkits_loader_gets_a_working_handler

test-image: $(INSTALLED)  ## the image's packages and its steps, without docker (minutes: it installs torch)
	rm -rf $(IMAGE)
	$(PYTHON) -m venv $(IMAGE)
	PATH="$(CURDIR)/$(IMAGE)/bin:$$PATH" sh deploy/install.sh cpu server diarization
	IMAGE_PYTHON=$(CURDIR)/$(IMAGE)/bin/python $(VENV)/bin/python -m pytest -q tests/test_container.py

bench: $(INSTALLED)  ## us and our peers, side by side
	$(VENV)/bin/pip install -q --no-deps -r benchmarks/requirements.txt
	$(VENV)/bin/python -m benchmarks.engines
	$(VENV)/bin/python -m benchmarks.base_size
	$(VENV)/bin/python -m benchmarks.slots
	$(VENV)/bin/python -m benchmarks.serving
	$(VENV)/bin/python -m benchmarks.cluster
	$(VENV)/bin/python -m benchmarks.identity
	$(VENV)/bin/python -m benchmarks.diarization
	$(VENV)/bin/python -m benchmarks.merge

models:  ## rebuild models/ from nothing (over three hours; needs libespeak-ng)
	$(VENV)/bin/python -m tools.train
	$(VENV)/bin/python -m tools.distil
	$(VENV)/bin/python -m tools.export
	$(VENV)/bin/python -m tools.evaluate
	$(VENV)/bin/python -m tools.diarization segmentation
	$(VENV)/bin/python -m tools.diarization embedding
	$(VENV)/bin/python -m tools.diarization_export
	$(VENV)/bin/python -m tools.diarization_evaluate

samples:  ## make what is missing in samples/ (needs libespeak-ng)
	$(VENV)/bin/python -m tools.samples

screenshots: $(INSTALLED)  ## the pictures of the page in docs (needs chromium)
	$(VENV)/bin/python -m tests.screenshots

clean:
	rm -rf $(VENV) $(CONTAINER) $(IMAGE)

$(INSTALLED): pyproject.toml constraints-cpu.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q -e ".[diarization,server,ui,cluster,test]" -c constraints-cpu.txt
	touch $@

$(CONTAINER)/.installed: pyproject.toml tests/constraints-container.txt
	$(PYTHON) -m venv $(CONTAINER)
	$(CONTAINER)/bin/pip install -q -e ".[diarization,server,test]" -c tests/constraints-container.txt
	touch $@
