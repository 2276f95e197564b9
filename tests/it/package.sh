#!/bin/bash
# The Debian package: made from this build, listed, unpacked, run; and the units in it.
. "${0%/*}/lib.sh"
: "${MCFS_BUILD_ROOT:?the build directory}"
for tool in dpkg-deb dpkg-query objdump meson; do
	command -v "$tool" >/dev/null || skip "no $tool here"
done

check "made twice, the same bytes"
expect 0 "$MCFS_SOURCE_ROOT/tools/package" --from "$MCFS_BUILD_ROOT" -o "$work/one"
deb=$(tail -n 1 "$work/stdout")
expect 0 "$MCFS_SOURCE_ROOT/tools/package" --from "$MCFS_BUILD_ROOT" -o "$work/two"
cmp "$deb" "$work/two/${deb##*/}" || fail "the same tree gives another package"
echo "	$(stat -c %s "$deb") bytes"

check "what is in it"
dpkg-deb -c "$deb" >"$work/list"
for file in usr/bin/mcfs usr/bin/mcfs-snapshot usr/bin/mcfs-scheduler usr/bin/mcfs-notify usr/sbin/mount.mcfs \
	usr/lib/systemd/system/mcfs-scheduler.service usr/lib/systemd/system/mcfs-snapshot.timer \
	usr/share/bash-completion/completions/mcfs usr/share/bash-completion/completions/mcfs-scheduler \
	usr/share/zsh/vendor-completions/_mcfs usr/share/fish/vendor_completions.d/mcfs.fish \
	usr/share/doc/mcfs/examples/schedule.ini usr/share/doc/mcfs/copyright etc/mcfs/; do
	grep -q " ./$file" "$work/list" || fail "$file is not in the package"
done
for page in "$MCFS_SOURCE_ROOT"/docs/*.scd; do
	command -v scdoc >/dev/null || break
	page=${page##*/} page=${page%.scd}
	grep -q " ./usr/share/man/man${page##*.}/$page.gz" "$work/list" || fail "the man page $page is not in the package"
done
grep -q ' ./usr/share/man/man1/mcfs-umount.1.gz' "$work/list" || fail "'man mcfs-umount' finds nothing"
! grep -vE ' root/root ' "$work/list" || fail "something belongs to somebody else"
dpkg-deb -f "$deb" Depends >"$work/depends"
for package in libc6 libsodium23 libsqlite3-0 tzdata; do
	grep -qE "(^|, )$package(,|$)" "$work/depends" || fail "it does not depend on $package: $(cat "$work/depends")"
done

check "unpacked and run"
if is_root; then
	root=$work/root
	mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
	: >"$root/var/lib/dpkg/status"
	expect 0 dpkg --root="$root" --force-depends --unpack "$deb"
	dpkg --root="$root" -l mcfs | grep -q '^iU' || fail "dpkg does not know it"
else
	root=$work/root
	expect 0 dpkg-deb -x "$deb" "$root"
fi
expect 0 "$root/usr/bin/mcfs" --version
expect 0 "$root/usr/bin/mcfs-scheduler" --version
MCFS_SCHEDULE=$root/usr/share/doc/mcfs/examples/schedule.ini expect 0 "$root/usr/bin/mcfs-scheduler" validate

check "units"
if command -v systemd-analyze >/dev/null; then
	# The programs are not where the units say, on this machine: point them to those that are.
	mkdir "$work/units"
	for unit in mcfs-scheduler.service mcfs-snapshot.service mcfs-snapshot.timer; do
		sed "s|/usr/bin/mcfs-[a-z]*|$root/usr/bin/mcfs|; /^Documentation/d" \
			"$root/usr/lib/systemd/system/$unit" >"$work/units/$unit"
	done
	for unit in "$work"/units/*; do
		systemd-analyze verify "$unit" >"$work/verify" 2>&1 || { cat "$work/verify" >&2; fail "$unit"; }
		! grep -q "${unit##*/}" "$work/verify" || { cat "$work/verify" >&2; fail "$unit"; }
	done
else
	echo "	not verified: no systemd-analyze here"
fi
