"""How a machine becomes a member's: founded, invited, or brought back with 24 words."""
