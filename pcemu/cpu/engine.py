"""The engine as pcemu uses it: Unicorn opened for a PC, with hooks called through ctypes alone.

The binding's own hook wrapper costs 0.2 µs a call more than a bare ctypes function, on paths that run a
million times a second. A bare hook must not raise: whoever hooks catches its own exceptions
(:class:`pcemu.cpu.cpu.Cpu` keeps the first and raises it after the slice).
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from typing import Any

from unicorn import unicorn_const, x86_const
from unicorn.unicorn_py3.unicorn import Uc, UcError, uclib

_POINTER = ctypes.c_void_p
_U32 = ctypes.c_uint32
_U64 = ctypes.c_uint64
_INT = ctypes.c_int

INTERRUPT = ctypes.CFUNCTYPE(None, _POINTER, _U32, _POINTER)
INVALID = ctypes.CFUNCTYPE(ctypes.c_bool, _POINTER, _POINTER)
PORT_IN = ctypes.CFUNCTYPE(_U32, _POINTER, _U32, _INT, _POINTER)
PORT_OUT = ctypes.CFUNCTYPE(None, _POINTER, _U32, _INT, _U32, _POINTER)
TLB_FILL = ctypes.CFUNCTYPE(ctypes.c_bool, _POINTER, _U64, _INT, _POINTER, _POINTER)
BLOCK = ctypes.CFUNCTYPE(None, _POINTER, _U64, _U32, _POINTER)
INSTRUCTION = ctypes.CFUNCTYPE(_INT, _POINTER, _POINTER)
TRANSLATED = ctypes.CFUNCTYPE(None, _POINTER, _POINTER, _POINTER, _POINTER)
CODE = BLOCK
UNMAPPED = ctypes.CFUNCTYPE(ctypes.c_bool, _POINTER, _INT, _U64, _INT, ctypes.c_int64, _POINTER)

FETCH = unicorn_const.UC_MEM_FETCH
WRITE = unicorn_const.UC_MEM_WRITE
PERMIT_READ = unicorn_const.UC_PROT_READ
PERMIT_WRITE = unicorn_const.UC_PROT_WRITE
PERMIT_EXEC = unicorn_const.UC_PROT_EXEC

EngineError: Any = UcError
# What a run returns when a TLB fill was refused
REFUSED = unicorn_const.UC_ERR_EXCEPTION
# … and when it went on to where no memory is
NO_CODE = unicorn_const.UC_ERR_FETCH_PROT
CPUID, RDTSC = x86_const.UC_X86_INS_CPUID, x86_const.UC_X86_INS_RDTSC
SYSCALL, SYSENTER = x86_const.UC_X86_INS_SYSCALL, x86_const.UC_X86_INS_SYSENTER

# Memory for translated code; when it is full, all is thrown away. Left alone it grows to 1 GiB, and a guest
# that changes its own code (as the int86() of DOS compilers does for each call) fills that quickly.
TRANSLATIONS = 32 << 20
# No address ends a run: with exits enabled and none set, ``until`` is not looked at.
_NO_END = 1 << 40


class Engine:
    """One Unicorn instance in 32-bit mode, which starts in real mode and enters protected mode natively."""

    def __init__(self) -> None:
        open_engine: Any = Uc  # half of the binding is untyped
        self.uc = open_engine(unicorn_const.UC_ARCH_X86, unicorn_const.UC_MODE_32)
        self.uc.ctl_set_cpu_model(x86_const.UC_CPU_X86_PENTIUM2)  # later instructions are invalid opcodes
        self.uc.ctl_set_tcg_buffer_size(TRANSLATIONS)
        self.handle: ctypes.c_void_p = self.uc._uch
        self._callbacks: list[Any] = []
        self._buffer = _U32()
        self._buffer_pointer = ctypes.byref(self._buffer)
        self._flush_tlb = (unicorn_const.UC_CTL_TLB_FLUSH, unicorn_const.UC_CTL_IO_WRITE)
        self._start = uclib.uc_emu_start
        self.stopped = False
        # Wraps every hook that looks at the state (context_state.py)
        self.around_hooks: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda function: function

    def configure(self) -> None:
        """Virtual TLB, no end address, no protected mode. Call once memory is mapped."""
        self.uc.ctl_set_tlb_mode(unicorn_const.UC_TLB_VIRTUAL)
        self.uc.ctl_exits_enabled(True)

    def map_buffer(self, address: int, buffer: mmap.mmap) -> None:
        """Let the guest see a host buffer at a physical address."""
        pointer = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        self.uc.mem_map_ptr(address, len(buffer), unicorn_const.UC_PROT_ALL, pointer)

    def map_nothing(self, address: int, size: int) -> None:
        """Physical addresses where no memory answers: all ones, writes are lost."""
        self.uc.mmio_map(
            address,
            size,
            lambda uc, offset, width, data: (1 << 8 * width) - 1,
            None,
            lambda uc, offset, width, value, data: None,
            None,
        )

    def hook(
        self, kind: int, prototype: Any, function: Any, *extra: int, user_data: int | None = None
    ) -> int:
        """Add a bare hook (a Python function, or the address of native code); ``extra``: the instruction."""
        callback = function if isinstance(function, int) else prototype(function)
        self._callbacks.append(callback)
        hook = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            self.handle,
            ctypes.byref(hook),
            kind,
            _POINTER(callback) if isinstance(callback, int) else ctypes.cast(callback, _POINTER),
            _POINTER(user_data),
            _U64(1),
            _U64(0),
            *(_INT(value) for value in extra),
        )
        if status:
            raise EngineError(status)
        return hook.value

    def hook_interrupts(self, function: Callable[..., None]) -> None:
        """``function(uc, vector, data)`` for every INT n, exception and intercept (100h and up)."""
        self.hook(unicorn_const.UC_HOOK_INTR, INTERRUPT, self.around_hooks(function))

    def hook_invalid(self, function: Callable[..., bool]) -> None:
        """``function(uc, data)`` for an invalid opcode, and for INT 6, which looks like one here."""
        self.hook(unicorn_const.UC_HOOK_INSN_INVALID, INVALID, self.around_hooks(function))

    def hook_ports(self, read: Callable[..., int], write: Callable[..., None]) -> None:
        """``read(uc, port, size, data)`` and ``write(uc, port, size, value, data)``; EIP is at the access."""
        read, write = self.around_hooks(read), self.around_hooks(write)
        self.hook(unicorn_const.UC_HOOK_INSN, PORT_IN, read, x86_const.UC_X86_INS_IN)
        self.hook(unicorn_const.UC_HOOK_INSN, PORT_OUT, write, x86_const.UC_X86_INS_OUT)

    def hook_instruction(self, instruction: int, function: Callable[..., int]) -> None:
        """``function(uc, data)`` for CPUID or RDTSC (1: it has been done), SYSCALL or SYSENTER."""
        self.hook(unicorn_const.UC_HOOK_INSN, INSTRUCTION, self.around_hooks(function), instruction)

    def hook_unmapped(self, function: Callable[..., bool]) -> None:
        """``function(uc, access, physical, size, value, data)``: a load where nothing is mapped."""
        self.hook(unicorn_const.UC_HOOK_MEM_READ_UNMAPPED, UNMAPPED, function)

    def hook_tlb_fill(self, function: Callable[..., bool]) -> int:
        """``function(uc, address, access, entry, data)``: fill the TLB entry or refuse."""
        return self.hook(unicorn_const.UC_HOOK_TLB_FILL, TLB_FILL, self.around_hooks(function))

    def hook_blocks(self, function: Any, data: int = 0) -> int:
        """Before every basic block: ``function(uc, address, size, data)``, or the address of native code.

        Returns a handle for :meth:`unhook`.
        """
        return self.hook(unicorn_const.UC_HOOK_BLOCK, BLOCK, function, user_data=data)

    def hook_translations(self, function: Callable[..., None]) -> None:
        """``function(uc, block, previous, data)`` when a block was translated; two addresses of uc_tb."""
        self.hook(unicorn_const.UC_HOOK_EDGE_GENERATED, TRANSLATED, self.around_hooks(function))

    def code_hook(self, function: Callable[..., None]) -> Any:
        """``function(uc, address, size, data)`` for :meth:`hook_code_at`; to be kept as long as that is."""
        return CODE(self.around_hooks(function))

    def hook_code_at(self, address: int, function: Any, data: int) -> None:
        """Call a :meth:`code_hook`, or native code at an address, before the instruction at ``address``."""
        hook = ctypes.c_size_t()
        callback = _POINTER(function) if isinstance(function, int) else ctypes.cast(function, _POINTER)
        status = uclib.uc_hook_add(
            self.handle,
            ctypes.byref(hook),
            unicorn_const.UC_HOOK_CODE,
            callback,
            _POINTER(data),
            _U64(address),
            _U64(address),
        )
        if status:
            raise EngineError(status)

    def unhook(self, handle: int) -> None:
        """Take a hook back."""
        uclib.uc_hook_del(self.handle, ctypes.c_size_t(handle))

    def run(self, address: int) -> int:
        """Execute from EIP ``address`` until something stops the run; 0, or Unicorn's error number."""
        status: int = self._start(self.handle, address, _NO_END, 0, 0)
        return status

    def observe_refusal(
        self, address: int, page: int, refuse: Callable[[], None], look: Callable[[], Any]
    ) -> Any:
        """Run without paging, but with the TLB fill of one page refused after ``refuse()``.

        What ``look()`` sees when that is reported as an exception.
        """

        def fill(uc: int, at: int, access: int, entry: int, data: int) -> bool:
            words = tlb_entry(entry)
            words[0], words[1] = at, PERMIT_READ | PERMIT_WRITE | PERMIT_EXEC
            if at == page:
                refuse()
            return at != page

        handle = self.hook_tlb_fill(fill)
        seen = self.observe_interrupt(address, look)
        self.unhook(handle)
        return seen

    def observe_interrupt(self, address: int, look: Callable[[], Any]) -> Any:
        """Run, and do nothing about the first interrupt or exception: what ``look()`` sees at it."""
        seen: list[Any] = []
        prototype = unicorn_const.UC_HOOK_INTR, INTERRUPT
        handle = self.hook(*prototype, lambda uc, vector, data: seen.append(look()))
        self.run(address)
        self.unhook(handle)
        return seen[0] if seen else None

    def run_stopped(self, address: int) -> None:
        """Start at ``address`` and stop before the first instruction."""
        handle = self.hook_blocks(lambda uc, at, size, data: self.stop())
        self.run(address)
        self.unhook(handle)

    def observe_stop(self, address: int, look: Callable[[], Any]) -> tuple[Any, Any]:
        """What ``look()`` sees right before and right after a stop from inside a block hook."""
        seen: list[Any] = []

        def stop(uc: int, at: int, size: int, data: int) -> None:
            seen.append(look())
            self.stop()
            seen.append(look())

        handle = self.hook_blocks(stop)
        self.run(address)
        self.unhook(handle)
        return seen[0], seen[1]

    def stop(self) -> None:
        """End the run: exact in a block hook only; elsewhere, for a guest that is given up.

        After every load and store the engine looks whether it shall stop, and then restarts the
        instruction, although its store was done: ``inc [mem]`` would count twice.
        """
        self.stopped = True
        uclib.uc_emu_stop(self.handle)

    def new_context(self) -> tuple[ctypes.c_void_p, int]:
        """Memory for a copy of the processor's state, and its size in bytes."""
        context = _POINTER()
        status = uclib.uc_context_alloc(self.handle, ctypes.byref(context))
        if status:
            raise EngineError(status)
        uclib.uc_context_size.restype = ctypes.c_size_t
        return context, uclib.uc_context_size(self.handle)

    def save_context(self, context: ctypes.c_void_p) -> None:
        """Copy the processor's state out."""
        uclib.uc_context_save(self.handle, context)

    def restore_context(self, context: ctypes.c_void_p) -> None:
        """Copy the processor's state back."""
        uclib.uc_context_restore(self.handle, context)

    def read_register(self, register: int) -> int:
        """A register of at most 32 bits through the public API."""
        uclib.uc_reg_read(self.handle, register, self._buffer_pointer)
        return self._buffer.value

    def write_register(self, register: int, value: int) -> None:
        """Write a register of at most 32 bits through the public API."""
        self._buffer.value = value
        uclib.uc_reg_write(self.handle, register, self._buffer_pointer)

    def flush_tlb(self) -> None:
        """Forget every virtual address that was looked up."""
        self.uc.ctl(*self._flush_tlb)

    def drop_code(self, start: int, stop: int) -> None:
        """Forget code translated from linear [start, stop), looked up through the TLB."""
        self.uc.ctl_remove_cache(start, stop)

    def drop_all_code(self) -> None:
        """Forget all translated code."""
        self.uc.ctl_flush_tb()


def tlb_entry(address: int) -> memoryview:
    """The two words of ``struct uc_tlb_entry { uint64_t paddr; int perms; }``, which a fill hook fills."""
    return memoryview((ctypes.c_char * 16).from_address(address)).cast("B").cast("Q")
