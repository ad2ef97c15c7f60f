r"""Find spline codes among millions: a hash table of packed codes, and the joins that make neighbors of facets.

A code of B bytes is hashed by tabulation: every byte position and value owns a random 64-bit word, the hash is the
exclusive or of the B words of a code. Changing one byte changes the hash by two words, so the hash of a code with
one letter changed costs O(1). Equal hashes prove nothing: every hit is confirmed by comparing all bytes, and a
collision only sends the search on to the next slot.

The table is open addressing with linear probing: ``slots`` holds region numbers, or -1, at least twice as many as
there are regions; a region stands in the first slot that was free at or after the last bits of its hash.

Sources: A. L. Zobrist 1970 (exclusive or of words); M. Patrascu, M. Thorup 2012, The power of simple tabulation
hashing, J. ACM 59 (linear probing with it takes constant expected time).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

__all__ = ["ABSENT", "AMBIGUOUS", "CodeTable", "differing_units"]

ABSENT, AMBIGUOUS = -1, -2
"""Instead of a region: no such code is listed; several codes fit."""


@dataclass(frozen=True, eq=False)
class CodeTable:
    """The hash table of packed codes (N, B) uint8, all different.

    Attributes
    ----------
    packed : (N, B) uint8
    words : (B, 256) uint64
        The word of every byte position and value.
    hashes : (N,) uint64
    slots : (2^s,) int32
        Region numbers, or -1.
    """

    packed: np.ndarray
    words: np.ndarray
    hashes: np.ndarray
    slots: np.ndarray

    @classmethod
    def of(cls, packed: np.ndarray) -> tuple[CodeTable, tuple[int, int] | None]:
        """Return the table, and two regions with the same code if there are any. Cost: about 0.1 us a region."""
        packed = np.ascontiguousarray(packed)
        words = np.random.default_rng(0).integers(0, 2**64, (packed.shape[1], 256), dtype=np.uint64)
        hashes = _hash(packed, words)
        slots = np.full(1 << (2 * len(packed) + 1).bit_length(), -1, dtype=np.int32)
        first, second = _fill(packed, hashes, slots)
        return cls(packed, words, hashes, slots), None if first < 0 else (int(first), int(second))

    def find(self, codes: np.ndarray) -> np.ndarray:
        """Return the regions with these packed codes (M, B), -1 where there is none."""
        codes = np.ascontiguousarray(codes)
        return _find(self.packed, self.hashes, self.slots, codes, _hash(codes, self.words))

    def across_bits(self, starts: np.ndarray, units: np.ndarray) -> np.ndarray:
        """Return, facet by facet, the region whose code differs in the facet's unit alone, or ABSENT.

        For codes of one bit a letter; facets are given region by region (`starts`). Cost: 0.1 us a facet.
        """
        return _across_bits(self.packed, self.words, self.hashes, self.slots, starts, units)

    def across_letters(
        self, starts: np.ndarray, units: np.ndarray, reachable: np.ndarray, complete: bool
    ) -> np.ndarray:
        """Return the same for codes of one byte a letter.

        ``reachable`` (n_units, L, L) tells to which letters each letter of a unit can change across a facet. Where
        several of those codes are listed, and the unit draws as many facets of the region, they are given out in
        order; else, or where the list is not complete and may lack one, the facets are AMBIGUOUS.
        """
        arguments = (self.packed, self.words, self.hashes, self.slots, starts, units, reachable, complete)
        return _across_letters(*arguments)

    def flips(self, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all triples (i, j, g), i < j, where the codes of i and j differ exactly in mask g (G, B)."""
        arguments = (self.packed, self.words, self.hashes, self.slots, masks)
        partner = _flips(*arguments)
        i, g = np.nonzero(partner >= 0)
        j = partner[i, g].astype(np.int64)
        once = i < j
        return i[once], j[once], g[once]


@numba.njit(cache=True)
def _hash(codes, words):
    """Return the hash of every code: the exclusive or of the words of its bytes."""
    hashes = np.zeros(len(codes), dtype=np.uint64)
    for i in range(len(codes)):
        h = np.uint64(0)
        for b in range(codes.shape[1]):
            h ^= words[b, codes[i, b]]
        hashes[i] = h
    return hashes


@numba.njit(cache=True)
def _fill(packed, hashes, slots):
    """Insert all regions; return two with equal codes, or (-1, -1)."""
    last = np.uint64(len(slots) - 1)
    first, second = -1, -1
    for i in range(len(packed)):
        slot = hashes[i] & last
        while slots[slot] >= 0:
            j = slots[slot]
            if hashes[j] == hashes[i] and (packed[j] == packed[i]).all():
                first, second = j, i
            slot = (slot + np.uint64(1)) & last
        slots[slot] = i
    return first, second


@numba.njit(cache=True)
def _lookup(packed, hashes, slots, code, key):
    """Return the region with this code and hash, or -1."""
    last = np.uint64(len(slots) - 1)
    slot = key & last
    while slots[slot] >= 0:
        j = slots[slot]
        if hashes[j] == key:
            same = True
            for b in range(len(code)):
                if packed[j, b] != code[b]:
                    same = False
                    break
            if same:
                return j
        slot = (slot + np.uint64(1)) & last
    return -1


@numba.njit(cache=True)
def _find(packed, hashes, slots, codes, keys):
    found = np.empty(len(codes), dtype=np.int32)
    for i in range(len(codes)):
        found[i] = _lookup(packed, hashes, slots, codes[i], keys[i])
    return found


@numba.njit(cache=True)
def _across_bits(packed, words, hashes, slots, starts, units):
    found = np.empty(len(units), dtype=np.int32)
    code = np.empty(packed.shape[1], dtype=np.uint8)
    for i in range(len(packed)):
        code[:] = packed[i]
        for f in range(starts[i], starts[i + 1]):
            b = units[f] >> 3
            old = code[b]
            code[b] = old ^ np.uint8(128 >> (units[f] & 7))
            key = hashes[i] ^ words[b, old] ^ words[b, code[b]]
            found[f] = _lookup(packed, hashes, slots, code, key)
            code[b] = old
    return found


@numba.njit(cache=True)
def _across_letters(packed, words, hashes, slots, starts, units, reachable, complete):
    found = np.empty(len(units), dtype=np.int32)
    code = np.empty(packed.shape[1], dtype=np.uint8)
    for i in range(len(packed)):
        code[:] = packed[i]
        for f in range(starts[i], starts[i + 1]):
            u = units[f]
            drawn, before = 0, 0  # facets that this unit draws, and how many of them come before this one
            for other in range(starts[i], starts[i + 1]):
                if units[other] == u:
                    drawn += 1
                    if other < f:
                        before += 1
            possible, fitting, own = 0, 0, -1
            old = code[u]
            for letter in range(reachable.shape[2]):
                if not reachable[u, old, letter]:
                    continue
                possible += 1
                code[u] = letter
                key = hashes[i] ^ words[u, old] ^ words[u, code[u]]
                j = _lookup(packed, hashes, slots, code, key)
                if j >= 0:
                    if fitting == before:
                        own = j
                    fitting += 1
            code[u] = old
            if fitting == drawn and (complete or possible == drawn):
                found[f] = own
            else:
                found[f] = ABSENT if fitting == 0 else AMBIGUOUS
    return found


@numba.njit(cache=True)
def _flips(packed, words, hashes, slots, masks):
    """Return (N, G): the region whose code differs exactly in a mask, or -1."""
    partner = np.full((len(packed), len(masks)), -1, dtype=np.int32)
    code = np.empty(packed.shape[1], dtype=np.uint8)
    for i in range(len(packed)):
        for g in range(len(masks)):
            key = hashes[i]
            for b in range(packed.shape[1]):
                code[b] = packed[i, b] ^ masks[g, b]
                if masks[g, b]:
                    key ^= words[b, packed[i, b]] ^ words[b, code[b]]
            partner[i, g] = _lookup(packed, hashes, slots, code, key)
    return partner


# -- what differs between two codes --------------------------------------------------------------------------


@numba.njit(cache=True)
def _list_differences(one, other, bits, units):
    """Write the columns in which two codes differ as far as there is room; return how many there are."""
    count = 0
    for b in range(len(one)):
        rest = np.int64(one[b] ^ other[b])
        if rest == 0:
            continue
        for bit in range(8 if bits else 1):
            if not bits or rest & (128 >> bit):
                if count < len(units):
                    units[count] = 8 * b + bit if bits else b
                count += 1
    return count


@numba.njit(cache=True)
def differing_units(codes, edges, bits):
    """Return starts (E + 1,) and units, edge by edge: the columns in which the codes of its two regions differ.

    ``codes`` (N, B) holds eight letters a byte if `bits`, one letter an entry otherwise.
    """
    starts, nowhere = np.zeros(len(edges) + 1, dtype=np.int64), np.empty(0, dtype=np.int32)
    for e in range(len(edges)):
        starts[e + 1] = starts[e] + _list_differences(codes[edges[e, 0]], codes[edges[e, 1]], bits, nowhere)
    units = np.empty(starts[-1], dtype=np.int32)
    for e in range(len(edges)):
        _list_differences(codes[edges[e, 0]], codes[edges[e, 1]], bits, units[starts[e] :])
    return starts, units
