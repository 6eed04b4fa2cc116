"""What is made of a mail's octets for listing, showing and searching."""
