"""The paper's services (POST 3): accounts, message store, logs, event notification.

Stories over the ports of `post.ports`; applications see `post.services` and nothing below it.
"""
