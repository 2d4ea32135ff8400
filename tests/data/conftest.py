from .places import place

__all__ = ["place"]
