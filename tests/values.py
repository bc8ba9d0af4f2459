"""Properties of all value classes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest


def check_values(*classes: type, slots: bool = False, by_identity: bool = False) -> None:
    """Check that values are immutable. slots: they have slots, because there are many of them. by_identity:
    they contain arrays, so they are compared by identity."""
    for cls in classes:
        one, other = (object.__new__(cls) for _ in range(2))
        for field in fields(cls):
            with pytest.raises(FrozenInstanceError):
                setattr(one, field.name, 1)
        assert hasattr(one, "__dict__") is not slots, cls
        if by_identity:
            assert one != other, cls
            assert len({one, other, one}) == 2, cls
