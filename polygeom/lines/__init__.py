"""Lines through a network: every boundary met, in order, exactly."""
