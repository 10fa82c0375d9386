"""Networks and layers: plain ``nn.Module``s and tensor functions."""
