"""What an emulated machine has beside Debian's packages: its start, its users, its sshd."""

from __future__ import annotations

__all__ = ["FILES", "FOLDERS", "INIT", "LINKS", "MODULES", "PACKAGES", "SUITE", "USER", "USER_ID"]

SUITE = "bookworm"
"""Its Python 3.11 is the newest that tflite-runtime has a wheel for."""

NEEDED = """
base-files bash coreutils dash debianutils diffutils findutils mawk grep gzip hostname iproute2 libacl1 libattr1
libaudit1 libblkid1 libbpf1 libbsd0 libbz2-1.0 libc-bin libc6 libcap-ng0 libcap2 libcbor0.8 libcom-err2
libcrypt1 libdb5.3 libedit2 libelf1 libexpat1 libffi8 libfido2-1 libgcc-s1 libgcrypt20 libgomp1 libgpg-error0
libgssapi-krb5-2 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0 liblz4-1 liblzma5 libmd0 libmnl0 libmount1
libncursesw6 libnsl2 libpam-modules libpam0g libpcre2-8-0 libproc2-0 libpython3-stdlib libpython3.11-minimal
libpython3.11-stdlib libreadline8 libselinux1 libsemanage2 libsepol2 libsmartcols1 libsqlite3-0 libssl3
libstdc++6 libsystemd0 libtinfo6 libtirpc3 libudev1 libuuid1 libwrap0 libxtables12 libzstd1 login media-types
mount ncurses-base openssh-client openssh-server openssh-sftp-server passwd procps python3 python3-minimal
python3.11 python3.11-minimal sed sysvinit-utils tar util-linux util-linux-extra xz-utils zlib1g
"""
"""All that is needed and no more: what they depend on beside these is for installing and configuring packages."""

PACKAGES = tuple(NEEDED.split())

MODULES = ("virtio_blk", "virtio_net", "virtio_rng", "overlay")

USER, USER_ID = "pi", 1000

INIT = """\
#!/bin/busybox sh
# The first program of the initial RAM disk: mounts and network, by one static program that starts fast.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for module in /modules/*; do $b insmod "$module"; done
$b mount -t ext4 -o ro /dev/vda /lower
$b mount -t tmpfs -o size=512m,mode=755 over /over
$b mkdir /over/upper /over/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/over/upper,workdir=/over/work root /system
$b mount -t ext4 -o noatime,noinit_itable,nobarrier /dev/vdb /system/home
[ -d /system/home/pi ] || { $b mkdir /system/home/pi && $b chown 1000:1000 /system/home/pi; }
$b mkdir /dev/pts /dev/shm
$b mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
$b mount -t tmpfs -o nosuid,nodev,mode=1777 shm /dev/shm
$b mount -t tmpfs -o nosuid,nodev,mode=755 run /system/run
$b mount -t tmpfs -o nosuid,nodev,mode=1777 tmp /system/tmp
$b mount -t sysfs -o nosuid,nodev,noexec sys /system/sys
$b mkdir /system/run/sshd /system/run/lock
$b ln -s /proc/self/fd /dev/fd
for number in 0:stdin 1:stdout 2:stderr; do $b ln -s "/proc/self/fd/${number%:*}" "/dev/${number#*:}"; done
counting=
for word in $($b cat /proc/cmdline); do
    case $word in
    edge_dwsep.name=*) $b hostname "${word#*=}" ;;
    edge_dwsep.counting) counting=yes ;;
    esac
done
$b ifconfig lo 127.0.0.1 up
$b ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
$b route add default gw 10.0.2.2
$b mount --move /dev /system/dev
$b mount --move /proc /system/proc
exec $b switch_root /system /sbin/init $counting
"""
"""The root is never written: what a machine changes there is in its memory."""

START = """\
#!/bin/sh
# The machine's first process: what runs as long as the machine does.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
cd /
setsid /usr/local/sbin/console &
read -r name </proc/sys/kernel/hostname
case $name in android*) setsid /usr/local/sbin/android & ;; esac
[ -z "$1" ] || set -- -o SetEnv=PYTHONHASHSEED=0
# A shell also collects processes whose parents have ended.
while :; do
    /usr/sbin/sshd -D -e "$@"
    sleep 0.2
done
"""

CONSOLE = """\
#!/bin/sh
# Runs what the host writes to the second console, as root: it sets the clock, and breaks things for tests.
exec </dev/hvc0 >/dev/hvc0 2>&1
stty raw -echo
while read -r line; do eval "$line"; done
"""

ANDROID = """\
#!/bin/sh
# An Android-like root over the machine's own, and adbd in it as Android's user shell; started again when it ends.
root=/android data=/home/android
mkdir -p "$data" && chown 2000:2000 "$data" && chmod 771 "$data"
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$data" "$root/data/local/tmp"
mount -t proc proc "$root/proc"
mount --bind /sys "$root/sys"
mount -t tmpfs -o nosuid,mode=755,size=64k dev "$root/dev"
mkdir "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666,mode=600 devpts "$root/dev/pts"
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 "$root/dev/tty" c 5 0
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${number%:*}" "$root/dev/${number#*:}"; done
while :; do
    env -i ADBD_PORT=5555 ANDROID_DATA=/data ANDROID_ROOT=/system HOME=/ PATH=/system/bin SHELL=/system/bin/sh \\
        TMPDIR=/data/local/tmp /usr/sbin/chroot --userspec=2000:2000 --groups= "$root" /apex/com.android.adbd/bin/adbd
    sleep 0.2
done
"""

SSHD = """\
Port 22
AddressFamily inet
HostKey /etc/ssh/ssh_host_ed25519_key
KexAlgorithms curve25519-sha256
Ciphers aes128-gcm@openssh.com,aes128-ctr,chacha20-poly1305@openssh.com
AllowUsers pi
AuthenticationMethods publickey
AuthorizedKeysFile /etc/ssh/authorized_keys/%u
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
LoginGraceTime 0
TCPKeepAlive no
MaxSessions 64
MaxStartups 64
PrintMotd no
PrintLastLog no
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
PidFile /run/sshd.pid
"""
"""Only curve25519 and AES, which emulate fastest. No limits of time: on a machine that counts instructions, the clock
leaps whenever it waits."""

USERS = f"""\
root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
sshd:x:100:65534::/run/sshd:/usr/sbin/nologin
{USER}:x:{USER_ID}:{USER_ID}:,,,:/home/{USER}:/bin/bash
"""

GROUPS = f"""\
root:x:0:
tty:x:5:
disk:x:6:
shadow:x:42:
utmp:x:43:
video:x:44:{USER}
users:x:100:{USER}
nogroup:x:65534:
{USER}:x:{USER_ID}:
"""

NO_PASSWORDS = "".join(f"{name}:*:19000::::::\n" for name in ("root", "nobody", "sshd", USER))

SU = """\
auth sufficient pam_rootok.so
account sufficient pam_permit.so
session required pam_permit.so
"""

FILES: dict[str, tuple[int, str]] = {
    "etc/group": (0o644, GROUPS),
    "etc/hostname": (0o644, "raspberrypi\n"),
    "etc/hosts": (0o644, "127.0.0.1 localhost\n"),
    "etc/nsswitch.conf": (0o644, "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"),
    "etc/pam.d/su": (0o644, SU),
    "etc/passwd": (0o644, USERS),
    "etc/shadow": (0o600, NO_PASSWORDS),
    "etc/ssh/sshd_config": (0o644, SSHD),
    "usr/local/sbin/android": (0o755, ANDROID),
    "usr/local/sbin/console": (0o755, CONSOLE),
    "usr/sbin/init": (0o755, START),
}
"""Mode and text by path."""

LINKS = {"usr/bin/which": "which.debianutils", "usr/bin/awk": "mawk"}

FOLDERS = ("dev", "etc/ssh/authorized_keys", "home", "proc", "run", "sys", "tmp", "usr/local/bin", "usr/local/sbin")
