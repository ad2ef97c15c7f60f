"""Sets of facets as bits of a word: one machine instruction each to count and to scan."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

__all__ = ["count", "lowest"]


@intrinsic
def count(typing_context: object, word: types.Type) -> tuple:
    """Return how many bits of an unsigned word are set."""

    def generate(context: object, builder: ir.IRBuilder, signature: object, arguments: tuple) -> ir.Value:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@intrinsic
def lowest(typing_context: object, word: types.Type) -> tuple:
    """Return the position of the lowest bit set of an unsigned word, which must not be 0."""

    def generate(context: object, builder: ir.IRBuilder, signature: object, arguments: tuple) -> ir.Value:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
