"""The enclave's child: locks itself in, then runs one approved script over one frame. Run as a file, imports no hdex.

Order matters: the locks are per thread and pass to threads made later, so they stand before numpy or polars is
imported. Nothing it prints goes anywhere; what it writes into `out` is looked at by its parent.

Landlock: reads the interpreter's own folders and the script, writes `out`, nothing else; the frame comes by stdin.
Seccomp: no sockets, no new processes, no programs, no tracing, no other namespaces, no io_uring. No capability, no new
privileges, no network.
"""

import ctypes
import io
import os
import platform
import resource
import struct
import sys
from pathlib import Path

UNISOLATED = 97  # exit code: this kernel cannot lock us in
SCRIPT, OUT = "script.py", "out"
LIBC = ctypes.CDLL(None, use_errno=True)
NO_NEW_PRIVS, SECCOMP_SET, FILTER_TSYNC = 38, 1, 1
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # alike on every architecture
READ, WRITE = (
    0b0001 | 0b0100 | 0b1000,
    0b10 | 1 << 8 | 1 << 14,
)  # execute, read file, read folder; write, make, truncate
ACCESS_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
NEW_NET, NEW_IPC, NEW_UTS, NEW_USER = 0x40000000, 0x08000000, 0x04000000, 0x10000000
THREAD = 0x00010000  # of clone: a thread of this process, not a new one
DENIED = {  # architecture -> (audit number, seccomp(2), capset(2), clone, clone3, what is refused)
    "x86_64": (0xC000003E, 317, 126, 56, 435, (
        41, 42, 43, 44, 46, 49, 50, 53, 57, 58, 59, 62, 101, 103, 135, 155, 161, 163, 164, 165, 166, 167, 169, 170, 175,
        176, 227, 246, 248, 249, 250, 272, 288, 298, 303, 304, 307, 308, 310, 311, 313, 320, 321, 322, 323, 425, 426,
        427, 428, 429, 430, 431, 432, 433, 434, 438,
    )),
    "aarch64": (0xC00000B7, 277, 91, 220, 435, (
        198, 199, 200, 201, 202, 203, 206, 211, 221, 117, 129, 39, 40, 41, 51, 89, 92, 97, 104, 105, 106, 112, 116, 142,
        170, 171, 217, 218, 219, 224, 225, 241, 242, 264, 265, 268, 269, 270, 271, 273, 280, 281, 282, 294, 425, 426,
        427, 428, 429, 430, 431, 432, 433, 434, 438,
    )),
}  # fmt: skip


def main(folder: Path, *, is_unsafe: bool) -> None:
    """Lock this process in and run the script; exits UNISOLATED where that is impossible and not waived."""
    limit(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    LIBC.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
    if not isolate(folder) and not is_unsafe:
        os._exit(UNISOLATED)
    source, rows = (folder / SCRIPT).read_bytes(), io.BytesIO(sys.stdin.buffer.read())  # the rows touch no disk
    os.environ.clear()
    os.environ.update({"POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    os.chdir(folder / OUT)
    import polars

    os.environ.clear()
    frame = polars.read_parquet(rows)
    exec(compile(source, SCRIPT, "exec"), {"__name__": "__main__", "frame": frame})  # noqa: S102  what a person approved


def limit(seconds: int, memory: int, file_bytes: int) -> None:
    """Bound processor time, memory, files and their size; no core dump."""
    for name, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(name, (value, value))


def isolate(folder: Path) -> bool:
    """Return whether every lock holds. A network namespace of our own is taken where it can be had."""
    if platform.machine() not in DENIED:
        return False
    if LIBC.unshare(NEW_NET | NEW_IPC | NEW_UTS) != 0:
        LIBC.unshare(NEW_USER | NEW_NET | NEW_IPC | NEW_UTS)  # without: seccomp still refuses every socket
    return confine_files(folder) and drop_capabilities() and confine_calls()


def confine_files(folder: Path) -> bool:
    """Let this process read the interpreter and the frame, and write `out`; nothing else of the disk."""
    abi = LIBC.syscall(LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if abi < 3:  # below, a file could be cut short through a path
        return False
    handled = ACCESS_OF_ABI[max(known for known in ACCESS_OF_ABI if known <= abi)]
    attributes = struct.pack("<QQQ", handled, 0b11, 0b11)  # network ports and other processes' sockets and signals too
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    rules = LIBC.syscall(LANDLOCK_CREATE, attributes[:size], ctypes.c_size_t(size), 0)
    if rules < 0:
        return False
    read = [sys.prefix, sys.base_prefix, "/usr/lib", "/usr/lib64", "/lib", "/lib64", str(folder)]
    done = [allow(rules, path, READ) for path in dict.fromkeys(read) if Path(path).exists()]
    done.append(allow(rules, str(folder / OUT), READ | WRITE))
    return all(done) and LIBC.syscall(LANDLOCK_RESTRICT, rules, 0) == 0


def allow(rules: int, path: str, access: int) -> bool:
    """Add one folder to what may be used."""
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        return bool(LIBC.syscall(LANDLOCK_ADD, rules, 1, struct.pack("<Qi", access, handle), 0) == 0)
    finally:
        os.close(handle)


def drop_capabilities() -> bool:
    """Give up every capability; also root's are gone then."""
    capset = DENIED[platform.machine()][2]
    header, nothing = struct.pack("<Ii", 0x20080522, 0), bytes(24)
    return bool(LIBC.syscall(capset, header, nothing) == 0)


def confine_calls() -> bool:
    """Refuse the calls in DENIED, new processes, and those of foreign architectures."""
    audit, seccomp, _, clone, clone3, denied = DENIED[platform.machine()]
    program = filter_of(audit, clone, clone3, denied)
    code = ctypes.create_string_buffer(program)
    pointer = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    return bool(LIBC.syscall(seccomp, SECCOMP_SET, FILTER_TSYNC, pointer) == 0)


def filter_of(audit: int, clone: int, clone3: int, denied: tuple[int, ...]) -> bytes:
    """Return the classic BPF program: architecture, then each call by its number, then what is left is allowed."""
    load, equal, at_least, bits, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allowed, forbidden, absent = 0x80000000, 0x7FFF0000, 0x00050001, 0x00050026  # EPERM, ENOSYS

    def one(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("<HBBI", code, yes, no, value)

    program = [one(load, 4), one(equal, audit, 1), one(answer, kill), one(load, 0)]
    program += [one(at_least, 0x40000000, 0, 1), one(answer, kill)]  # x32: the same calls under other numbers
    program += [one(equal, clone3, 0, 1), one(answer, absent)]  # its flags lie in memory; libc falls back to clone
    for number in denied:
        program += [one(equal, number, 0, 1), one(answer, forbidden)]
    program += [one(equal, clone, 0, 3), one(load, 16), one(bits, THREAD, 1, 0), one(answer, forbidden)]
    return b"".join([*program, one(answer, allowed)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), is_unsafe=sys.argv[5] == "unsafe")
