"""The configurations and the JSON Schema that come with the package."""

from __future__ import annotations

from pathlib import Path, PurePath

SHIPPED = Path(__file__).resolve().parent.parent / "shipped"
SHIPPED_SCHEMA = SHIPPED / "config.schema.json"


def shipped_config(path: PurePath) -> Path | None:
    """The shipped configuration for `configs/NAME.yaml`, `NAME.yaml` or `NAME`. None if there is none."""
    if path.parent.as_posix() not in (".", "configs"):
        return None
    found = SHIPPED / "configs" / (path.name if path.suffix == ".yaml" else f"{path.name}.yaml")
    return found if found.is_file() else None
