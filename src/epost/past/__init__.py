"""Replicated block storage (PAST, paper section 2): every block proves itself, k nodes keep it."""
