"""log_complaints: what goes wrong in the prediction log in; lines in the service's own log out."""

import logging
import time

LOGGER = logging.getLogger(__name__)
EVERY = 60.0  # seconds


class Complaints:
    """Tells what is wrong, but not every time: it may be so with each request."""

    def __init__(self) -> None:
        self._told = -EVERY

    def tell(self, what: str) -> None:
        """Say it, unless something was said a moment ago."""
        now = time.monotonic()
        if now - self._told >= EVERY:
            self._told = now
            LOGGER.warning("prediction log: %s", what)
