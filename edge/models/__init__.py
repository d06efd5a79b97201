"""Model bundles on the box: where the shipped one lies."""
