"""What each command does; one file per group, one function per command."""
