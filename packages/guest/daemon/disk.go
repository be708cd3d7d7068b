package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// diskLimit is how much the agent's files may take, those of the image that the agent owns included.
type diskLimit struct{ bytes, files int64 }

// afterRestart lets a sandbox that was stopped for this be tidied up, not filled.
func (l diskLimit) afterRestart(count *diskCount) diskLimit {
	if count.bytes > l.bytes {
		l.bytes = count.bytes + diskSlackBytes
	}
	if count.files > l.files {
		l.files = count.files + diskSlackFiles
	}
	return l
}

// diskLimitExitCode tells whoever started the guest that it ended because the agent wrote more than it may (EX_TEMPFAIL).
const diskLimitExitCode = 75

const (
	// How often the file system is asked what is free, which costs nothing.
	diskGlance = 200 * time.Millisecond
	// How long nothing is counted when nothing seems to be written; others who free space may hide it.
	diskLongest = time.Minute
	// Counting takes at most this part of the time, unless much is being written.
	diskRest = 8
	// What a sandbox that was over its limit may still write when it is started again to be tidied up.
	diskSlackBytes = 16 << 20
	diskSlackFiles = 1024
	maxDiskDepth   = maxTreeDepth

	tmpfsMagic  = 0x01021994
	procMagic   = 0x9fa0
	sysfsMagic  = 0x62656572
	devptsMagic = 0x1cd1
	mqueueMagic = 0x19800202
	cgroupMagic = 0x27e0eb
	cgroup2     = 0x63677270
)

// notOnDisk are file systems that take memory, which has its own limit, or nothing.
var notOnDisk = map[int64]bool{tmpfsMagic: true, procMagic: true, sysfsMagic: true, devptsMagic: true, mqueueMagic: true, cgroupMagic: true, cgroup2: true}

var errTooDeep = errors.New("directories are nested too deeply to be counted")

type inode struct{ device, number uint64 }

// diskCount counts what files of some users take, each once, however many names it has.
type diskCount struct {
	owners map[uint32]bool
	seen   map[inode]bool
	disks  map[uint64]bool
	bytes  int64
	files  int64
}

func newDiskCount(uids []uint32) *diskCount {
	c := &diskCount{owners: map[uint32]bool{}, seen: map[inode]bool{}, disks: map[uint64]bool{}}
	for _, uid := range uids {
		c.owners[uid] = true
	}
	return c
}

func (c *diskCount) add(stat *syscall.Stat_t) {
	if !c.owners[stat.Uid] {
		return
	}
	if stat.Nlink != 1 && stat.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		key := inode{uint64(stat.Dev), stat.Ino}
		if c.seen[key] {
			return
		}
		c.seen[key] = true
	}
	c.bytes += stat.Blocks * 512
	c.files++
}

// tree counts a directory and what is below. Runs with the agent's rights, so that it can read what the agent can.
func (c *diskCount) tree(parent int, name string, depth int) error {
	reader, err := openDirectory(parent, name)
	if err == syscall.EACCES && c.unlock(parent, name) {
		reader, err = openDirectory(parent, name)
	}
	if err != nil {
		return nil // it vanished, or is another's and hides nothing of the agent's
	}
	defer reader.close()
	var stat syscall.Stat_t
	if syscall.Fstat(reader.descriptor, &stat) != nil || !c.onDisk(reader.descriptor, uint64(stat.Dev)) {
		return nil
	}
	if depth > maxDiskDepth {
		return errTooDeep
	}
	c.add(&stat)
	for {
		child, err := reader.next()
		if err != nil || child == "" {
			return nil
		}
		if child == "." || child == ".." || fstatat(reader.descriptor, child, &stat) != nil {
			continue
		}
		if stat.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			c.add(&stat)
		} else if err := c.tree(reader.descriptor, child, depth+1); err != nil {
			return err
		}
	}
}

// unlock gives the agent back the right to read its own directory, in which it could hide what it wrote.
func (c *diskCount) unlock(parent int, name string) bool {
	var stat syscall.Stat_t
	if fstatat(parent, name, &stat) != nil || !c.owners[stat.Uid] || stat.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return false
	}
	return at(syscall.SYS_FCHMODAT, parent, name, uintptr(stat.Mode&0o7777|0o700)) == nil
}

func (c *diskCount) onDisk(descriptor int, device uint64) bool {
	known, asked := c.disks[device]
	if !asked {
		var system syscall.Statfs_t
		known = syscall.Fstatfs(descriptor, &system) == nil && !notOnDisk[int64(system.Type)]
		c.disks[device] = known
	}
	return known
}

// unlinked counts files that have no name any more but are open in a process of the agent.
func (c *diskCount) unlinked() {
	processes, err := openDirectory(atWorkingDirectory, "/proc")
	if err != nil {
		return
	}
	defer processes.close()
	for {
		pid, err := processes.next()
		if err != nil || pid == "" {
			return
		}
		if _, err := strconv.Atoi(pid); err != nil {
			continue
		}
		directory := "/proc/" + pid + "/fd"
		reader, err := openDirectory(atWorkingDirectory, directory)
		if err != nil {
			continue
		}
		for {
			descriptor, err := reader.next()
			if err != nil || descriptor == "" {
				break
			}
			var stat syscall.Stat_t
			if strings.HasPrefix(descriptor, ".") || syscall.Stat(directory+"/"+descriptor, &stat) != nil {
				continue
			}
			// memory has no disk: its device was never met by the walk
			if stat.Nlink == 0 && stat.Mode&syscall.S_IFMT == syscall.S_IFREG && c.disks[uint64(stat.Dev)] {
				c.add(&stat)
			}
		}
		reader.close()
	}
}

const atWorkingDirectory = -100

// countDisk counts everything that the agent's users own.
func (d *daemon) countDisk() (*diskCount, error) {
	count := newDiskCount(d.agents.list())
	_, err := asAgent(d.threads, func() (struct{}, error) {
		if err := count.tree(atWorkingDirectory, "/", 0); err != nil {
			return struct{}{}, err
		}
		count.unlinked()
		return struct{}{}, nil
	})
	return count, err
}

// diskFree says what the file system of the root has left, for all who share it.
func diskFree() (bytes, files int64) {
	var system syscall.Statfs_t
	if syscall.Statfs("/", &system) != nil {
		return 0, 0
	}
	return int64(system.Bfree) * int64(system.Bsize), int64(system.Ffree)
}

// watchDisk ends the guest when the agent's files take more than the limit. It counts as often as what the whole file system loses says that it
// might be so, and now and then anyway; so the agent may run over by what it writes in a moment.
func (d *daemon) watchDisk(limit diskLimit) {
	for first := true; ; first = false {
		freeBytes, freeFiles := diskFree()
		began := time.Now()
		count, err := d.countDisk()
		took := time.Since(began)
		if first {
			limit = limit.afterRestart(count)
		}
		if err != nil || count.bytes > limit.bytes || count.files > limit.files {
			d.exceededDisk()
		}
		rest := min(max(took*diskRest, diskGlance), diskLongest)
		for waited := time.Duration(0); waited < diskLongest; {
			time.Sleep(diskGlance)
			waited += diskGlance
			bytes, files := diskFree()
			lostBytes, lostFiles := freeBytes-bytes, freeFiles-files
			if lostBytes > limit.bytes-count.bytes || lostFiles > limit.files-count.files {
				break // it may be over already
			}
			if waited >= rest && (lostBytes > (limit.bytes-count.bytes)/4 || lostFiles > (limit.files-count.files)/4) {
				break
			}
		}
	}
}

// exceededDisk ends everything. Where the guest's end is everybody's (PID 1), nothing is killed before: a program's end by SIGKILL would go out as its
// result, and say nothing of the limit.
func (d *daemon) exceededDisk() {
	if os.Getpid() != 1 {
		d.killAll()
	}
	os.Exit(diskLimitExitCode)
}
