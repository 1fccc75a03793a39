"""Devices, their kinds, facts and checks as tables in the terminal."""

from __future__ import annotations

__all__ = ["print_checks", "print_facts", "print_rows"]

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from dwsep_devices.doctor import Check

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red", "not tried": "dim"}


def print_rows(screen: Console, rows: Sequence[Mapping[str, str]]) -> None:
    """Print one row a mapping, titled by its keys; columns without any value are left out."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    shown = [title for title in (rows[0] if rows else ()) if any(row[title] for row in rows)]
    for title in shown:
        table.add_column(Text(title), overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[title]) for title in shown))
    screen.print(table)


def print_facts(screen: Console, facts: Mapping[str, Any]) -> None:
    """Print what a device told of itself, one line a fact; those that it did not tell are left out.

    Args:
        screen: where to.
        facts: :class:`dwsep_devices.probe.Facts` as a mapping, and ``environments`` with the reason why each cannot be
            installed there, empty if it can.
    """
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, value in _lines(facts):
        if value:
            table.add_row(Text(title), Text(value))
    screen.print(table)


def print_checks(screen: Console, checks: Sequence[Check]) -> None:
    """Print one row a check, and below those that failed or warn the command that mends them."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(Text(check.state, style=STYLES[check.state]), Text(check.title), Text(check.found))
        if check.mend and check.state in {"warn", "fail"}:
            table.add_row("", "", Text(f"-> {check.mend}"))
    screen.print(table)


def _lines(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "product", facts["product"]
    yield "cpu", f"{facts['cpu']}{', emulated' if facts['emulator'] else ''}"
    yield "cores", str(facts["cores"] or "")
    if len(facts["clusters"]) > 1:
        yield "clusters", "; ".join(_cluster(cluster) for cluster in facts["clusters"])
    yield "memory", _size(facts["memory_bytes"])
    yield "free space", _size(facts["free_bytes"])
    yield "system", facts["os"]
    bits = f", {facts['bits']}-bit programs" if facts["bits"] else ""
    yield "kernel", f"{facts['kernel']} ({facts['machine']}{bits})"
    yield "C library", facts["libc"]
    yield "page size", f"{facts['page_size'] // 1024} KiB" if facts["page_size"] else ""
    yield "python", ", ".join(f"{python['version']} ({python['path']})" for python in facts["pythons"])
    offered = [governor for governor in facts["governors"] if governor != facts["governor"]]
    yield "governor", f"{facts['governor']}{f' (also: {chr(32).join(offered)})' if offered else ''}"
    yield "sensors", ", ".join(facts["sensors"])
    yield "Android API", str(facts["android_sdk"] or "")
    for name, reason in facts["environments"].items():
        yield f"engines: {name}", reason or "can be had"


def _cluster(cluster: Mapping[str, Any]) -> str:
    numbers = cluster["cores"]
    first, last = numbers[0], numbers[-1]
    span = f"{first}-{last}" if len(numbers) > 1 and last - first == len(numbers) - 1 else ",".join(map(str, numbers))
    speed = f" at most {cluster['max_mhz']:.0f} MHz" if cluster["max_mhz"] else ""
    return f"{span}: {cluster['cpu'] or 'cores'}{speed}"


def _size(count: int | None) -> str:
    if not count:
        return "none" if count == 0 else ""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
