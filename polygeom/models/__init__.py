"""Where networks come from: converters, toys and real models."""
