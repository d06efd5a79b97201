"""Sources of frames. ``interface.Camera`` is the contract; capture runs in a process that can be killed."""
