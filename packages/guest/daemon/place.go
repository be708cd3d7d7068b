package main

import (
	"strconv"
	"strings"
	"syscall"
)

const (
	openPath        = 0x200000 // O_PATH
	procSuperMagic  = 0x9fa0
	maxLinks        = 40
	maxOpenParents  = 1024
	atEmptyPath     = 0x1000
	atSymlinkNoFoll = 0x100
)

// place is where a path leads: a name in an open directory, with every link on the way followed by the guest itself, so that
// nothing can be swapped between looking and doing. Its descriptors are good on any thread.
type place struct {
	given     string
	canonical string
	parent    int    // O_PATH of the directory that holds the name
	name      string // empty: the place is the directory `parent` itself
	target    int    // O_PATH of what is there, -1 when nothing is
	stat      syscall.Stat_t
}

func (p *place) close() {
	closeAll(p.parent, p.target)
	p.parent, p.target = -1, -1
}

func (p *place) exists() bool { return p.target >= 0 }

func (p *place) kind() uint32 { return p.stat.Mode & syscall.S_IFMT }

// walker follows one path, a component at a time.
type walker struct {
	directories []int // the stack from / to where it stands
	names       []string
	pending     []string
	links       int
	// makeDirectory is called for a missing directory on the way; nil: it is ENOENT.
	makeDirectory func(parent int, name, canonical string) error
}

func splitPath(path string) []string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	return parts
}

func (w *walker) canonical() string { return "/" + strings.Join(w.names, "/") }

func (w *walker) close() { closeAll(w.directories...) }

func joinCanonical(directory, name string) string {
	if directory == "/" {
		return "/" + name
	}
	return directory + "/" + name
}

// missing is ENOENT with where the path would have led, which decides whether that may be told.
type missing struct{ canonical string }

func (missing) Error() string { return syscall.ENOENT.Error() }

func (missing) Unwrap() error { return syscall.ENOENT }

// remaining is where the rest of the path would lead if all of it were made.
func (w *walker) remaining(first []string) string {
	names := append([]string(nil), w.names...)
	for _, part := range append(first, w.pending...) {
		if part == ".." {
			names = names[:max(0, len(names)-1)]
		} else {
			names = append(names, part)
		}
	}
	return "/" + strings.Join(names, "/")
}

// walk resolves `path` with the rights of the calling thread. `follow` says whether a link at its end is followed.
func walk(path string, follow bool, makeDirectory func(parent int, name, canonical string) error) (*place, error) {
	w := &walker{pending: splitPath(path), makeDirectory: makeDirectory}
	wantsDirectory := strings.HasSuffix(path, "/") || strings.HasSuffix(path, "/.")
	start, err := syscall.Open("/", openPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	w.directories = []int{start}
	defer w.close()
	for len(w.pending) > 0 {
		name := w.pending[0]
		w.pending = w.pending[1:]
		last := len(w.pending) == 0
		if name == ".." {
			if len(w.names) > 0 {
				top := len(w.directories) - 1
				syscall.Close(w.directories[top])
				w.directories, w.names = w.directories[:top], w.names[:top-1]
			}
			continue
		}
		here := w.directories[len(w.directories)-1]
		found, err := openat(here, name, openPath|syscall.O_NOFOLLOW)
		if err == syscall.ENOENT && last && !wantsDirectory {
			return w.arrive(path, name, -1, nil)
		}
		if err == syscall.ENOENT && w.makeDirectory != nil {
			if err = w.makeDirectory(here, name, joinCanonical(w.canonical(), name)); err == nil {
				found, err = openat(here, name, openPath|syscall.O_NOFOLLOW|syscall.O_DIRECTORY)
			}
		}
		if err == syscall.ENOENT {
			return nil, missing{w.remaining([]string{name})}
		}
		if err != nil {
			return nil, err
		}
		var stat syscall.Stat_t
		if err := syscall.Fstat(found, &stat); err != nil {
			syscall.Close(found)
			return nil, err
		}
		if err := refuseOwnProcess(found, name); err != nil {
			syscall.Close(found)
			return nil, err
		}
		switch stat.Mode & syscall.S_IFMT {
		case syscall.S_IFLNK:
			if last && !follow && !wantsDirectory {
				return w.arrive(path, name, found, &stat)
			}
			if err := w.followLink(found); err != nil {
				syscall.Close(found)
				return nil, err
			}
			syscall.Close(found)
		case syscall.S_IFDIR:
			if last {
				// It stands in its parent, so that it can be renamed and removed.
				return w.arrive(path, name, found, &stat)
			}
			if len(w.directories) >= maxOpenParents {
				syscall.Close(found)
				return nil, syscall.ENAMETOOLONG
			}
			w.directories, w.names = append(w.directories, found), append(w.names, name)
		default:
			if !last || wantsDirectory {
				syscall.Close(found)
				return nil, syscall.ENOTDIR
			}
			return w.arrive(path, name, found, &stat)
		}
	}
	// The path ended in `/` or `..`: the place is the directory on top.
	top := len(w.directories) - 1
	var stat syscall.Stat_t
	if err := syscall.Fstat(w.directories[top], &stat); err != nil {
		return nil, err
	}
	target, err := dupDescriptor(w.directories[top])
	if err != nil {
		return nil, err
	}
	parent, err := dupDescriptor(w.directories[top])
	if err != nil {
		syscall.Close(target)
		return nil, err
	}
	return &place{given: path, canonical: w.canonical(), parent: parent, target: target, stat: stat}, nil
}

func (w *walker) arrive(given, name string, target int, stat *syscall.Stat_t) (*place, error) {
	top := len(w.directories) - 1
	p := &place{given: given, canonical: joinCanonical(w.canonical(), name), parent: w.directories[top], name: name, target: target}
	w.directories = w.directories[:top]
	if stat != nil {
		p.stat = *stat
	}
	return p, nil
}

// magicLink is a link of procfs: it leads where no path leads, so nobody can say that it stays inside.
type magicLink struct{}

func (magicLink) Error() string { return "a link of procfs" }

func (magicLink) Unwrap() error { return syscall.ELOOP }

// followLink puts what the link says before the rest of the path.
func (w *walker) followLink(link int) error {
	w.links++
	if w.links > maxLinks {
		return syscall.ELOOP
	}
	if isProcfs(link) {
		return magicLink{}
	}
	says, err := readlinkat(link, "")
	if err != nil {
		return err
	}
	if says == "" {
		return syscall.ENOENT
	}
	parts := splitPath(says)
	if len(parts)+len(w.pending) > 1<<15 {
		return syscall.ENAMETOOLONG
	}
	if strings.HasPrefix(says, "/") {
		closeAll(w.directories[1:]...)
		w.directories, w.names = w.directories[:1], nil
	}
	w.pending = append(parts, w.pending...)
	return nil
}

func isProcfs(descriptor int) bool {
	var stat syscall.Statfs_t
	return syscall.Fstatfs(descriptor, &stat) != nil || stat.Type == procSuperMagic
}

// refuseOwnProcess keeps the guest's own records in procfs shut: the kernel lets every thread of a process look at all of it,
// whatever that thread's file-system identity.
func refuseOwnProcess(descriptor int, name string) error {
	if name[0] < '1' || name[0] > '9' {
		return nil
	}
	if _, err := strconv.ParseUint(name, 10, 31); err != nil || !isProcfs(descriptor) {
		return nil
	}
	var stat syscall.Stat_t
	if syscall.Stat("/proc/self/task/"+name, &stat) == nil {
		return syscall.EACCES
	}
	return nil
}
