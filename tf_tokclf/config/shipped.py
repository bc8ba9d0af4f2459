"""Configurations and their JSON Schema, which come with the package, so that they serve a user who installed by pip."""

from __future__ import annotations

from pathlib import Path, PurePath

SHIPPED = Path(__file__).resolve().parent.parent / "shipped"
SHIPPED_SCHEMA = SHIPPED / "config.schema.json"


def shipped_config(path: PurePath) -> Path | None:
    """The shipped configuration that `configs/NAME.yaml` or `NAME.yaml` or `NAME` stands for, if there is one."""
    if path.parent.as_posix() not in (".", "configs"):
        return None
    found = SHIPPED / "configs" / (path.name if path.suffix == ".yaml" else f"{path.name}.yaml")
    return found if found.is_file() else None
