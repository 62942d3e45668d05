#!/bin/sh
# Runs a command on a file system of its own: run_on.sh NAME DIR COMMAND…
#
# The file system is made and mounted below the empty directory DIR, in a mount namespace that ends with
# the command, so that nothing stays mounted whatever happens. TMPDIR leads to it, QSTORE_PLACE_BASE to the
# directory with what is below it. Needs root. Without arguments the names are listed.
set -e
[ $# -gt 0 ] || exec echo tmpfs xfs btrfs ext4 overlay-on-ext4 overlay-on-tmpfs fuse

if [ "$QSTORE_PLACE" != "$1" ]; then
    # A process namespace as well: with this process everything in it ends, such as a FUSE daemon.
    QSTORE_PLACE=$1 exec unshare --mount --pid --fork --kill-child --mount-proc -- sh "$0" "$@"
fi
name=$1 dir=$2
shift 2
mkdir -p "$dir/base" "$dir/here"
chmod 755 "$dir" # tests that change the user get in

# A file system of that kind in a file, at `base` or `here`.
image() {
    truncate -s 2G "$dir/image"
    "$@" "$dir/image" >/dev/null
}
overlay() {
    mkdir "$dir/base/lower" "$dir/base/upper" "$dir/base/work"
    # What an image of a container brings.
    [ -z "$QSTORE_PLACE_LOWER" ] || cp -a "$QSTORE_PLACE_LOWER/." "$dir/base/lower"
    mount -t overlay -o "lowerdir=$dir/base/lower,upperdir=$dir/base/upper,workdir=$dir/base/work" \
        overlay "$dir/here"
}

case $name in
tmpfs) mount -t tmpfs -o size=2G tmpfs "$dir/here" ;;
xfs) image mkfs.xfs -q && mount -o loop "$dir/image" "$dir/here" ;;
btrfs) image mkfs.btrfs -q && mount -o loop "$dir/image" "$dir/here" ;;
ext4) image mkfs.ext4 -q -F && mount -o loop "$dir/image" "$dir/here" ;;
overlay-on-ext4) image mkfs.ext4 -q -F && mount -o loop "$dir/image" "$dir/base" && overlay ;;
overlay-on-tmpfs) mount -t tmpfs -o size=2G tmpfs "$dir/base" && overlay ;;
fuse) bindfs "$dir/base" "$dir/here" ;;
*) echo "unknown file system: $name" >&2 && exit 2 ;;
esac
chmod 1777 "$dir/here"
TMPDIR=$dir/here QSTORE_PLACE_BASE=$dir/base exec "$@"
