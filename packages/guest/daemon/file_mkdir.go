package main

import (
	"strings"
	"syscall"
)

func parentMaker(wanted bool, mode uint32) func(int, string) error {
	if !wanted {
		return nil
	}
	return func(parent int, name string) error {
		err := makeDirectory(parent, name, mode)
		if err == syscall.EEXIST {
			return nil // another made it meanwhile
		}
		return err
	}
}

// makeDirectory makes one with exactly this mode, whatever the umask.
func makeDirectory(parent int, name string, mode uint32) error {
	if err := mkdirat(parent, name, mode&0o700); err != nil {
		return err
	}
	made, err := openat(parent, name, openPath|syscall.O_NOFOLLOW|syscall.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer syscall.Close(made)
	return chmodDescriptor(made, mode)
}

func opMkdir(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	path, roots := m.path("path"), readRoots(m)
	mode, parents := uint32(m.integer("mode", 0, modeBits)), m.boolean("createParents")
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	return mutation(d, s, key, func() error {
		found, err := resolve(roots, trimSlashes(path), true, true, parentMaker(parents, mode))
		if err != nil {
			return err
		}
		defer found.close()
		if found.exists() {
			if parents && found.kind() == syscall.S_IFDIR {
				return nil
			}
			return posixFailure(syscall.EEXIST, path, "none")
		}
		if err := makeDirectory(found.parent, found.name, mode); err != nil && !(parents && err == syscall.EEXIST) {
			return posixFailure(err, path, "none")
		}
		return nil
	})
}

// trimSlashes lets a directory that is to be made be named with a slash at its end.
func trimSlashes(path string) string {
	if trimmed := strings.TrimRight(path, "/"); trimmed != "" {
		return trimmed
	}
	return "/"
}
