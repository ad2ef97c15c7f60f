"""Claims by name, and how they are judged.

A claim is a pure function from an `Instance` to a `Verdict`. `claim` registers one; `verify` judges it,
`verify_all` judges many and lets none stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from time import perf_counter

from polygeom.arrays import as_count
from polygeom.budget import Budget
from polygeom.claims.instance import ENOUGH, Instance
from polygeom.claims.verdict import Outcome, Verdict, undecided
from polygeom.errors import (
    BudgetError,
    ClaimError,
    InputError,
    MissingPackageError,
    PolygeomError,
    TooLargeError,
    UndecidedError,
)
from polygeom.network import Network, as_network
from polygeom.polyhedron import Polyhedron

__all__ = ["Claim", "Registry", "Verdicts", "claim", "registry", "verify", "verify_all"]

OPEN_ERRORS = (BudgetError, MissingPackageError, TooLargeError, UndecidedError)
"""What a claim may run into without being wrong: the answer is UNDECIDED, the message says why."""


@dataclass(frozen=True)
class Claim:
    """A geometric statement that can be judged.

    Attributes
    ----------
    id : str
    statement : str
        In one sentence.
    hypothesis : str
        When it says something; a network that does not meet it is answered with NOT_APPLICABLE.
    source : str
        With theorem number, or the page of docs/ that proves it.
    settled_by : str
        What the verdict rests on.
    judge : callable
        From an `Instance` to a `Verdict`.
    expects : mapping of str to Outcome
        What theory expects on networks known by name (`polygeom.models.toy.NAMED`).
    """

    id: str
    statement: str
    hypothesis: str
    source: str
    settled_by: str
    judge: Callable[[Instance], Verdict]
    expects: Mapping[str, Outcome] = field(default_factory=dict)


class Registry(Mapping[str, Claim]):
    """All claims by id, in the order in which they were registered."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}

    def __getitem__(self, name: str) -> Claim:
        if not isinstance(name, str) or name not in self._claims:
            near = get_close_matches(str(name), self._claims, n=1, cutoff=0.0)
            raise InputError(
                f"There is no claim {name!r}. Nearest: {', '.join(near)}. All: {', '.join(self._claims)}."
            )
        return self._claims[name]

    def __contains__(self, name: object) -> bool:
        return name in self._claims

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims)

    def __len__(self) -> int:
        return len(self._claims)

    def add(self, new: Claim) -> None:
        """Register a claim. The same function may be registered again (a notebook cell run twice)."""
        old = self._claims.get(new.id)
        if old is not None and _place(old) != _place(new):
            raise InputError(f"The id {new.id!r} is taken by {_place(old)}; choose another.")
        self._claims[new.id] = new

    def remove(self, name: str) -> None:
        """Forget a claim."""
        del self._claims[self[name].id]


def _place(known: Claim) -> str:
    return f"{known.judge.__module__}.{known.judge.__qualname__}"


registry = Registry()
"""All claims."""


def claim(
    name: str,
    *,
    statement: str,
    source: str,
    hypothesis: str = "none",
    settled_by: str = "",
    expects: Mapping[str, Outcome] | None = None,
) -> Callable[[Callable[[Instance], Verdict]], Claim]:
    """Make a function from an `Instance` to a `Verdict` a claim, and register it.

    Parameters
    ----------
    name : str
        The id, short, in words with hyphens.
    statement, source, hypothesis, settled_by, expects
        See `Claim`.

    Raises
    ------
    InputError
        If another function has this id.

    Examples
    --------
    >>> import polygeom as pg
    >>> @pg.claims.claim("odd-count", statement="The number of regions is odd.", source="a guess")
    ... def odd_count(instance):
    ...     n = instance.complex.n_regions
    ...     judge = pg.claims.holds if n % 2 else pg.claims.fails
    ...     return judge(pg.Level.EXACT, f"There are {n} regions.", regions=n)
    >>> net = pg.Network.from_layers([([[1, 0], [0, 1], [1, 1]], [0, 0, -1]), ([[1, 1, 1]], [0])])
    >>> print(pg.verify("odd-count", net=net))
    odd-count: holds, exact. There are 7 regions.
    >>> pg.claims.registry.remove("odd-count")
    """

    def register(judge: Callable[[Instance], Verdict]) -> Claim:
        made = Claim(name, statement, hypothesis, source, settled_by, judge, dict(expects or {}))
        registry.add(made)
        return made

    return register


# -- judging ---------------------------------------------------------------------------------------------------


def verify(
    of: str | Claim,
    net: Network,
    domain: Polyhedron | None = None,
    *,
    seed: int = 0,
    budget: Budget = ENOUGH,
) -> Verdict:
    """Judge one claim on a network.

    Parameters
    ----------
    of : str or Claim
        An id of `registry`, or a claim.
    net : Network
    domain : Polyhedron, optional
        The part of the input space looked at; None: all of it.
    seed : int
        From which random numbers are drawn.
    budget : Budget
        How far regions are enumerated; beyond it the verdict is UNDECIDED.

    Returns
    -------
    Verdict
        HOLDS, FAILS, UNDECIDED or NOT_APPLICABLE, with its level, text, numbers and witness.

    Raises
    ------
    InputError
        If the id is unknown (the nearest is named), or net is no `Network`.
    ClaimError
        If the claim's function raises, or returns something else than a verdict.

    Examples
    --------
    >>> from polygeom.models import toy
    >>> verdict = verify("partition", net=toy.cone(2))
    >>> verdict.outcome, bool(verdict.check())
    (<Outcome.HOLDS: 'holds'>, True)
    """
    return _judged(_known(of), _instance(net, domain, seed, budget))


def verify_all(
    net: Network,
    domain: Polyhedron | None = None,
    ids: Iterable[str] | None = None,
    *,
    name: str | None = None,
    seed: int = 0,
    budget: Budget = ENOUGH,
    progress: bool = False,
) -> Verdicts:
    """Judge many claims on one network; regions are enumerated once for all.

    Parameters
    ----------
    net, domain, seed, budget
        As for `verify`.
    ids : iterable of str, optional
        Which claims; None: all.
    name : str, optional
        A name of `polygeom.models.toy.NAMED`, if theory's expectations on it are to be compared.
    progress : bool
        Show a bar.

    Returns
    -------
    Verdicts
        By id. A claim that fails itself is UNDECIDED, with `error` set; Ctrl-C ends the list where it is.

    Raises
    ------
    InputError
        If an id is unknown, net is no `Network`, seed no count or budget no `Budget`.

    Examples
    --------
    >>> from polygeom.models import toy
    >>> verdicts = verify_all(toy.cone(2), ids=["partition"])
    >>> [v.outcome.value for v in verdicts.values()]
    ['holds']
    """
    from tqdm.auto import tqdm

    if isinstance(ids, str) or not isinstance(ids, Iterable | None):
        raise InputError(f"ids is {ids!r:.80}, wanted some ids of claims, ['partition'] for example.")
    if not isinstance(name, str | None):
        raise InputError(f"name is {name!r:.80}, wanted that of a toy network.")
    claims = [registry[i] for i in (registry if ids is None else ids)]
    instance, found = _instance(net, domain, seed, budget), {}
    bar = tqdm(claims, disable=not progress, unit="claim")
    try:
        for one in bar:
            bar.set_postfix_str(one.id)
            try:
                verdict = _judged(one, instance)
            except ClaimError as error:
                verdict = replace(undecided(str(error)), claim=one.id, error=str(error))
            found[one.id] = replace(verdict, expected=one.expects.get(name) if name else None)
    except KeyboardInterrupt:
        if not found:
            raise
    return Verdicts(found, finished=len(found) == len(claims))


@dataclass(frozen=True)
class Verdicts(Mapping[str, Verdict]):
    """Verdicts by claim.

    Attributes
    ----------
    verdicts : dict of str to Verdict
    finished : bool
        Whether all claims asked for were judged.
    """

    verdicts: dict[str, Verdict]
    finished: bool = True

    def __getitem__(self, name: str) -> Verdict:
        return self.verdicts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.verdicts)

    def __len__(self) -> int:
        return len(self.verdicts)

    @property
    def as_expected(self) -> bool:
        """Whether no verdict differs from what theory expects, and no claim failed itself."""
        return all(verdict.as_expected for verdict in self.values())

    def __str__(self) -> str:
        return "\n".join(map(str, self.values()))


def _known(of: object) -> Claim:
    if isinstance(of, Claim):
        return of
    if isinstance(of, str):
        return registry[of]
    raise InputError(f"verify got a {type(of).__name__}, wanted the id of a claim or a Claim.")


def _instance(net: object, domain: object, seed: int, budget: Budget) -> Instance:
    net = as_network(net)
    if domain is not None and (not isinstance(domain, Polyhedron) or domain.dim != net.dim_in):
        raise InputError(
            f"domain is {domain!r}, wanted a Polyhedron in R^{net.dim_in}, or None for all of it."
        )
    if not isinstance(budget, Budget):
        raise InputError(f"budget is {budget!r:.80}, wanted a Budget(regions=..., seconds=..., bytes=...).")
    return Instance(net, domain, as_count(seed, "seed"), budget)


def _judged(one: Claim, instance: Instance) -> Verdict:
    """Return the verdict of a claim, with its name and time."""
    began = perf_counter()
    try:
        verdict = one.judge(instance)
    except OPEN_ERRORS as error:
        verdict = undecided(str(error))
    except PolygeomError as error:
        raise ClaimError(f"The claim {one.id!r} cannot be judged here: {error}") from error
    except Exception as error:  # whatever a user's function raises belongs to that claim alone
        raise ClaimError(
            f"The claim {one.id!r} ({_place(one)}) raised {type(error).__name__}: {error}. That is an "
            "error in the claim, not a verdict."
        ) from error
    if not isinstance(verdict, Verdict):
        raise ClaimError(
            f"The claim {one.id!r} ({_place(one)}) returned a {type(verdict).__name__}, wanted a Verdict: "
            "return holds(...), fails(...), undecided(...) or not_applicable(...) of polygeom.claims."
        )
    return replace(verdict, claim=one.id, seconds=perf_counter() - began)
