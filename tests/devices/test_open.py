from __future__ import annotations

import pytest

from edgecompile.core import registry
from edgecompile.core.registry import Plugins
from edgecompile.core.target import Target, find_target
from edgecompile.devices import open as opening
from edgecompile.devices.local import LocalDevice
from edgecompile.devices.open import device_kinds, open_device
from edgecompile.devices.qemu import QemuDevice
from edgecompile.errors import UsageError

HOST, BOARD = find_target("host"), find_target("cortex-a72")


def test_the_usual_device_is_the_targets() -> None:
    assert isinstance(open_device(None, HOST), LocalDevice)
    assert isinstance(open_device(None, BOARD), QemuDevice)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("local", "local"),
        ("qemu", "qemu"),
        ("ssh://pi@board:2222", "ssh://pi@board:2222"),
        ("adb://", "adb://"),
        ("adb://192.168.1.5:5555", "adb://192.168.1.5:5555"),
        ("fake:lost", "fake"),
    ],
)
def test_every_kind_is_opened_without_contacting_it(spec: str, name: str) -> None:
    assert open_device(spec, HOST).name == name
    assert any(kind.startswith(spec.partition(":")[0]) for kind in device_kinds())


def test_unknown_device_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"EC2026.*unknown device 'loca'.*did you mean 'local'\?"):
        open_device("loca", HOST)


def test_a_plugin_adds_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_farm(address: str, target: Target) -> LocalDevice:
        return LocalDevice(target, name=f"farm {address}")

    plugins = Plugins({"farm": open_farm}, ("plug-in 'old' (old:x) skipped: ImportError: gone",))
    monkeypatch.setattr(opening, "load_plugins", lambda group: plugins)
    with pytest.warns(UserWarning, match="plug-in 'old'.*ImportError: gone"):
        device = open_device("farm://rack-3", HOST)
    assert device.name == "farm rack-3"
    monkeypatch.setattr(opening, "load_plugins", lambda group: Plugins({"farm": open_farm}, ()))
    assert device_kinds()["farm"] == "from another package"
    assert registry.load_plugins("edgecompile.no_such_group") == Plugins({}, ())
