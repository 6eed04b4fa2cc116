"""Mail on its way: submitted, announced, taken in, and reported on (paper 4.2, 4.3)."""
