"""The organisation's authority: its keys, its register of members, and enrolment (paper 3)."""
