"""Notes below the tables of several experiments."""

SMALL = (
    "Ours are other and smaller pictures, narrower networks and a far shorter training, judged by an offline feature "
    "network: no number is comparable with the paper's, only their order is."
)
