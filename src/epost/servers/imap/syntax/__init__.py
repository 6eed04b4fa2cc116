"""The sans-IO half of the server: bytes to typed requests, values to response bytes."""
