"""Numba compilation with a cache that notices edits in any of our compiled functions.

Numba's own cache looks at the file of the function alone: after an edit in one file, a compiled caller in another keeps
running the old machine code. Here the key of a cached function holds a fingerprint of every file of the package, so
that an update recompiles once (about ten seconds) and is never wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, overload

import numba
from numba.core.caching import FunctionCache

Function = TypeVar("Function", bound=Callable[..., Any])


@cache
def fingerprint() -> str:
    """A hash of all source files of `recgym` that hold compiled functions."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        source = file.read_bytes()
        if b"@compiled" in source:
            digest.update(source)
    return digest.hexdigest()


class _WatchfulCache(FunctionCache):
    """Numba's cache of one function, keyed by our fingerprint as well."""

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        parent: Any = super()
        return (*parent._index_key(sig, codegen), fingerprint())


@overload
def compiled(function: Function) -> Function: ...
@overload
def compiled(*, inline: str) -> Callable[[Function], Function]: ...
def compiled(function: Any = None, *, inline: str = "never") -> Any:
    """Compile a function when it is first called, or load it from the cache; use as `@compiled`.

    Args:
        function: a function of numbers and arrays.
        inline: "always" copies the body into compiled callers, worth it for a few lines called in a loop.
    """
    if function is None:
        return lambda later: compiled_with(later, inline)
    return compiled_with(function, inline)


def compiled_with(function: Any, inline: str) -> Any:
    """The compiled function, its cache exchanged for ours."""
    njit: Any = numba.njit
    # error_model="numpy": a division by zero gives infinity, as in NumPy, instead of a branch at every division.
    dispatcher = njit(function, cache=True, inline=inline, error_model="numpy")
    if dispatcher is function:  # NUMBA_DISABLE_JIT, for debuggers and coverage
        return function
    if dispatcher._cache.cache_path is not None:
        watchful: Any = _WatchfulCache
        dispatcher._cache = watchful(dispatcher.py_func)
    return dispatcher
