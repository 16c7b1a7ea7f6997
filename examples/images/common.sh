# shellcheck shell=sh
# Shared by the build scripts of the example images, which set $here. Needs the package busybox-static.

# shellcheck disable=SC2154
image=${here##*/} # the caller's directory
say() { printf '%s: %s\n' "$image" "$*"; }
die() { printf '%s: %s\n' "$image" "$*" >&2; exit 1; }

# A root file system's bare bones: folders, the two users everything expects, and busybox under all its names.
make_base() {
    root=$1 busybox=$2
    for dir in bin dev etc proc root run sys tmp usr/bin usr/sbin sbin var/lib/babel/plugin var/log var/run blockjoy; do
        mkdir -p "$root/$dir"
    done
    chmod 1777 "$root/tmp"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
    printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
    [ -e "$root/bin/busybox" ] || cp "$busybox" "$root/bin/busybox"
    for name in $("$busybox" --list); do
        [ -e "$root/bin/$name" ] || [ -e "$root/usr/bin/$name" ] || ln -s busybox "$root/bin/$name"
    done
}

# The image's own files: what it says about itself, its plugin and templates.
add_definition() {
    root=$1 from=$2
    install -m 644 "$from/babel.yaml" "$root/babel.yaml"
    install -m 644 "$from"/*.rhai "$root/var/lib/babel/plugin/"
    [ ! -d "$from/templates" ] || install -D -m 644 -t "$root/var/lib/babel/templates/" "$from/templates"/*
}

# Moves a finished tree to its place in one step, so that an interrupted build leaves nothing half-made there.
put_in_place() {
    made=$1 out=$2
    rm -rf "$out.old"
    [ ! -e "$out" ] || mv "$out" "$out.old"
    mv "$made" "$out"
    rm -rf "$out.old"
}
