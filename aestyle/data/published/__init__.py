"""Published data sets in the layouts in which they are published."""

from aestyle.data.published.emoji import Emoji, emoji_group
from aestyle.data.published.joined import Joined
from aestyle.data.published.photographs import Afhq, CelebA, CelebAHQ, VoxCeleb2, lsun
from aestyle.data.published.thumbnails import cifar10, idx_set, mnist_digits

__all__ = [
    "Afhq",
    "CelebA",
    "CelebAHQ",
    "Emoji",
    "Joined",
    "VoxCeleb2",
    "cifar10",
    "emoji_group",
    "idx_set",
    "lsun",
    "mnist_digits",
]
