"""PYNQ as far as the emitted driver uses it: a "bit file" is the kernel as a shared library.

Buffers have two memories, so a forgotten flush or invalidate shows. The library's project folder
stands around it, and its kernel's interface pragmas name the registers.
"""

import ctypes
import re
from pathlib import Path

import numpy as np

CARD = {}  # device address -> the card's side of a buffer


class _Buffer(np.ndarray):
    def flush(self):
        CARD[self.device_address][:] = self

    def invalidate(self):
        self[:] = CARD[self.device_address]

    def freebuffer(self):
        del CARD[self.device_address]


def allocate(shape, dtype="u4", target=None):
    """A card with several memories refuses a buffer without a target."""
    assert (target is None) == Overlay.is_split, "Multiple memories active in design"
    assert target is None or target.startswith("bank of ")
    buffer = np.full(shape, 0x5A, dtype).view(_Buffer)
    buffer.device_address = 0x4_0000_0000 + 0x10_0000 * len(CARD)
    while buffer.device_address in CARD:
        buffer.device_address += 0x10_0000
    CARD[buffer.device_address] = np.full(shape, 0xA5, dtype)
    return buffer


class _Argument(ctypes.Structure):
    _fields_ = (
        ("bytes", ctypes.c_void_p), ("count", ctypes.c_size_t), ("scalar", ctypes.c_uint),
    )  # fmt: skip


class _Control:
    """The control register; bit 4 is AP_CONTINUE, without which a second call hangs."""

    def __init__(self, start):
        self._start = start
        self._is_done = self._is_blocked = False

    def __setattr__(self, name, value):
        if name == "AP_START":
            assert not self._is_blocked, "the call before was not continued"
            self._start()
            self._is_done = self._is_blocked = True
        else:
            super().__setattr__(name, value)

    @property
    def AP_DONE(self):  # noqa: N802
        return int(self._is_done)

    def __setitem__(self, bit, value):
        assert (bit, value) == (4, 1)
        self._is_done = self._is_blocked = False


class _Channel:
    """One direction of an AXI DMA in simple mode: a transfer at a time."""

    def __init__(self, sends):
        self._sends, self._buffer, self._count = sends, None, 0
        self.transferred = 0

    def transfer(self, array, start=0, nbytes=0):
        assert self._buffer is None, "DMA channel not idle"
        assert 0 < nbytes <= array.nbytes and start == 0
        assert nbytes <= DMA.buffer_max_size
        if self._sends:
            array.flush()
        self._buffer, self._count, self.transferred = array, nbytes, 0

    def argument(self):
        """The kernel's stream at its other end."""
        assert self._buffer is not None, "the kernel waits for ever"
        card = CARD[self._buffer.device_address]
        return _Argument(card.ctypes.data, self._count, int(self._sends))

    def moved(self, argument):
        self.transferred = argument.count

    def wait(self):
        assert self.transferred > 0, "this transfer never ends"
        if not self._sends:
            self._buffer.invalidate()
        self._buffer = None


class DMA:
    buffer_max_size = (1 << 14) - 1

    def __init__(self):
        self.sendchannel, self.recvchannel = _Channel(sends=True), _Channel(sends=False)


class _Registers:
    def __init__(self, library, ports, streams, scalars, is_split):
        pointers = [name for name in ports if name not in streams]
        self._library, self._ports, self._streams = library, ports, streams
        self._scalars = scalars
        for name in pointers:
            for register in (f"{name}_1", f"{name}_2") if is_split else (name,):
                object.__setattr__(self, register, 0)
        for name in scalars:
            object.__setattr__(self, name, 0)
        self._is_split = is_split
        self.CTRL = _Control(self._call)

    def __setattr__(self, name, value):
        is_register = name.startswith("_") or name == "CTRL" or hasattr(self, name)
        assert is_register, f"the kernel has no register {name}"
        super().__setattr__(name, value)

    def _address(self, name):
        if self._is_split:
            return getattr(self, f"{name}_1") | getattr(self, f"{name}_2") << 32
        return getattr(self, name)

    def _call(self):
        arguments = [self._argument(name) for name in self._ports]
        arguments += [_Argument(None, 0, getattr(self, name)) for name in self._scalars]
        count = len(arguments)
        passed = (_Argument * count)(*arguments)
        assert self._library.call_kernel(passed, count) == count
        for name, argument in zip(self._ports, passed):  # noqa: B905
            if name in self._streams:
                self._streams[name].moved(argument)

    def _argument(self, name):
        if name in self._streams:
            return self._streams[name].argument()
        card = CARD[self._address(name)]
        return _Argument(card.ctypes.data, card.nbytes, 0)


class Overlay:
    is_split = True  # addresses as two registers each (.hwh) or as one (.xclbin)

    def __init__(self, bitfile):
        library = Path(bitfile)
        text = (library.parent / "kernel/lstm_top.cpp").read_text()
        ports = re.findall(r"(?:m_axi|axis) port=(\w+)", text)
        pointers = re.findall(r"m_axi port=(\w+)", text)
        every = re.findall(r"s_axilite port=(\w+)", text)
        scalars = [name for name in every if name not in (*pointers, "return")]
        self.ip_dict = {
            "axi_dma_0": {"type": "xilinx.com:ip:axi_dma:7.1"},
            "lstm_top_0": {"type": "xilinx.com:hls:lstm_top:1.0", "registers": {}},
        }
        if not self.is_split:
            for name in pointers:
                setattr(self, f"HBM_{name}", f"bank of {name}")
                register = {"memory": f"HBM_{name}"}
                self.ip_dict["lstm_top_0"]["registers"][name] = register
        self.axi_dma_0 = DMA()
        ends = {"x": self.axi_dma_0.sendchannel, "y": self.axi_dma_0.recvchannel}
        self.lstm_top_0 = type("Kernel", (), {})()
        self.lstm_top_0.register_map = _Registers(
            ctypes.CDLL(str(library)),
            ports,
            {name: end for name, end in ends.items() if name not in pointers},
            scalars,
            self.is_split,
        )
