"""How the mail programs of this machine's user reach the daemon, and prove that they may."""
