"""One thread: the same sums on every machine, and no spinning against a second process of the same test."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("MPLBACKEND", "Agg")

import torch

torch.set_num_threads(1)
