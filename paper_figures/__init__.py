"""The paper's tables and pictures, one script each: ``python -m paper_figures --list``."""
