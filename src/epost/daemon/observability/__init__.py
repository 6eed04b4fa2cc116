"""What a daemon tells those who run it: its log, metrics, its status and that of the ring."""
