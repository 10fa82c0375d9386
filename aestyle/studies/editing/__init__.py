"""Latent tools on pictures, as sheets, films and codes: what ``python -m aestyle.edit`` does."""
