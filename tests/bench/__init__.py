"""Benches: what the project claims of itself, measured.

A bench is a module of this folder that holds a click command named ``command``; nothing else has to be
told of it. It prints what a person wants to see, and as the last line of stdout one JSON object.
"""
