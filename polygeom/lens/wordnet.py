"""Groups of ImageNet's classes by meaning, read off their WordNet ids.

WordNet 3.0 numbers its animals along the tree, so that a range of ids is a family; artifacts it numbers by the
alphabet, so that these are one group here. The ranges cover the 1000 classes of ILSVRC 2012.

Source: Miller 1995, WordNet: a lexical database for English; Russakovsky et al. 2015 (the 1000 classes).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np

from polygeom.errors import InputError

__all__ = ["GROUPS", "wordnet_groups"]

GROUPS = (
    ("n01440764", "fish"),
    ("n01514668", "bird"),
    ("n01629819", "amphibian"),
    ("n01664065", "turtle"),
    ("n01675722", "lizard"),
    ("n01697457", "crocodile"),
    ("n01704323", "dinosaur"),
    ("n01728572", "snake"),
    ("n01768244", "trilobite"),
    ("n01770081", "arachnid"),
    ("n01784675", "centipede"),
    ("n01795545", "bird"),
    ("n01871265", "tusker"),
    ("n01872401", "marsupial or monotreme"),
    ("n01910747", "cnidarian, worm or mollusk"),
    ("n01978287", "crustacean"),
    ("n02002556", "bird"),
    ("n02066245", "sea mammal"),
    ("n02085620", "dog"),
    ("n02114367", "wild canine"),
    ("n02123045", "cat"),
    ("n02132136", "bear"),
    ("n02137549", "viverrine"),
    ("n02165105", "insect"),
    ("n02317335", "echinoderm"),
    ("n02325366", "rabbit"),
    ("n02342885", "rodent"),
    ("n02389026", "ungulate"),
    ("n02441942", "mustelid"),
    ("n02454379", "edentate"),
    ("n02480495", "primate"),
    ("n02504013", "elephant"),
    ("n02509815", "panda"),
    ("n02514041", "fish"),
    ("n02666196", "artifact"),
    ("n06359193", "print or sign"),
    ("n07565083", "food"),
    ("n09193705", "landform"),
    ("n09835506", "person"),
    ("n11879895", "plant"),
    ("n12985857", "fungus"),
    ("n13133613", "plant"),
    ("n15075141", "artifact"),
)
"""The first id of every range, ascending, and the group of all ids from there to the next."""

_ID = re.compile(r"n\d{8}")


def wordnet_groups(names: Iterable[str | PathLike[str]]) -> np.ndarray:
    """Return the group of every image or class, (N,) strings.

    Parameters
    ----------
    names : iterable of str or path
        WordNet ids, or file names that begin with one: ``n02085620_Chihuahua.jpg``.

    Raises
    ------
    InputError
        If a name does not begin with a WordNet id, or the id comes before the first class of ImageNet.

    Examples
    --------
    >>> wordnet_groups(["n02085620_Chihuahua.jpg", "images/n02123045_tabby.jpg", "n04399382"]).tolist()
    ['dog', 'cat', 'artifact']
    """
    firsts = [first for first, _ in GROUPS]
    found = []
    for name in names:
        match = _ID.match(Path(name).name)
        if match is None or match[0] < firsts[0]:
            raise InputError(
                f"{Path(name).name!r} does not begin with the WordNet id of a class of ImageNet, as in "
                "'n02085620_Chihuahua.jpg'. Likely cause: other images; give labels of your own instead."
            )
        found.append(GROUPS[bisect_right(firsts, match[0]) - 1][1])
    return np.array(found, dtype=np.str_)
