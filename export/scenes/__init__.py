"""Rendered footage of ATM lobbies with exact ground truth: the ``make-scenes`` command.

Scenarios are data (TOML). A scenario is played by posed bodies in a room, rendered by OpenGL in software (Mesa), spoilt
by a simulated camera, and written as a clip with its ground truth beside it. Nothing here runs in the kiosk.
"""
