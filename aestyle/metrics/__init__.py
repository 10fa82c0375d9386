"""Feature networks and named metric recipes."""
