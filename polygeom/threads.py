"""One BLAS thread inside solvers: on busy machines several are slower, and the factorizations are small."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = ["one_blas_thread"]

SMALL = 2**15
"""Entries below which BLAS does not start threads worth stopping."""


def one_blas_thread(entries: int) -> AbstractContextManager:
    """Return a context in which BLAS uses one thread, for work on a matrix with this many entries."""
    return nullcontext() if entries < SMALL else _controller().limit(limits=1, user_api="blas")


@cache
def _controller() -> ThreadpoolController:
    """Look for the loaded BLAS libraries once: that takes a millisecond."""
    import scipy.linalg  # noqa: F401  loads the BLAS of scipy, so that the controller sees it
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
