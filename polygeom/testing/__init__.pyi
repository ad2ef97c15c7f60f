from .families import (
    FAMILIES,
    Family,
    generic,
    integer_layers,
    overlapping_maxima,
    random_layers,
    residual_maxima,
)
from .laws import assert_partition, assert_pullback, assert_same_complex, assert_witnessed
from .strategies import (
    ACTIVATIONS,
    affine_maps,
    any_networks,
    degenerate_networks,
    directions,
    generic_points,
    graph_networks,
    matrices,
    networks,
    points,
    polyhedra,
)
from .tampering import answers, assert_certified, forgeries
