"""Kiosk Guard's runtime: camera frames in, incidents, local alarm and email out."""

import os

# onnxruntime 1.29 and later report to their maker over the network, and keep what is to be sent in the home directory,
# unless this stands before it is loaded. Nothing leaves a kiosk but its mails.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
