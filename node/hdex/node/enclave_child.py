"""The enclave's child: locks itself in, then runs one approved script over one frame. Run as a file, imports no hdex.

Order matters: the locks are per thread and pass to threads made later, so they stand before numpy or polars is
imported. Nothing it prints goes anywhere; what it writes into `out` is looked at by its parent.

Landlock: reads the interpreter's own folders and the script, writes `out`, nothing else; the frame comes by stdin.
Seccomp: no sockets, no new processes, no programs, no tracing, no other namespaces, no io_uring; and what Landlock does
not look at: no modes, owners or times of files, no watching of folders, no signals, limits or priorities of other
processes, no memory shared with them. No capability, no new privileges, no network.
"""

import ctypes
import io
import os
import platform
import resource
import signal
import struct
import sys
from pathlib import Path

UNISOLATED = 97  # exit code: this kernel cannot lock us in
SCRIPT, OUT = "script.py", "out"
LIBC = ctypes.CDLL(None, use_errno=True)
DEATH_SIGNAL, NO_NEW_PRIVS, SECCOMP_SET, FILTER_TSYNC = 1, 38, 1, 1
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # alike on every architecture
READ, WRITE = (
    0b0001 | 0b0100 | 0b1000,
    0b10 | 1 << 8 | 1 << 14,
)  # execute, read file, read folder; write, make, truncate
ACCESS_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
NEW_NET, NEW_IPC, NEW_UTS, NEW_USER = 0x40000000, 0x08000000, 0x04000000, 0x10000000
THREAD = 0x00010000  # of clone: a thread of this process, not a new one
DENIED = {  # architecture -> (audit number, seccomp(2), capset(2), (clone, clone3, prlimit64), what is refused)
    "x86_64": (0xC000003E, 317, 126, (56, 435, 302), (
        29, 30, 31, 41, 42, 43, 44, 46, 49, 50, 53, 57, 58, 59, 62, 64, 65, 66, 68, 69, 70, 71, 90, 91, 92, 93, 94, 101,
        103, 109, 129, 132, 135, 141, 142, 144, 155, 161, 163, 164, 165, 166, 167, 169, 170, 175, 176, 188, 189, 190,
        197, 198, 199, 200, 203, 220, 227, 234, 235, 240, 246, 248, 249, 250, 251, 253, 254, 256, 260, 261, 268, 272,
        279, 280, 288, 294, 297, 298, 300, 301, 303, 304, 307, 308, 310, 311, 312, 313, 314, 320, 321, 322, 323, 424,
        425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 438, 440, 448, 452, 463, 466,
    )),
    "aarch64": (0xC00000B7, 277, 91, (220, 435, 261), (
        5, 6, 7, 14, 15, 16, 26, 27, 30, 39, 40, 41, 51, 52, 53, 54, 55, 88, 89, 92, 97, 104, 105, 106, 112, 116, 117,
        118, 119, 122, 129, 130, 131, 138, 140, 142, 154, 170, 171, 180, 186, 187, 188, 189, 190, 191, 192, 193, 194,
        195, 196, 198, 199, 200, 201, 202, 203, 206, 211, 217, 218, 219, 221, 224, 225, 238, 239, 240, 241, 242, 262,
        263, 264, 265, 268, 269, 270, 271, 272, 273, 274, 280, 281, 282, 294, 424, 425, 426, 427, 428, 429, 430, 431,
        432, 433, 434, 438, 440, 448, 452, 463, 466,
    )),
}  # fmt: skip


def main(folder: Path, *, is_unsafe: bool) -> None:
    """Lock this process in and run the script; exits UNISOLATED where that is impossible and not waived."""
    limit(int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    LIBC.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # with the node's own death: nobody would look at what it leaves
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
    audit, seccomp, _, partly, denied = DENIED[platform.machine()]
    program = filter_of(audit, partly, denied)
    code = ctypes.create_string_buffer(program)
    pointer = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    return bool(LIBC.syscall(seccomp, SECCOMP_SET, FILTER_TSYNC, pointer) == 0)


def filter_of(audit: int, partly: tuple[int, int, int], denied: tuple[int, ...]) -> bytes:
    """Return the classic BPF program: architecture, then each call by its number, then what is left is allowed.

    partly: clone, clone3, prlimit64: threads and limits of this very process are allowed.
    """
    clone, clone3, prlimit = partly
    load, equal, at_least, bits, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allowed, forbidden, absent = 0x80000000, 0x7FFF0000, 0x00050001, 0x00050026  # EPERM, ENOSYS

    def one(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("<HBBI", code, yes, no, value)

    program = [one(load, 4), one(equal, audit, 1), one(answer, kill), one(load, 0)]
    program += [one(at_least, 0x40000000, 0, 1), one(answer, kill)]  # x32: the same calls under other numbers
    program += [one(equal, clone3, 0, 1), one(answer, absent)]  # its flags lie in memory; libc falls back to clone
    for number in denied:
        program += [one(equal, number, 0, 1), one(answer, forbidden)]
    # process 0 is this one; what is allowed goes on with 0 in the register, which is no clone
    program += [one(equal, prlimit, 0, 3), one(load, 16), one(equal, 0, 1, 0), one(answer, forbidden)]
    program += [one(equal, clone, 0, 3), one(load, 16), one(bits, THREAD, 1, 0), one(answer, forbidden)]
    return b"".join([*program, one(answer, allowed)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), is_unsafe=sys.argv[5] == "unsafe")
