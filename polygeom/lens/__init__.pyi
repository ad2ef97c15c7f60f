from .code_directions import CodeDirection, UnitFlip, unit_flips
from .code_maps import CodeCell, code_cell
from .directions import DirectionComparison, DirectionFit, compare_directions, fit_directions, shuffled_codes
from .interaction import CodeInteraction, Interactions, code_interaction, interactions
from .parallelograms import SecondDifference
from .planted import Planted, planted
