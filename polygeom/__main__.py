"""The command line: ``polygeom --help``, or ``python -m polygeom --help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import polygeom as pg
from polygeom.cli.enumerate import add_enumerate
from polygeom.cli.fetch import add_fetch
from polygeom.cli.inspect import add_inspect
from polygeom.cli.terminal import REFUSED, STOPPED
from polygeom.cli.verify import add_verify
from polygeom.errors import PolygeomError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code.

    Examples
    --------
    >>> main(["verify", "partition", "--net", "toy:nowhere"])  # a message on standard error
    2
    """
    parser = argparse.ArgumentParser(prog="polygeom", description=pg.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"polygeom {pg.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (add_inspect, add_enumerate, add_verify, add_fetch):
        add(commands)
    request = parser.parse_args(arguments)
    try:
        return int(request.run(request))
    except PolygeomError as error:
        print(f"polygeom: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("polygeom: stopped.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # what was piped to has read enough
        sys.stderr.close()
        return 0
    except OSError as error:  # a disk is full, a folder went away
        print(f"polygeom: {error.strerror or error}", file=sys.stderr)
        return REFUSED


if __name__ == "__main__":
    sys.exit(main())
