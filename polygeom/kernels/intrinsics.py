"""Single machine instructions that the compiler does not find by itself: bits of a word, branchless minima."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

__all__ = ["choose", "count", "eight", "larger", "lowest", "smaller"]


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


@intrinsic
def eight(typing_context: object, array: types.Array, first: types.Type) -> tuple:
    """Return eight bytes of a uint8 array from position `first` on as one word, the first one lowest."""

    def generate(context: object, builder: ir.IRBuilder, signature: object, arguments: tuple) -> ir.Value:
        data = make_array(signature.args[0])(context, builder, arguments[0]).data
        at = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(at, align=1)

    return types.uint64(array, types.int64), generate


@intrinsic
def smaller(typing_context: object, a: types.Type, b: types.Type) -> tuple:
    """Return a if a < b, else b, without a branch."""

    def generate(context: object, builder: ir.IRBuilder, signature: object, arguments: tuple) -> ir.Value:
        return builder.select(builder.fcmp_ordered("<", *arguments), *arguments)

    return types.float64(types.float64, types.float64), generate


@intrinsic
def larger(typing_context: object, a: types.Type, b: types.Type) -> tuple:
    """Return a if a > b, else b, without a branch."""

    def generate(context: object, builder: ir.IRBuilder, signature: object, arguments: tuple) -> ir.Value:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return types.float64(types.float64, types.float64), generate


@intrinsic
def choose(typing_context: object, condition: types.Type, a: types.Type, b: types.Type) -> tuple:
    """Return integer a if the condition holds, else b, without a branch."""

    def generate(context: object, builder: ir.IRBuilder, signature: object, arguments: tuple) -> ir.Value:
        return builder.select(
            context.cast(builder, arguments[0], types.boolean, types.boolean), *arguments[1:]
        )

    return types.int64(types.boolean, types.int64, types.int64), generate
