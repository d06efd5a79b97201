"""``evaluate-events``: how well incidents answer to what happens in clips, scored in time."""
