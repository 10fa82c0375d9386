"""Work in latent space, for any model: spaces, priors, projections."""
