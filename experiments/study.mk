# What the Makefiles of all experiments share; they work from any folder.
ROOT := $(realpath $(dir $(lastword $(MAKEFILE_LIST)))..)
HERE := experiments/$(notdir $(realpath $(dir $(firstword $(MAKEFILE_LIST)))))
PY ?= ../../.venv/bin/python
python := $(if $(filter /%,$(PY)),$(PY),$(abspath $(ROOT)/$(HERE)/$(PY)))
module := $(subst /,.,$(HERE))
SCALE ?= auto
OPTIONS ?=

.PHONY: all runs report
.DEFAULT_GOAL := all

all: runs report # everything

runs: # train and measure what is missing; for two runs at a time: OPTIONS='launcher=joblib threads=1'
	cd '$(ROOT)' && '$(python)' -m aestyle.study path=$(HERE) scale=$(SCALE) $(OPTIONS)

report: # tables, verdicts, figures and RESULTS.md from the results that are there
	cd '$(ROOT)' && '$(python)' -m $(module).record --scale $(SCALE)
