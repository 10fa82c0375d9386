"""One LightningModule a method: which networks, which phases in which order, which losses."""
