from . import claims, contact_sheets, lens, models, plotting, testing
from .affine import AffineMap
from .budget import Budget
from .certificates import Check, Level
from .claims.registry import verify, verify_all
from .claims.verdict import Verdict
from .codes import SplineCodes
from .complex_checks import check_complex
from .complexes import PolyhedralComplex
from .enumeration.regions import RegionCount, enumerate_regions, region_batches
from .errors import (
    BudgetError,
    ClaimError,
    ConversionError,
    DownloadError,
    InputError,
    MissingPackageError,
    NotPiecewiseAffineError,
    PolygeomError,
    SolverError,
    TooLargeError,
    UndecidedError,
)
from .exits import nearest_boundaries, ray_exit
from .exploration.explored import Exploration
from .exploration.neighbours import Neighbours, neighbours
from .exploration.paths import RegionPath, shortest_path
from .exploration.search import explore
from .lines.arcs import ArcCrossings, arc_crossings
from .lines.crossings import LineCrossings, UndecidedBand
from .lines.density import Density, density, sampled_density
from .lines.scaling import ScalingCrossings, scaling_crossings
from .lines.segments import line_crossings
from .models.convert import from_onnx, from_torch
from .network import Network
from .pieces import AffinePiece, piece_at, spline_codes
from .polyhedron import Polyhedron
from .predicates import (
    apex,
    boundedness,
    chebyshev_ball,
    dimension,
    facets,
    facets_batch,
    feasibility,
    implicit_equalities,
    inclusion,
    inscribed_ellipsoid,
    interior_point,
    is_bounded,
    is_cone,
    is_empty,
    is_equal,
    is_subset,
    origin_test,
    project,
    recession_cone,
    vertices,
    volume,
)
