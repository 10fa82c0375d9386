"""Work in latent space, for any model: spaces, mixing, interpolation, traversals, truncation, optimisation of codes."""
