"""The sections that KV commands print as tables: `== Secret Path ==`, `======= Metadata =======`, `====== Data ======`."""
from __future__ import annotations

from holdfast.cli.output import Ui, output_data
from holdfast.cli.secret import Object


def heading(title: str, width: int) -> str:
    """A title between equal signs, about as wide as what stands below it, and two signs on either side at least."""
    signs = width - (len(title) + 2)
    if signs <= 0:
        signs = 4
    side = "=" * ((signs + 1) // 2)
    return f"{side} {title} {side}"


def heading_over(title: str, data: Object) -> str:
    """A heading as wide as the table of `data`, its header counted."""
    widest = max((len(key.encode()) for key in data), default=0)
    return heading(title, widest + len("    Value"))


def print_path(ui: Ui, path: str, title: str) -> None:
    ui.output(heading(title, len(path.encode())))
    ui.output(path)
    ui.output("")


def print_section(ui: Ui, title: str, data: Object) -> None:
    ui.output(heading_over(title, data))
    output_data(ui, data)
