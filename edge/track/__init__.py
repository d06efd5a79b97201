"""Following things from frame to frame, in seconds."""
