# `make demo` and `make test` need Python 3.11+, git and a package registry, nothing else.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
CONTAINER := .venv-container
IMAGE := .venv-image

.PHONY: demo serve test check test-container test-image bench models samples screenshots clean

demo: $(INSTALLED)  ## a bundled meeting, who says what, with the bundled models
	$(VENV)/bin/python cli.py samples/meeting.flac --model models/demo-whisper \
		--diarization-model models/demo-diarization --timestamps word

serve: $(INSTALLED)  ## the HTTP server on port 8000 and its page at /ui, with the bundled models
	ASR_MODEL=models/demo-whisper ASSISTANT_MODEL=models/demo-whisper-assistant \
		DIARIZATION_MODEL=models/demo-diarization $(VENV)/bin/python server.py

# Files go out in their order: by the number of their tests, the cluster's few, which take longest, would come last.
test: check  ## style, types and all tests, by two processes of one thread each
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

test-container: $(CONTAINER)/.installed  ## the handler's tests under the default container's versions
	$(CONTAINER)/bin/python -m pytest -q tests/test_handler.py tests/test_engines.py tests/test_generate.py tests/test_loop.py \
		tests/test_toolkit.py::test_the_toolkits_loader_gets_a_working_handler

test-image: $(INSTALLED)  ## the image's packages and its steps, without docker (minutes: it installs torch)
	rm -rf $(IMAGE)
	$(PYTHON) -m venv $(IMAGE)
	PATH="$(CURDIR)/$(IMAGE)/bin:$$PATH" sh deploy/install.sh cpu
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
	$(VENV)/bin/python -m training.train
	$(VENV)/bin/python -m training.distil
	$(VENV)/bin/python -m training.export
	$(VENV)/bin/python -m training.evaluate
	$(VENV)/bin/python -m training.diarization segmentation
	$(VENV)/bin/python -m training.diarization embedding
	$(VENV)/bin/python -m training.diarization_export
	$(VENV)/bin/python -m training.diarization_evaluate

samples:  ## make what is missing in samples/ (needs libespeak-ng)
	$(VENV)/bin/python -m training.samples

screenshots: $(INSTALLED)  ## the README's pictures of the page (needs chromium)
	$(VENV)/bin/python -m tests.screenshots

clean:
	rm -rf $(VENV) $(CONTAINER) $(IMAGE)

$(INSTALLED): requirements.txt requirements-diarization.txt requirements-server.txt requirements-ui.txt requirements-cluster.txt constraints.txt tests/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q -r requirements.txt -r requirements-diarization.txt -r requirements-server.txt \
		-r requirements-ui.txt -r requirements-cluster.txt -r tests/requirements.txt -c constraints.txt
	touch $@

$(CONTAINER)/.installed: requirements.txt requirements-diarization.txt requirements-server.txt tests/requirements.txt tests/constraints-container.txt
	$(PYTHON) -m venv $(CONTAINER)
	$(CONTAINER)/bin/pip install -q -r requirements.txt -r requirements-diarization.txt -r requirements-server.txt -r tests/requirements.txt \
		-c tests/constraints-container.txt
	touch $@
