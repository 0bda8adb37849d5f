"""A pcclip backbone in its own distribution."""
