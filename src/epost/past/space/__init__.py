"""What a storage node does about space: placing near full disks, spare space, leases, trash."""
