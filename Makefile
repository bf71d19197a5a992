# `make demo` and `make test` need Python 3.11 or newer, git and PyPI, nothing else.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
CONTAINER := .venv-container
IMAGE := .venv-image
# One thread for each of two processes. Files keep their order: otherwise the slow files of the cluster come last.
PROCESSES ?= 2
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n $(PROCESSES) --dist loadfile --no-loadscope-reorder
# Test files that start a server, a browser, Ray or other processes, or decode much. `make check` leaves them out.
SLOW := archive% beam_search% cluster% command% container% deploy% diarizer% edge% endpoint_routes% engines% gpu% hf_generate% \
	languages% load% loop% openai% ray% router% schemas% server% shutdown% slots% speaker_nets% toolkit% tools% transcriber% ui%
FAST := $(filter-out $(SLOW:%=tests/test_%),$(sort $(wildcard tests/test_*.py)))

.DEFAULT_GOAL := help
.PHONY: help demo serve check test static test-container test-image bench models samples screenshots clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(INSTALLED)  ## transcribe a sample with speakers, with the demo models
	$(VENV)/bin/transcribe samples/meeting.flac --model models/demo-whisper \
		--diarization-model models/demo-diarization --timestamps word

serve: $(INSTALLED)  ## start the server on port 8000, with its page at /ui, with the demo models
	ASR_MODEL=models/demo-whisper ASSISTANT_MODEL=models/demo-whisper-assistant \
		DIARIZATION_MODEL=models/demo-diarization $(VENV)/bin/transcribe-server

check: static  ## check style and types, and run the fast tests, in less than 90 seconds
	$(PYTEST) $(FAST)

test: static  ## check style and types, and run all tests
	$(PYTEST)

static: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test-container: $(CONTAINER)/.installed  ## run the handler's tests with the versions of an endpoint's default container
	$(CONTAINER)/bin/python -m pytest -q tests/test_handler.py tests/test_engines.py tests/test_hf_generate.py tests/test_loop.py \
		tests/test_toolkit.py::test_the_toolkits_loader_gets_a_working_handler

test-image: $(INSTALLED)  ## run the steps of the Dockerfile without Docker (takes minutes: it installs torch)
	rm -rf $(IMAGE)
	$(PYTHON) -m venv $(IMAGE)
	PATH="$(CURDIR)/$(IMAGE)/bin:$$PATH" sh deploy/install.sh cpu server diarization
	IMAGE_PYTHON=$(CURDIR)/$(IMAGE)/bin/python $(VENV)/bin/python -m pytest -q tests/test_container.py

bench: $(INSTALLED)  ## compare this repository with other software
	$(VENV)/bin/pip install -q --no-deps -r benchmarks/requirements.txt
	$(VENV)/bin/python -m benchmarks.engines
	$(VENV)/bin/python -m benchmarks.base_size
	$(VENV)/bin/python -m benchmarks.batching
	$(VENV)/bin/python -m benchmarks.serving
	$(VENV)/bin/python -m benchmarks.cluster
	$(VENV)/bin/python -m benchmarks.identity
	$(VENV)/bin/python -m benchmarks.diarization
	$(VENV)/bin/python -m benchmarks.merge

models:  ## train the demo models again (over three hours; needs libespeak-ng)
	$(VENV)/bin/python -m tools.train
	$(VENV)/bin/python -m tools.distil
	$(VENV)/bin/python -m tools.export
	$(VENV)/bin/python -m tools.evaluate
	$(VENV)/bin/python -m tools.diarization_train segmentation
	$(VENV)/bin/python -m tools.diarization_train embedding
	$(VENV)/bin/python -m tools.diarization_export
	$(VENV)/bin/python -m tools.diarization_evaluate

samples:  ## make missing samples (needs libespeak-ng)
	$(VENV)/bin/python -m tools.samples

screenshots: $(INSTALLED)  ## take the pictures of the page again (needs Chromium)
	$(VENV)/bin/python -m tests.screenshots

clean:  ## delete the virtual environments
	rm -rf $(VENV) $(CONTAINER) $(IMAGE)

$(INSTALLED): pyproject.toml constraints-cpu.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q -e ".[diarization,server,ui,cluster,test]" -c constraints-cpu.txt
	touch $@

$(CONTAINER)/.installed: pyproject.toml tests/constraints-container.txt
	$(PYTHON) -m venv $(CONTAINER)
	$(CONTAINER)/bin/pip install -q -e ".[diarization,server,test]" -c tests/constraints-container.txt
	touch $@
