"""Packs a checkpoint again, as people do by hand.

rezip.py CHECKPOINT OUT

CHECKPOINT is a file or a directory. For every archive in OUT it prints `read NAME`, or `refused NAME` if
it is packed in a way that is not read.
"""

import os
import shutil
import subprocess
import sys
import zipfile


def unpacked(checkpoint, out):
    if os.path.isdir(checkpoint):
        return checkpoint
    folder = os.path.join(out, "unpacked")
    with zipfile.ZipFile(checkpoint) as archive:
        archive.extractall(folder)
    return folder


def files(folder):
    for above, folders, names in os.walk(folder):
        for name in sorted(folders) + sorted(names):
            path = os.path.join(above, name)
            yield path, os.path.relpath(path, folder)


def pack(path, folder, method, prefix=""):
    with zipfile.ZipFile(path, "w", method) as archive:
        for file, name in files(folder):
            archive.write(file, prefix + name)


def main():
    checkpoint, out = sys.argv[1:]
    folder = unpacked(checkpoint, out)
    join = lambda name: os.path.join(out, name)
    pack(join("stored.zip"), folder, zipfile.ZIP_STORED)
    pack(join("deflated.zip"), folder, zipfile.ZIP_DEFLATED)
    pack(join("folder.zip"), folder, zipfile.ZIP_DEFLATED, "best/")
    pack(join("bzip2.zip"), folder, zipfile.ZIP_BZIP2)
    pack(join("lzma.zip"), folder, zipfile.ZIP_LZMA)
    shutil.make_archive(join("made"), "zip", folder)
    # Written to a pipe: the sizes come after the data.
    with open(join("streamed.zip"), "wb") as file:
        with zipfile.ZipFile(Unseekable(file), "w", zipfile.ZIP_DEFLATED) as archive:
            for path, name in files(folder):
                if os.path.isfile(path):
                    archive.write(path, name)
    read = ["stored.zip", "deflated.zip", "folder.zip", "made.zip", "streamed.zip"]
    if shutil.which("zip"):
        subprocess.run(["zip", "-qr", join("info-zip.zip"), "."], cwd=folder, check=True)
        read.append("info-zip.zip")
    for name in read:
        print("read", name)
    for name in ["bzip2.zip", "lzma.zip"]:
        print("refused", name)


class Unseekable:
    def __init__(self, file):
        self.file = file

    def write(self, data):
        return self.file.write(data)

    def flush(self):
        self.file.flush()


main()
