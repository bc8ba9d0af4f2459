"""What holds for all classes of values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest


def check_values(*classes: type, slots: bool = False, by_identity: bool = False) -> None:
    """Values are never changed. slots: they take no more memory than they need, as there are many of them. by_identity:
    they hold arrays, which cannot be compared with ==."""
    for cls in classes:
        one, other = (object.__new__(cls) for _ in range(2))
        for field in fields(cls):
            with pytest.raises(FrozenInstanceError):
                setattr(one, field.name, 1)
        assert hasattr(one, "__dict__") is not slots, cls
        if by_identity:
            assert one != other, cls
            assert len({one, other, one}) == 2, cls
