"""Publish model folders and runs to the Hub, and verify each upload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tf_tokclf.publishing.hub_repository import push_folder
    from tf_tokclf.publishing.keras_callback import PushToHubCallback

__all__ = ["PushToHubCallback", "push_folder"]


def __getattr__(name: str) -> Any:
    """Import on first use, because the callback loads TensorFlow, which pushing a folder does not need."""
    if name == "PushToHubCallback":
        from tf_tokclf.publishing.keras_callback import PushToHubCallback

        return PushToHubCallback
    if name == "push_folder":
        from tf_tokclf.publishing.hub_repository import push_folder

        return push_folder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
