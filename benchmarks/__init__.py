"""Measurements of speed and memory; `make bench` runs them."""

from aestyle.processes import keep_freed_memory

keep_freed_memory()  # as every command does
