"""Direct views of the engine's processor state in memory.

A register through the public API costs 0.4 to 1.5 µs, through a view 0.03 µs, and some of what a PC
needs (halted or not, the address of a fault) has no public name at all. So the state is found once at
start-up by experiment: write patterns through the API, look for them in memory, run a few instructions, see
what changed. Every find must be unique, else :class:`StateNotFound` is raised.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from pcemu.cpu.engine import REFUSED, Engine
from pcemu.cpu.faults import PAGE_FAULT
from pcemu.cpu.state import EFLAGS, GENERAL_REGISTERS, HFLAGS, EngineState, StateNotFound, only
from pcemu.memory import PAGE_SIZE

_ENV_SIZE = 8192  # as much of CPUX86State as is looked at
_UC_SIZE = 4096
_SEARCH = 0x10000  # how far behind the start of CPUState the registers may be
_ATTEMPTS = 2
_CODE, _CODE_SIZE = 0x1000, 16  # where the experiments run
_VECTORS = (0x5A, 0x73, 0x41)
_NOT_ZERO = re.compile(rb"[^\0]")
# A linear address that nothing else in the experiments mentions; its page is refused while they run.
_REFUSED_ADDRESS = 0x00FBC123


class LiveState(EngineState):
    """The state itself. For the native slice counter it also tells addresses:

    ``stop_flags``: of a byte, a byte and a word; 1, 1 and FFFFh there, written at the start of a block, end
    the run before that block. ``flag_addresses``: of EFLAGS and HFLAGS.
    """

    def __init__(self, engine: Engine, ram: memoryview) -> None:
        finder = _Finder(engine, ram)
        env = finder.find_registers()
        super().__init__(engine, _view(env, _ENV_SIZE))
        self.locate()
        self.halted = _view(finder.find_halted(), 4).cast("I")
        self.stop_flags = finder.find_stop_flags()
        self._stop_request, self._exit_request = (_view(flag, 1) for flag in self.stop_flags[:2])
        self._exception = _view(finder.find_exception(), 4).cast("I")
        self.d[self.software_interrupt] = 0  # the experiment's
        address, error = finder.find_refusal(self._exception)
        self.invalid_address, self._error = _view(address, 8).cast("Q"), _view(error, 4).cast("I")
        self.flag_addresses = env + 8 * EFLAGS, env + 4 * HFLAGS
        finder.tidy()

    def refuse(self, entry: memoryview, address: int, access: int, code: Callable[[], bytes]) -> bool:
        """Refuse the TLB fill of the page at ``address``; what the fill hook has to return.

        The engine would end the run: unless it finds an exception that it is to report before that.
        """
        self._exception[0] = PAGE_FAULT
        return False

    def stay(self) -> bool:
        """A refused fill has been reported: do not end the run for it. False: it was stopped before."""
        if self._stop_request[0]:
            return False
        self._exit_request[0] = self._error[0] = 0
        return True


def _view(address: int, size: int) -> memoryview:
    return memoryview((ctypes.c_char * size).from_address(address)).cast("B")


class _Finder:
    """The experiments; reads this process' memory through /proc so that a wild pointer is no crash."""

    def __init__(self, engine: Engine, ram: memoryview) -> None:
        self._engine = engine
        self._ram = ram
        self._uc = engine.handle.value or 0
        self._cpu = self._cpu_size = 0  # CPUState, up to the registers
        self._memory = Path("/proc/self/mem")
        if not self._memory.exists():
            raise StateNotFound("this host has no /proc/self/mem to look for the engine's state in")
        self._file = os.open(self._memory, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def _read(self, address: int, size: int) -> bytes:
        try:
            return os.pread(self._file, size, address)
        except OSError:
            return b""

    def find_registers(self) -> int:
        """The address of CPUX86State, which begins with the general registers.

        It is the end of CPUState, to which the last of the pointers in front of it leads.
        """
        uc = self._engine.uc
        saved = [uc.reg_read(register) for register in GENERAL_REGISTERS]
        values = [int.from_bytes(os.urandom(4), "little") | 1 for _ in GENERAL_REGISTERS]
        for register, value in zip(GENERAL_REGISTERS, values, strict=True):
            uc.reg_write(register, value)
        pattern = struct.pack("<8Q", *values)
        words = struct.unpack("<512Q", self._read(self._uc, _UC_SIZE))
        pointers = {word for word in words if word > 0x10000 and not word >> 47 and not word & 7}
        for pointer in sorted(pointers, key=lambda pointer: abs(pointer - self._uc)):  # allocated together
            memory = self._read(pointer, _SEARCH)
            offsets = _find_words([memory], (values[0],))
            offset = next((at for at in offsets if memory.startswith(pattern, at)), -1)
            if offset >= 0:
                break
        else:
            raise StateNotFound("the engine's registers were not found in memory")
        env: int = pointer + offset
        self._cpu = max(pointer for pointer in pointers if pointer < env)
        self._cpu_size = env - self._cpu
        uc.reg_write(GENERAL_REGISTERS[0], 0x12345677)
        if self._read(env, 4) != struct.pack("<I", 0x12345677):
            raise StateNotFound("the engine's registers were found as a copy only")
        for register, value in zip(GENERAL_REGISTERS, saved, strict=True):
            uc.reg_write(register, value)
        return env

    def find_halted(self) -> int:
        """The address of CPUState.halted: 1 after a run that ended in HLT, 0 after one that did not."""
        self._load(b"\xf4\x90")
        states = []
        for _ in range(3):
            self._engine.run(_CODE)
            states.append(self._read(self._cpu, self._cpu_size))
            self._engine.run_stopped(_CODE + 1)
            states.append(self._read(self._cpu, self._cpu_size))
        return self._cpu + only(_find_words(states, (1, 0, 1, 0, 1, 0)), "halted state")

    def find_exception(self) -> int:
        """The address of CPUState.exception_index: the vector while the engine reports it."""
        seen = []
        for vector in _VECTORS:
            self._load(bytes((0xCD, vector)))
            look = self._engine.observe_interrupt(_CODE, lambda: self._read(self._cpu, self._cpu_size))
            seen.append(look or b"")
        return self._cpu + only(_find_words(seen, _VECTORS), "exception number")

    def find_refusal(self, exception: memoryview) -> tuple[int, int]:
        """Where the engine leaves the address whose TLB fill was refused, and the error that ends the run."""

        def refuse() -> None:
            exception[0] = PAGE_FAULT

        self._load(b"\x67\xa0" + struct.pack("<I", _REFUSED_ADDRESS))
        page = _REFUSED_ADDRESS & ~(PAGE_SIZE - 1)
        look = self._engine.observe_refusal(_CODE, page, refuse, lambda: self._read(self._uc, _UC_SIZE))
        address = only(_find_words([look or b""], (_REFUSED_ADDRESS,)), "invalid address")
        error = only(_find_words([look or b""], (REFUSED,)), "error")
        return self._uc + address, self._uc + error

    def find_stop_flags(self) -> tuple[int, int, int]:
        """What a stop from a hook writes: a byte in the uc struct, a byte and a word before the registers."""

        def look() -> tuple[bytes, bytes]:
            return self._read(self._uc, _UC_SIZE), self._read(self._cpu, self._cpu_size)

        self._load(b"\x90\xf4")
        written: set[tuple[int, int, int]] = set()  # 0 or 1: which of the two areas; offset; new value
        for attempt in range(_ATTEMPTS):  # other things change, too, but not every time
            before, after = self._engine.observe_stop(_CODE, look)
            changes = {
                (area, *change) for area in range(2) for change in _changes(before[area], after[area])
            }
            written = changes if attempt == 0 else written & changes
        request = [offset for area, offset, new in written if area == 0 and new == 1]
        exits = [offset for area, offset, new in written if area == 1 and new == 1]
        high = sorted(offset for area, offset, new in written if area == 1 and new == 0xFF)
        if len(high) != 2 or high[1] != high[0] + 1 or len(written) != 4:
            raise StateNotFound(f"the engine's stop flags are ambiguous: {sorted(written)}")
        cpu = self._cpu
        return self._uc + only(request, "stop request"), cpu + only(exits, "exit request"), cpu + high[0]

    def _load(self, code: bytes) -> None:
        self._ram[_CODE : _CODE + _CODE_SIZE] = code.ljust(_CODE_SIZE, b"\xf4")
        self._engine.drop_all_code()

    def tidy(self) -> None:
        """Leave no trace of the experiments in RAM."""
        self._ram[_CODE : _CODE + _CODE_SIZE] = bytes(_CODE_SIZE)


def _find_words(looks: list[bytes], values: tuple[int, ...]) -> list[int]:
    """Offsets of the 32-bit words that had the first value at the first look, the second at the second …"""
    words = [value.to_bytes(4, "little") for value in values]
    found = []
    offset = looks[0].find(words[0])
    while offset >= 0:
        if not offset % 4 and [look[offset : offset + 4] for look in looks] == words:
            found.append(offset)
        offset = looks[0].find(words[0], offset + 1)
    return found


def _changes(before: bytes, after: bytes) -> Iterator[tuple[int, int]]:
    """Offset and new value of each byte that changed."""
    difference = int.from_bytes(before, "little") ^ int.from_bytes(after, "little")
    for change in _NOT_ZERO.finditer(difference.to_bytes(len(after), "little")):
        yield change.start(), after[change.start()]
