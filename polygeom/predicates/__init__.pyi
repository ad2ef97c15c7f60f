from .boundedness import boundedness, is_bounded, recession_cone
from .chebyshev import chebyshev_ball
from .convex import inscribed_ellipsoid, project
from .facets import facets, facets_batch
from .feasibility import dimension, feasibility, implicit_equalities, interior_point, is_empty
from .inclusion import inclusion, is_equal, is_subset
from .origin import apex, is_cone, origin_test
from .volumes import vertices, volume
