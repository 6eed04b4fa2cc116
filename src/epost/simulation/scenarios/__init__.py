"""What happens in a run: who does what, what goes wrong, what is checked."""
