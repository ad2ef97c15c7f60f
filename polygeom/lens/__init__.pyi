from .activations import ImageActivations, behind_layer, image_activations, image_files
from .baseline import LinearBaseline, linear_baseline
from .cluster_study import ClusterStudy, cluster_density, study_clusters
from .cluster_tree import CondensedTree, condensed_tree
from .clusters import Clustering, Meaning, cluster, meaning
from .code_directions import CodeDirection, UnitFlip, unit_flips
from .code_maps import CodeCell, code_cell
from .composition import Composition, ExactSecondDifferences, compose, rank_correlations
from .density import (
    ClassDensity,
    TrainingDensity,
    class_density,
    sampled_class_density,
    training_density,
)
from .directions import DirectionComparison, DirectionFit, compare_directions, fit_directions, shuffled_codes
from .distances import euclidean_distances, hamming_distances
from .estimates import Estimate, binomial, bootstrapped
from .interaction import CodeInteraction, Interactions, code_interaction, interactions
from .levels import ClustersByDirections, CodeLevels, clusters_by_directions, code_levels
from .pairing import matched_partners, partners
from .parallelograms import SecondDifference
from .places import Profile, around_changes, line_contrasts, profile
from .planted import Planted, planted
from .polysemantic import Polysemanticity, polysemanticity
from .rotation import ArcSmoothness, CrossingRates, arc_smoothness, crossing_rates, permuted_weights
from .scaling import Scaling, behind_first_layer, scale_activations
from .segments import Segments, follow_segments
from .wordnet import wordnet_groups
