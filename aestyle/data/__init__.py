"""Images in: sources, transforms, the datamodule and its resumable sampler."""
