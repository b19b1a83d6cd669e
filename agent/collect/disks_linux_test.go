package collect

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/snapwatch/snapwatch/agent/agenttest"
	"github.com/snapwatch/snapwatch/internal/testlog"
	"github.com/snapwatch/snapwatch/internal/testwait"
	"github.com/snapwatch/snapwatch/snapshot"
)

// types is /proc/filesystems.
const types = "nodev\tproc\nnodev\ttmpfs\nnodev\toverlay\nnodev\tfuse\n\text4\n\tvfat\n\tsquashfs\n\tfuseblk\n\tbtrfs\n"

// mountsOf returns the file systems that are selected from lines of mountinfo: type and mount points.
func mountsOf(lines string) []string {
	var list []string
	for _, f := range selectFileSystems(parseMounts([]byte(lines)), parseFileSystemTypes([]byte(types))) {
		list = append(list, f.fsType+" "+strings.ReplaceAll(f.points, pointSeparator, " "))
	}
	return list
}

// What holds data is listed once.
func TestSelectedFileSystems(t *testing.T) {
	const root = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
	for name, test := range map[string]struct {
		mounts string
		want   []string
	}{
		"file systems of the kernel and of memory are left out": {
			root + "21 20 0:21 / /proc rw - proc proc rw\n22 20 0:22 / /dev/shm rw - tmpfs tmpfs rw\n" +
				"23 20 0:23 / /run rw - tmpfs tmpfs rw\n24 20 0:24 / /boot rw - autofs systemd-1 rw\n",
			[]string{"ext4 /"},
		},
		"images are left out": {
			root + "21 20 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro\n" +
				"22 20 11:0 / /media/cd ro - iso9660 /dev/sr0 ro\n23 20 7:1 / /opt/image ro - ext4 /dev/loop1 ro\n" +
				"24 20 0:40 / /tmp/.mount_x ro - fuse.x.AppImage x.AppImage ro\n" +
				"25 20 0:41 / /snap/y ro - fuse.snapfuse snapfuse ro\n" +
				"26 20 7:2 / /opt/disk rw - ext4 /dev/loop2 rw\n",
			[]string{"ext4 /", "ext4 /opt/disk/"},
		},
		"bind mounts are left out, whichever comes first": {
			"21 20 8:2 /srv/www /var/www rw - ext4 /dev/sda2 rw\n" + root +
				"22 20 8:2 / /data rw - ext4 /dev/sda2 rw\n" +
				"23 20 8:1 /home /mnt/home rw - ext4 /dev/sda1 rw\n",
			[]string{"ext4 /data/ /var/www", "ext4 / /mnt/home"},
		},
		"a container with files of its host": {
			"30 1 0:50 / / rw - overlay overlay rw,lowerdir=/l\n" +
				"31 30 8:1 /var/lib/docker/containers/1/resolv.conf /etc/resolv.conf rw - ext4 /dev/sda1 rw\n" +
				"32 30 8:1 /var/lib/docker/containers/1/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n",
			[]string{"overlay /", "ext4 /etc/resolv.conf /etc/hosts"},
		},
		"overlays of containers on their host": {
			root + "31 20 0:51 / /var/lib/docker/overlay2/1/merged rw - overlay overlay rw\n",
			[]string{"ext4 /"},
		},
		"a file system under the mount point of another": {
			root + "21 20 8:2 / /mnt/data rw - ext4 /dev/sda2 rw\n22 20 8:3 / /mnt rw - ext4 /dev/sda3 rw\n",
			[]string{"ext4 /", "ext4 /mnt/"},
		},
		"a file system on the same mount point as another": {
			root + "21 20 8:2 / /mnt rw - ext4 /dev/sda2 rw\n22 21 8:3 / /mnt rw - ext4 /dev/sda3 rw\n",
			[]string{"ext4 /", "ext4 /mnt/"},
		},
		"a file system in one that is hidden": {
			root + "21 20 8:2 / /mnt rw - ext4 /dev/sda2 rw\n22 21 8:3 / /mnt/a rw - ext4 /dev/sda3 rw\n" +
				"23 21 8:4 / /mnt rw - ext4 /dev/sda4 rw\n",
			[]string{"ext4 /", "ext4 /mnt/"},
		},
		"a hidden file system that is also mounted elsewhere": {
			root + "21 20 8:2 / /mnt/data rw - ext4 /dev/sda2 rw\n22 20 8:3 / /mnt rw - ext4 /dev/sda3 rw\n" +
				"23 20 8:2 /sub /srv rw - ext4 /dev/sda2 rw\n",
			[]string{"ext4 /", "ext4 /mnt/", "ext4 /srv"},
		},
		"network file systems": {
			root + "21 20 0:44 / /home/a rw - nfs4 nas:/home/a rw\n22 20 0:44 /b /home/b rw - nfs4 nas:/home/b rw\n" +
				"23 20 0:45 / /mnt/share rw - cifs //nas/share rw\n" +
				"24 20 0:46 / /mnt/ssh rw - fuse.sshfs u@host:/srv rw\n" +
				"25 20 0:47 / /mnt/new rw - newfs host:/export rw\n26 20 0:48 / /again rw - cifs //nas/share rw\n" +
				"27 20 8:9 / /mnt/ntfs rw - fuseblk /dev/sda9 rw\n",
			[]string{
				"ext4 /", "nfs4 /home/a/ /home/b", "cifs /mnt/share/ /again/", "fuse.sshfs /mnt/ssh/",
				"newfs /mnt/new/", "fuseblk /mnt/ntfs/",
			},
		},
		"file systems of FUSE with the same source": {
			root + "21 20 0:51 / /mnt/a rw - fuse.s3fs s3fs rw\n22 20 0:52 / /mnt/b rw - fuse.s3fs s3fs rw\n" +
				"23 20 0:51 / /again rw - fuse.s3fs s3fs rw\n24 20 0:51 /sub /sub rw - fuse.s3fs s3fs rw\n" +
				"25 20 0:53 / /mnt/c rw - fuse host:/c rw\n26 20 0:54 / /mnt/d rw - fuse host:/c rw\n",
			[]string{
				"ext4 /", "fuse.s3fs /mnt/a/ /again/ /sub", "fuse.s3fs /mnt/b/", "fuse /mnt/c/", "fuse /mnt/d/",
			},
		},
		"an NFS export that is mounted twice": {
			root + "21 20 0:51 / /mnt/a rw - nfs4 nas:/a rw,sync\n22 20 0:52 / /mnt/b rw - nfs4 nas:/a rw\n",
			[]string{"ext4 /", "nfs4 /mnt/a/ /mnt/b/"},
		},
		"subvolumes and datasets": {
			"20 1 0:30 /@ / rw - btrfs /dev/sda2 rw\n21 20 0:30 /@home /home rw - btrfs /dev/sda2 rw\n" +
				"22 20 0:31 / /tank rw - zfs tank rw\n23 22 0:32 / /tank/a rw - zfs tank/a rw\n",
			[]string{"btrfs / /home", "zfs /tank/", "zfs /tank/a/"},
		},
		"views of other file systems": {
			root + "21 20 0:41 / /pool rw - fuse.mergerfs a:b rw\n" +
				"22 20 0:42 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw\n",
			[]string{"ext4 /"},
		},
		"mount points with spaces": {
			root + `21 20 8:2 / /mnt/my\040disk\134\011 rw - ext4 /dev/sda2 rw` + "\n",
			[]string{"ext4 /", "ext4 /mnt/my disk\\\t/"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mountsOf(test.mounts); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// readerOf returns a reader of the given mounts, without those of this machine. It has the given spaces by mount point.
func readerOf(mounts string, spaces map[string]space) *diskReader {
	r := newDiskReader(testlog.Logger(), func(points string) space {
		for point := range strings.SplitSeq(points, pointSeparator) {
			if u, found := spaces[point]; found {
				return u
			}
		}
		return space{}
	})
	r.list = selectFileSystems(parseMounts([]byte(mounts)), parseFileSystemTypes([]byte(types)))
	r.table.fixed = true
	return r
}

// The volumes of a container are on the file system that its root shows.
func TestRootOfAContainer(t *testing.T) {
	const mounts = "30 1 0:50 / / rw - overlay overlay rw\n31 30 8:1 /volumes/1 /data rw - ext4 /dev/sda1 rw\n" +
		"32 30 8:1 /containers/1/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n33 30 8:2 /x /other rw - ext4 /dev/sdb1 rw\n"
	at := func(mount string, used uint64) space {
		return space{
			mount: mount, ok: true, total: 1000, used: used, available: 900 - used, blocks: 1000, free: 1000 - used,
		}
	}
	r := readerOf(mounts, map[string]space{"/": at("/", 500), "/data": at("/data", 501), "/other": at("/other", 100)})
	var m snapshot.MachineSnapshot
	r.read(t.Context(), &m, false)
	if len(m.Disks) != 2 || m.Disks[0].Mount != "/" || m.Disks[1].Mount != "/other" {
		t.Errorf("%+v", m.Disks)
	}
	if *m.TotalDisk != 2000 || *m.UsedDisk != 600 || *m.AvailableDisk != 1200 {
		t.Errorf("the totals are %d, %d and %d", *m.TotalDisk, *m.UsedDisk, *m.AvailableDisk)
	}
}

// The fullest disk is the one that users can write the least to. One that cannot be written is not full.
func TestFullestDisk(t *testing.T) {
	const mounts = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n21 20 8:2 / /data rw - ext4 /dev/sda2 rw\n" +
		"22 20 8:3 / /fixed ro - ext4 /dev/sda3 ro\n"
	at := func(mount string, used, available uint64) space {
		return space{mount: mount, ok: true, total: 1000, used: used, available: available, blocks: 1000}
	}
	r := readerOf(mounts, map[string]space{
		"/": at("/", 100, 850), "/data/": at("/data", 900, 50), "/fixed/": at("/fixed", 1000, 0),
	})
	var m snapshot.MachineSnapshot
	r.read(t.Context(), &m, false)
	if m.FullestDisk != "/data" || *m.FullestDiskUsage != 94.74 {
		t.Errorf("%q is the fullest, with %v %%", m.FullestDisk, *m.FullestDiskUsage)
	}
	if len(m.Disks) != 3 || !m.Disks[2].ReadOnly || *m.TotalDisk != 3000 {
		t.Errorf("%+v, %d in total", m.Disks, *m.TotalDisk)
	}
}

// Datasets of one pool share its free space.
func TestTotalsOfAPool(t *testing.T) {
	const mounts = "20 1 0:31 / / rw - zfs tank rw\n21 20 0:32 / /a rw - zfs tank/a rw\n"
	r := readerOf(mounts, map[string]space{
		"/":   {mount: "/", ok: true, total: 1000, used: 100, available: 900},
		"/a/": {mount: "/a", ok: true, total: 1400, used: 500, available: 900},
	})
	var m snapshot.MachineSnapshot
	r.read(t.Context(), &m, false)
	if *m.TotalDisk != 1500 || *m.UsedDisk != 600 || *m.AvailableDisk != 900 {
		t.Errorf("the totals are %d, %d and %d", *m.TotalDisk, *m.UsedDisk, *m.AvailableDisk)
	}
}

// find returns the disk that is mounted at a directory, or nil.
func find(m *snapshot.MachineSnapshot, mount string) *snapshot.Disk {
	i := slices.IndexFunc(m.Disks, func(d snapshot.Disk) bool { return d.Mount == mount })
	if i < 0 {
		return nil
	}
	return &m.Disks[i]
}

// While the server of a file system is stopped, only the values of this file system are not updated.
func TestFileSystemWhoseServerIsStopped(t *testing.T) {
	if !agenttest.InNamespaces(t, syscall.CLONE_NEWNS) {
		return
	}
	for _, fsType := range []string{"fuseblk", "fuse.sshfs"} {
		t.Run(fsType, func(t *testing.T) {
			dir := t.TempDir()
			server := agenttest.MountFUSE(t, dir, fsType)
			var log bytes.Buffer
			s, err := Open(t.TempDir(), nil, nil, nil, slog.New(slog.NewTextHandler(&log, nil)))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			sample := func() *snapshot.MachineSnapshot { return &takeSample(t, s).Machine }
			m := sample()
			d := find(m, dir)
			if d == nil || len(m.Stale) > 0 || d.Total == nil || *d.Total != 1000*4096 || *d.Used != 250*4096 ||
				*d.Available != 700*4096 || d.Type != fsType {
				t.Fatalf("%+v, stale %v", d, m.Stale)
			}
			root := find(m, "/")
			server.Stop()
			for range 3 {
				m := sample()
				if !slices.Equal(m.Stale, []string{dir}) {
					t.Errorf("%v is stale, want %s", m.Stale, dir)
				}
				if d := find(m, dir); d == nil || *d.Used != 250*4096 {
					t.Errorf("%+v, want the last known values", d)
				}
				if root != nil && (find(m, "/") == nil || find(m, "/").Used == nil) {
					t.Error("the root is not recorded")
				}
			}
			if n := strings.Count(log.String(), "does not answer"); n != 1 || !strings.Contains(log.String(), dir) {
				t.Errorf("the log is %s", log.String())
			}
			server.Continue()
			testwait.Until(t, "the file system to answer", func() bool { return len(sample().Stale) == 0 })
		})
	}
}

// A file system that does not answer from the start has no values.
func TestFileSystemThatNeverAnswers(t *testing.T) {
	if !agenttest.InNamespaces(t, syscall.CLONE_NEWNS) {
		return
	}
	dir := t.TempDir()
	server := agenttest.MountFUSE(t, dir, "fuse.sshfs")
	server.Stop()
	defer server.Continue()
	s := openReal(t, "proc", t.TempDir())
	defer s.Close()
	sample, err := s.Sample(t.Context(), time.Now(), OptionsOf(snapshot.Config{}), true)
	if err != nil {
		t.Fatal(err)
	}
	if d := find(&sample.Machine, dir); d == nil || d.Total != nil || d.Used != nil || d.Device != "server:/export" {
		t.Errorf("%+v", d)
	}
	if !slices.Contains(sample.Machine.Stale, dir) {
		t.Errorf("%v is stale, want %s", sample.Machine.Stale, dir)
	}
	if _, late := CheckFileSystems(t.Context()); !slices.Contains(late, dir) {
		t.Errorf("%v do not answer, want %s", late, dir)
	}
}

// Mounts are followed from one sample to the next: an image, a file, a bind mount, a file system over another one.
func TestMountsOfThisMachine(t *testing.T) {
	if !agenttest.InNamespaces(t, syscall.CLONE_NEWNS) {
		return
	}
	s := openReal(t, "proc", t.TempDir())
	defer s.Close()
	list := func() (mounts []string) {
		sample := takeSample(t, s)
		for _, d := range sample.Machine.Disks {
			mounts = append(mounts, d.Mount)
		}
		return mounts
	}
	before := list()
	mount := func(source, target, fsType string, flags uintptr) {
		t.Helper()
		if err := unix.Mount(source, target, fsType, flags, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	}
	dir := t.TempDir()
	file, other := filepath.Join(dir, "resolv.conf"), filepath.Join(dir, "other")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sub := range []string{"other", "outer", "outer/inner"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mount(file, file, "", unix.MS_BIND)
	mount("/", other, "", unix.MS_BIND)
	mount("tmpfs", filepath.Join(dir, "outer"), "tmpfs", 0)
	if got := list(); !slices.Equal(got, before) {
		t.Errorf("%q, want %q: nothing new holds data", got, before)
	}
	image := filepath.Join(dir, "image")
	if out, err := exec.Command("mke2fs", "-q", image, "4M").CombinedOutput(); err != nil {
		t.Skipf("mke2fs: %v %s", err, out)
	}
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	loop := func(target string, options ...string) {
		t.Helper()
		arguments := append([]string{"-o", strings.Join(append(options, "loop"), ",")}, image, target)
		if out, err := exec.Command("mount", arguments...).CombinedOutput(); err != nil {
			t.Skipf("mount: %v %s", err, out)
		}
	}
	loop(disk, "ro")
	if got := list(); !slices.Equal(got, before) {
		t.Errorf("%q with an image, want %q", got, before)
	}
	if err := unix.Unmount(disk, 0); err != nil {
		t.Fatal(err)
	}
	loop(disk)
	if got := list(); !slices.Equal(got, append(slices.Clone(before), disk)) {
		t.Errorf("%q with a disk, want %q and %s", got, before, disk)
	}
	mount("tmpfs", disk, "tmpfs", 0)
	if got := list(); !slices.Equal(got, before) {
		t.Errorf("%q with a disk under another mount, want %q", got, before)
	}
	if err := unix.Unmount(disk, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Unmount(disk, 0); err != nil {
		t.Fatal(err)
	}
	if got := list(); !slices.Equal(got, before) {
		t.Errorf("%q after the disk is unmounted, want %q", got, before)
	}
}

// The devices of all kinds of file systems are found in the kernel's counters.
func TestCountersOfADisk(t *testing.T) {
	counters := parseDiskStats([]byte(
		"   8       1 sda1 10 0 2000 5 7 0 3000 9 0 1 2\n 253       0 dm-0 1 0 8 5 7 0 16 9 0 1 2\nshort\n"))
	want := transferred{2000 * 512, 3000 * 512}
	if counters["8:1"] != want || counters["sda1"] != want || counters["253:0"] != (transferred{8 * 512, 16 * 512}) {
		t.Errorf("%+v", counters)
	}
	for key, f := range map[string]fileSystem{
		"8:1":   {number: "8:1", device: "/dev/sda1"},
		"253:0": {number: "253:0", device: "/dev/mapper/vg-root"},
		"sda2":  {number: "0:30", device: "/dev/sda2"},
		"":      {number: "0:44", device: "nas:/export"},
	} {
		if got := f.counterKey(); got != key {
			t.Errorf("%s: %q, want %q", f.device, got, key)
		}
	}
}
