"""Build, quantize, export and measure networks of depthwise separable convolutions.

>>> import edge_dwsep
>>> model = edge_dwsep.build("mobilenet_v1", alpha=0.25, input_shape=(32, 32, 1), classes=10)  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_dwsep.models.registry import build

__all__ = ["__version__", "build"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import ``build`` when it is first asked for, so that importing the package stays quick."""
    if name == "build":
        from edge_dwsep.models.registry import build

        return build
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
