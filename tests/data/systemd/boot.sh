#!/bin/bash
# boot.sh REPOSITORY PACKAGES PYTHON FOLDER: run systemd as PID 1 on a copy of this machine's file system.
#
# It is started in namespaces of its own (mount, PID, UTS, network, cgroup). All that systemd could write to is a
# copy in memory: its root is an overlay, the root of this machine is detached before systemd starts, and kernel
# settings are read-only. Only FOLDER, which has the scenario and its output, is shared.
set -e
repository=$1 packages=$2 python=$3 folder=$4

mount --make-rprivate /
mkdir -p "$folder/root"
mount -t tmpfs tmpfs "$folder/root"
cd "$folder/root"
mkdir upper work new
mount -t overlay overlay -o "lowerdir=/,upperdir=$PWD/upper,workdir=$PWD/work" new
cd new
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 none sys/fs/cgroup 2>/dev/null || { mount -t tmpfs tmpfs sys; mkdir -p sys/fs/cgroup; mount -t cgroup2 none sys/fs/cgroup; }
mount -t tmpfs tmpfs dev
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mkdir dev/shm
touch dev/console
for path in run tmp var/log; do mount -t tmpfs tmpfs $path; done

units=etc/systemd/system
cp "$repository"/deploy/systemd/sms-exporter.* "$folder/scenario.service" $units/
mkdir -p $units/sms-exporter.service.d etc/sms-exporter/secrets opt/sms-exporter/bin opt/packages opt/shared
# This root has no device nodes that systemd could copy.
printf '[Service]\nPrivateDevices=no\n' > $units/sms-exporter.service.d/devices.conf
cp -r "$repository/exporter" opt/sms-exporter/
cat > opt/sms-exporter/bin/sms-exporter <<X
#!/bin/sh
PYTHONPATH=/opt/sms-exporter:/opt/packages PYTHONDONTWRITEBYTECODE=1 exec $python -m exporter "\$@"
X
chmod 755 opt/sms-exporter/bin/sms-exporter
mount --bind "$packages" opt/packages
mount -o remount,bind,ro opt/packages
mount --bind "$folder/shared" opt/shared

mkdir -p old
pivot_root . old
cd /
umount -l /old
if [ "$(findmnt -no FSTYPE /)" != overlay ] || [ "$(findmnt -no FSTYPE /tmp)" != tmpfs ] || [ -n "$(ls -A /old)" ]; then
    echo "the root of this machine is not detached" >&2
    exit 1
fi
ip link set lo up
echo isolated
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=scenario.service --show-status=no
