"""A real plant agent on each field protocol, taken through faults, with what it wrote checked."""
