"""Runs a static 64-bit ARM program for Linux by the emulator unicorn: `python emulate.py PROGRAM`, as neon.sh does.

Its standard output is the program's. Of the system it has memory, writing and the end.
"""

import os
import struct
import sys
from pathlib import Path

from unicorn import UC_ARCH_ARM64, UC_HOOK_INTR, UC_MODE_ARM, Uc, arm64_const  # pyright: ignore[reportMissingImports]

PAGE = 4096
STACK, STACK_SIZE, HEAP = 0x7F0000000000, 1 << 23, 0x600000000000
UNKNOWN = (1 << 64) - 38  # ENOSYS
LOADED, PROGRAM_HEADERS, HEADER_SIZE, HEADERS, PAGE_SIZE, ENTRY, RANDOM = 1, 3, 4, 5, 6, 9, 25


def up(size: int) -> int:
    """The bytes of whole pages."""
    return -(-size // PAGE) * PAGE


def load(machine: Uc, program: bytes) -> int:
    """Maps the segments, prepares the stack, and returns the address to begin at."""
    entry, headers = struct.unpack_from("<QQ", program, 24)
    size, count = struct.unpack_from("<HH", program, 54)
    mapped, seen = set(), 0
    for number in range(count):
        kind, _, offset, address, _, held, taken, _ = struct.unpack_from(
            "<IIQQQQQQ", program, headers + number * size
        )
        if kind != LOADED:
            continue
        for page in range(address // PAGE * PAGE, up(address + taken), PAGE):
            if page not in mapped:
                machine.mem_map(page, PAGE)
                mapped.add(page)
        machine.mem_write(address, program[offset : offset + held])
        if offset == 0:
            seen = address + headers
    machine.mem_map(STACK, STACK_SIZE)
    top = STACK + STACK_SIZE - PAGE
    told = {
        PROGRAM_HEADERS: seen,
        HEADER_SIZE: size,
        HEADERS: count,
        PAGE_SIZE: PAGE,
        ENTRY: entry,
        RANDOM: top + 2048,
    }
    words = [
        0,
        0,
        0,
        *(word for pair in told.items() for word in pair),
        0,
        0,
    ]  # no arguments, no environment
    machine.mem_write(top, struct.pack(f"<{len(words)}Q", *words))
    machine.reg_write(arm64_const.UC_ARM64_REG_SP, top)
    return entry


def run(path: str) -> int:
    """Runs a program to its end and returns its code."""
    machine, free, code = Uc(UC_ARCH_ARM64, UC_MODE_ARM), HEAP, 1

    def serve(machine, *_):
        nonlocal free, code
        registers = (
            arm64_const.UC_ARM64_REG_X0,
            arm64_const.UC_ARM64_REG_X1,
            arm64_const.UC_ARM64_REG_X2,
        )
        first, second, third = map(machine.reg_read, registers)
        answer = UNKNOWN
        match machine.reg_read(arm64_const.UC_ARM64_REG_X8):
            case 64:  # write
                answer = os.write(first, bytes(machine.mem_read(second, third)))
            case 222:  # mmap
                machine.mem_map(free, up(second))
                answer, free = free, free + up(second) + PAGE
            case 215:  # munmap
                machine.mem_unmap(first, up(second))
                answer = 0
            case 96:  # set_tid_address
                answer = 1
            case 93 | 94:  # exit, exit_group
                code = first
                machine.emu_stop()
        machine.reg_write(arm64_const.UC_ARM64_REG_X0, answer)

    vectors = machine.reg_read(arm64_const.UC_ARM64_REG_CPACR_EL1) | 0x300000
    machine.reg_write(arm64_const.UC_ARM64_REG_CPACR_EL1, vectors)
    machine.hook_add(UC_HOOK_INTR, serve)
    machine.emu_start(load(machine, Path(path).read_bytes()), 0)
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1]))
