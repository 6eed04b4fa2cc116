"""What the daemon does for its user's account: machines, keys, names, and alarms about them."""
