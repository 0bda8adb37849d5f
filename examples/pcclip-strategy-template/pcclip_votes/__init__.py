"""A pcclip strategy in its own distribution."""
