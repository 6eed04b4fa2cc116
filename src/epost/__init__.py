"""ePOST: mail and messaging without servers (POST, HotOS 2003)."""

__version__ = "0.1.0"
