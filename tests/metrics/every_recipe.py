"""One recipe of each kind, small."""

from aestyle.metrics.baselines import GaussianFrechetDistance, LinearBaseline
from aestyle.metrics.diversity import PairDiversity
from aestyle.metrics.efflite0 import EffLite0Logits, PooledEffLite0
from aestyle.metrics.frechet import (
    RealFrechetDistance,
    ReconstructionFrechetDistance,
    SampleFrechetDistance,
    SampleReconstructionFrechetDistance,
)
from aestyle.metrics.identity import SameIdentity
from aestyle.metrics.kernel import ReconstructionKernelDistance, SampleKernelDistance
from aestyle.metrics.manifold import Coverage, Density, Precision, Recall
from aestyle.metrics.own_samples import OwnSamples, SampleVariance
from aestyle.metrics.path_length import PerceptualPathLength
from aestyle.metrics.perceptual import EffLite0Distance, EffLite0RawDistance
from aestyle.metrics.recipe import Recipe
from aestyle.metrics.reconstruction import (
    ReconstructionDistance,
    ReconstructionMAE,
    ReconstructionMSE,
    ReconstructionPSNR,
    ReconstructionRMSE,
    ReconstructionSSIM,
)
from aestyle.metrics.repeated import OverSeeds, ReconstructionRMSESpread
from aestyle.metrics.score import SampleScore
from aestyle.metrics.sliced import RealSlicedWasserstein, SampleSlicedWasserstein

FEATURES = PooledEffLite0(min_size=12)
DISTANCE = EffLite0Distance((0, 2), min_size=None)
RECIPES: list[Recipe] = [
    ReconstructionMSE(name="rec_mse"),
    ReconstructionMAE(name="rec_mae"),
    ReconstructionRMSE(name="rec_rmse_255", scale=127.5),
    ReconstructionPSNR(name="rec_psnr"),
    ReconstructionSSIM(name="rec_ssim"),
    ReconstructionDistance(name="rec_perceptual", distance=DISTANCE),
    ReconstructionDistance(name="rec_raw", distance=EffLite0RawDistance(2, min_size=None), clamp=False),
    LinearBaseline(name="mse_pca4", components=4),
    GaussianFrechetDistance(name="pca_fd", components=4, num_images=37, extractor=FEATURES),
    SameIdentity(name="same_identity", extractor=FEATURES),
    RealFrechetDistance(name="real_fd", extractor=FEATURES),
    ReconstructionFrechetDistance(name="rec_fd", extractor=FEATURES),
    ReconstructionKernelDistance(name="rec_kd", subsets=3, subset_size=10, extractor=FEATURES),
    SampleFrechetDistance(name="fd", num_images=37, extractor=FEATURES),  # batches of 16, 16 and 5
    SampleReconstructionFrechetDistance(name="sample_rec_fd", num_images=37, extractor=FEATURES),
    SampleKernelDistance(name="kd", num_images=37, subsets=3, subset_size=20, extractor=FEATURES),
    SampleScore(name="score", num_images=20, splits=1, extractor=EffLite0Logits(min_size=32)),
    SampleFrechetDistance(name="one_batch", num_images=3, reference_images=3, extractor=FEATURES),  # none for rank 1
    Precision(name="precision", num_images=37, extractor=FEATURES),
    Recall(name="recall", num_images=37, reference_images=37, extractor=FEATURES),
    Density(name="density", num_images=37, extractor=FEATURES),
    Coverage(name="coverage", num_images=37, extractor=FEATURES),
    PerceptualPathLength(name="ppl_w_end", distance=DISTANCE, num_pairs=21),
    PerceptualPathLength(name="ppl_z_full", distance=DISTANCE, num_pairs=21, space="z", sampling="full"),
    PairDiversity(name="pairs", distance=DISTANCE, num_pairs=21),
    ReconstructionRMSESpread(name="rec_rmse_std", parts=3),
    OwnSamples(name="sample_rec_mse", of=ReconstructionMSE(name="rec_mse"), num_images=37),
    SampleVariance(name="sample_variance", num_images=37),
    RealSlicedWasserstein(name="real_swd", per_image=2, directions=3),
    OverSeeds(
        name="swd_std",
        of=SampleSlicedWasserstein(name="swd", num_images=37, per_image=2, directions=3),
        repeats=2,
        statistic="std",
    ),
]
