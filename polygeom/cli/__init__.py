"""The command line: ``polygeom inspect``, ``enumerate``, ``verify``, ``fetch``."""
