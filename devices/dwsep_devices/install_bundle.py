"""Make an environment on an Android device out of a bundle: one archive, unpacked and tried there by a shell script."""

from __future__ import annotations

__all__ = ["install_bundle"]

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from dwsep_devices.bundle import Bundle, build_bundle, bundle_command
from dwsep_devices.errors import DeviceFull, DeviceUnsuitable, PermanentDeviceError, TransientDeviceError
from dwsep_devices.install import INSTALL_SECONDS, import_program
from dwsep_devices.sources import runtime_sources
from dwsep_devices.transport import quoted

if TYPE_CHECKING:
    from dwsep_devices.probe import Facts
    from dwsep_devices.remote import RemoteDevice

FULL = "No space left"


def install_bundle(
    device: RemoteDevice, environment: str, pointer: str, facts: Facts, on_step: Callable[[str], None]
) -> None:
    """Make an environment on a device, unless one of the same content is there, and let a pointer lead to it.

    Args:
        device: where.
        environment: name in ``ENVIRONMENTS``.
        pointer: name of the file that holds the environment's hash.
        facts: of the device.
        on_step: told of each step that takes time, as it begins.

    Raises:
        DeviceUnsuitable: there are no packages for the device, or they do not run on it.
        DeviceFull: it has too little free space.
        DeviceError: it could not be made for another reason.
    """
    begin = f"{device.name}: environment {environment}"
    bundle = build_bundle(environment, facts.machine, on_step)
    blob = f"{device.root}/blobs/{bundle.sha256}.tar.gz"
    made = f"{device.root}/env/{bundle.sha256}"
    if "there" not in device.ask(f"{_stands(made)} && echo there; true"):
        size = bundle.path.stat().st_size
        if facts.free_bytes is not None and facts.free_bytes < size + bundle.unpacked_bytes:
            needed = f"{(size + bundle.unpacked_bytes) / 1e6:.0f} MB, and {facts.free_bytes / 1e6:.0f}"
            raise DeviceFull(f"{begin} needs {needed} are free in {device.root}; make room there")
        on_step(f"push {environment} ({size / 1e6:.1f} MB)")
        device.push(bundle.path, blob, bundle.sha256)
    sources = runtime_sources(device)
    on_step(f"install {environment}")
    said = device.ask(_script(device.root, bundle, blob, sources, pointer), timeout=INSTALL_SECONDS)
    told = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if told.get("installed") == "yes":
        return
    reason = told.get("failed", "")
    if FULL in reason:
        raise DeviceFull(f"{begin} could not be made: the device is full ({reason}); make room there")
    if told.get("at") == "import":
        raise DeviceUnsuitable(f"{begin} does not run there: {reason or 'it gave no reason'}")
    if told.get("at") == "unpack":
        raise PermanentDeviceError(f"{begin} could not be unpacked: {reason or 'it gave no reason'}")
    raise TransientDeviceError(f"{begin} could not be made: its installation broke off")


def _stands(folder: str) -> str:
    """A command that tells whether an environment is whole: its record is written last."""
    name = folder.rpartition("/")[2]
    return f"""grep -q '"hash": "{name}".*"engines": {{' {quoted(folder)}/environment.json 2>/dev/null"""


def _script(root: str, bundle: Bundle, blob: str, sources: str, pointer: str) -> str:
    """Unpack beside the place, try it, rename it; then remove the archive and environments that nothing leads to."""
    record = {
        "environment": bundle.environment,
        "hash": bundle.sha256,
        "packages": dict(bundle.packages),
        "python": bundle.python,
        "bundle": bundle.machine,
    }
    trial = [*bundle_command(f"{root}/env/{bundle.sha256}.part", bundle.machine, sources), "-c"]
    trial.append(import_program(bundle.environment))
    name = bundle.environment
    # The record is closed by the versions that the trial prints.
    opened = json.dumps(record)[:-1] + ', "engines": '
    return f"""mkdir -p {quoted(root)}/env && cd {quoted(root)}/env || exit
exec 9> lock; flock 9 2>/dev/null
rm -rf ./*.part; h={bundle.sha256}; p=$h.part
if ! {_stands(f"{root}/env/{bundle.sha256}")}; then
    rm -rf $h; mkdir $p || exit
    said=$(tar -xzf {quoted(blob)} -C $p 2>&1) || {{ echo at=unpack
        echo "failed=$(echo "$said" | head -n 1)"; rm -rf $p; exit 0; }}
    told=$({" ".join(quoted(word) for word in trial)} 2> $p/said < /dev/null) || {{ echo at=import
        echo "failed=$(tail -n 1 $p/said)"; rm -rf $p; exit 0; }}
    rm -f $p/said; told=$(echo "$told" | tail -n 1)
    printf '%s%s}}\\n' {quoted(opened)} "$told" > $p/environment.json && mv $p $h || exit
fi
printf '%s\\n' $h > {pointer}.part && mv -f {pointer}.part {pointer} || exit
rm -f {quoted(blob)}*
ls -t | grep -E '^{name}-[0-9a-f]+[.]pointer$' | grep -v {pointer} | tail -n +3 | while read -r f; do rm -f "$f"; done
for f in *; do if [ -d "$f" ] && ! grep -q "$f" ./*.pointer; then rm -rf "./$f"; fi; done
echo installed=yes"""
