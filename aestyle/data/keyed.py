"""Decisions that depend on names and numbers only, never on a random number generator's state."""

from hashlib import blake2b


def keyed_bits(*parts: object) -> int:
    """64 pseudo-random bits that are a pure function of ``parts``, on every machine and in every process.

    Args:
        *parts: What the decision depends on, such as ``(seed, "flip", position)``; ``str`` of each part counts.

    Returns:
        An integer in [0, 2**64), the BLAKE2b hash of the parts.
    """
    text = "\0".join(str(part) for part in parts)
    # surrogateescape: a file name need not be valid UTF-8.
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest(), "big")
