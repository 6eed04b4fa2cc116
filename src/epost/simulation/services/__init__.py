"""What happens to the users of an organisation: several machines, old disks, lying delegates."""
