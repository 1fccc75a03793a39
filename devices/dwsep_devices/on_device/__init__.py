"""Programs that are sent to a device and run there by its own Python, 3.9 or later, with the standard library alone."""
