"""All regions of a network: cells split unit by unit, exactly, until every unit has its letter."""
