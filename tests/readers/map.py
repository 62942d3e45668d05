"""Maps a file and closes it, as numpy, pandas and polars do; at the end nothing in it has changed."""
import ctypes
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
PROT_READ, MAP_SHARED = 1, 1

# Not by the module `mmap`, which keeps a descriptor of its own open.
descriptor = os.open(sys.argv[1], os.O_RDONLY)
length = os.fstat(descriptor).st_size
start = libc.mmap(None, length, PROT_READ, MAP_SHARED, descriptor, 0)
assert start not in (None, ctypes.c_void_p(-1).value), os.strerror(ctypes.get_errno())
os.close(descriptor)
before = ctypes.string_at(start, length)
print("mapped", flush=True)
sys.stdin.read()
after = ctypes.string_at(start, length)
changed = [at for at in range(length) if before[at] != after[at]]
assert not changed, f"{len(changed)} of {length} mapped bytes changed, the first at {changed[0]}"
