"""The composition root: reads the configuration, chooses concretes, builds objects and threads."""
