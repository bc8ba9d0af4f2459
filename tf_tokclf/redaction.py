"""Remove tokens of the Hub from texts that people see, store or paste into reports."""

from __future__ import annotations

import os
import re


def redact(text: str, *tokens: str | None) -> str:
    """`text` without the given tokens, that of HF_TOKEN, and anything that looks like a token.

    >>> redact("https://user:hf_abcdefghijklmnop@huggingface.co/a/b", None)
    'https://***@huggingface.co/a/b'
    >>> redact("token hf_abcdefghijklmnop")
    'token ***'
    """
    for token in (*tokens, os.environ.get("HF_TOKEN")):
        # A shorter text is not a token, and might be part of ordinary words.
        if token and len(token) >= 8:
            text = text.replace(token, "***")
    text = re.sub(r"(https?://)[^/@\s]+@", r"\1***@", text)
    return re.sub(r"\bhf_[A-Za-z0-9_]{8,}", "***", text)
