"""Which runs of a scale stand where."""

METHODS = ("ali", "age", "progan_l1", "pioneer")
"""Rows of Table 1, in the paper's order."""

SIZES = {
    "cpu": {"16 × 16": METHODS},
    "paper": {
        "64 × 64": METHODS,
        "128 × 128": ("age_128", "pioneer_128"),
        "LSUN bedrooms, 128 × 128 (section 4.2)": ("lsun_128",),
    },
}
"""The parts of Table 1."""

MAIN = {"cpu": "pioneer", "paper": "pioneer_128"}
"""Whose reconstructions and interpolations are shown."""

SPECTRAL = {"cpu": ("pioneer", "no_spectral"), "paper": ("pioneer_128", "no_spectral")}
"""With spectral norm and without."""

GROWTH = {"cpu": ("pioneer", "no_growth"), "paper": ("cifar_growing", "no_growth")}
"""With growth and without."""

GAMES = ("pioneer", "no_growth", "no_spectral", "age")
"""Runs whose loss has divergences of codes, at both scales."""

SAMPLES = {
    "cpu": {
        "figure3": ("Figures 3 and 15: samples of PIONEER", "pioneer"),
        "figure7": ("Figure 7: samples of PIONEER without growth", "no_growth"),
        "figure13": ("Figure 13: samples of AGE", "age"),
        "figure14": ("Figure 14: samples of ALI", "ali"),
        "samples-progan_l1": ("Samples of ProgGAN/L1", "progan_l1"),
    },
    "paper": {
        "figure3-64": ("Figures 3 and 15: samples of PIONEER, 64 × 64", "pioneer"),
        "figure3-128": ("Figures 3 and 11: samples of PIONEER, 128 × 128", "pioneer_128"),
        "figure3-256": ("Figures 3 and 10: samples of PIONEER, CelebA-HQ, 256 × 256", "hq_256"),
        "figure6": ("Figure 6: samples of PIONEER, LSUN bedrooms, 128 × 128", "lsun_128"),
        "figure7": ("Figure 7: samples of PIONEER without growth, CIFAR-10, 32 × 32", "no_growth"),
        "figure12": ("Figure 12: samples of AGE, 128 × 128", "age_128"),
        "figure13": ("Figure 13: samples of AGE, 64 × 64", "age"),
        "figure14": ("Figure 14: samples of ALI, 64 × 64", "ali"),
        "samples-progan_l1": ("Samples of ProgGAN/L1, 64 × 64", "progan_l1"),
        "samples-balanced": ("Samples of Balanced PIONEER, CelebA-HQ, 256 × 256", "balanced_hq_256"),
    },
}
"""Sheets of samples: file name, caption, run."""
