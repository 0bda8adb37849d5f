"""A pcclip loss in its own distribution."""
