"""Regions around a point, found one by one across certified facets, where listing all of them is hopeless."""
