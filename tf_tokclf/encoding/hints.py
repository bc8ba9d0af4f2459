"""What a user can do about a model folder that cannot be used: hints of messages that several modules give."""

from __future__ import annotations

AGAIN = "Fetch or save the model again."
WEIGHTS_AGAIN = "Fetch or save the weights again."
UNTRUSTED = "Do not use this model unless you trust its author."
OTHER_TOKENIZER = f"Tokenizer and weights belong to different models. {AGAIN}"
TOGETHER = "config.json and weights must belong together: fetch or save the model again."
OTHER_ENCODER = "Choose an encoder that was trained without it."
NO_PICKLE = "Look for a revision with safetensors, and pass it with --model-revision."
