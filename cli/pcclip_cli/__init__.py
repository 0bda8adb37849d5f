"""The command line of pcclip: one module a command, no logic that the core lacks."""
