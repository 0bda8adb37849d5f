"""A pcclip captioner in its own distribution."""
