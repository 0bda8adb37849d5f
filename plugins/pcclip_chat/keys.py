"""The key, from its environment variable to the request, and nowhere else."""

from __future__ import annotations

import functools
import logging
import os

from pcclip.errors import UsageError
from pcclip_chat.options import ChatOptions

log = logging.getLogger("pcclip.chat")


def read_key(options: ChatOptions) -> str | None:
    """Return the key, or None where the variable is not set and nobody named it.

    Raises:
        UsageError: the user named a variable that is not set, or its value cannot be a key.
    """
    name = options.api_key_env
    key = os.environ.get(name, "").strip()
    if not key:
        if "api_key_env" in options.model_fields_set:
            raise UsageError(f"the environment variable {name} is not set", f"Put the key into it: export {name}=...")
        return None
    if not (key.isascii() and key.isprintable() and " " not in key):
        # Checked here, for the HTTP library's own error would quote it.
        raise UsageError(f"the environment variable {name} holds no key", "A key is printable ASCII without spaces.")
    if options.base_url.startswith("http:") and not options.is_local:
        _warn_once(name, options.base_url)
    return key


@functools.cache
def _warn_once(name: str, base_url: str) -> None:
    log.warning("the key in %s goes to %s unencrypted; prefer an https address", name, base_url)
