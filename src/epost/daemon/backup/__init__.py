"""Backups of a machine's folders in one encrypted file (crypto 2.3): keys, certificates, registers.

Mail is not in it: that is in the ring. A user's prekeys are left out, so that an old backup does
not open what was sealed to her since.
"""
