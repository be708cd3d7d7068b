package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"syscall"
)

const (
	direntBufferBytes = 32 << 10
	// Directories open at once on the way down.
	maxTreeDepth = 512
	// How often a directory is emptied again that others fill meanwhile, or into which what lay deep was moved.
	maxEmptyings = 4096
	listBatch    = 64 << 10
)

// directoryReader reads names of a directory, some at a time.
type directoryReader struct {
	descriptor int
	buffer     [direntBufferBytes]byte
	names      []string
}

func openDirectory(parent int, name string) (*directoryReader, error) {
	descriptor, err := openat(parent, name, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	return &directoryReader{descriptor: descriptor}, nil
}

// openTarget opens the directory that a place is.
func (p *place) openDirectory() (*directoryReader, error) {
	if !p.exists() {
		return nil, absent(p.given)
	}
	if p.kind() != syscall.S_IFDIR {
		return nil, posixFailure(syscall.ENOTDIR, p.given, "none")
	}
	reader, err := openDirectory(p.target, ".")
	if err != nil {
		return nil, posixFailure(err, p.given, "none")
	}
	return reader, nil
}

// next returns a name, or "" after the last.
func (r *directoryReader) next() (string, error) {
	for len(r.names) == 0 {
		count, err := syscall.ReadDirent(r.descriptor, r.buffer[:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		if count <= 0 {
			return "", nil
		}
		_, _, r.names = syscall.ParseDirent(r.buffer[:count], -1, r.names)
	}
	name := r.names[0]
	r.names = r.names[1:]
	return name, nil
}

func (r *directoryReader) close() { closeAll(r.descriptor) }

// lister walks a tree and stops wherever its caller has enough for now.
type lister struct {
	given     string
	recursive bool
	levels    []listLevel
}

type listLevel struct {
	reader *directoryReader
	prefix string
}

func (l *lister) close() {
	for _, level := range l.levels {
		level.reader.close()
	}
}

// batch returns some entries as lines, none after the last.
func (l *lister) batch() ([]byte, error) {
	var lines bytes.Buffer
	for len(l.levels) > 0 && lines.Len() < listBatch {
		level := l.levels[len(l.levels)-1]
		name, err := level.reader.next()
		if err != nil {
			return nil, posixFailure(err, l.given, "none")
		}
		if name == "" {
			level.reader.close()
			l.levels = l.levels[:len(l.levels)-1]
			continue
		}
		if err := l.entry(&lines, level, name); err != nil {
			return nil, err
		}
	}
	return lines.Bytes(), nil
}

func (l *lister) entry(lines *bytes.Buffer, level listLevel, name string) error {
	var stat syscall.Stat_t
	if fstatat(level.reader.descriptor, name, &stat) != nil {
		return nil // vanished
	}
	var target *string
	if stat.Mode&syscall.S_IFMT == syscall.S_IFLNK {
		says, err := readlinkat(level.reader.descriptor, name)
		if err != nil {
			return nil
		}
		target = &says
	}
	fields := statFields(&stat, target)
	fields["path"] = level.prefix + name
	jsonLine(lines, fields)
	if !l.recursive || stat.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return nil
	}
	if len(l.levels) >= maxTreeDepth {
		return posixFailure(syscall.ENAMETOOLONG, l.given, "none")
	}
	reader, err := openDirectory(level.reader.descriptor, name)
	if err == syscall.ENOENT || err == syscall.ENOTDIR || err == syscall.ELOOP {
		return nil // vanished, or another thing by now
	}
	if err != nil {
		return posixFailure(err, l.given+"/"+level.prefix+name, "none")
	}
	l.levels = append(l.levels, listLevel{reader, level.prefix + name + "/"})
	return nil
}

func opList(d *daemon, s *stream, m *members, _ *claim) (*outcome, error) {
	path, recursive, roots := m.path("path"), m.boolean("recursive"), readRoots(m)
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	l := &lister{given: path, recursive: recursive}
	defer l.close()
	lines, err := asAgent(d.threads, func() ([]byte, error) {
		found, err := resolve(roots, path, true, false, nil)
		if err != nil {
			return nil, err
		}
		defer found.close()
		reader, err := found.openDirectory()
		if err != nil {
			return nil, err
		}
		l.levels = []listLevel{{reader, ""}}
		return l.batch()
	})
	for err == nil && len(lines) > 0 {
		if err = s.send(channelOutput, lines); err != nil {
			return nil, err
		}
		lines, err = asAgent(d.threads, l.batch)
	}
	if err != nil {
		return nil, err
	}
	return ended(channelOutput, nil, map[string]any{}), nil
}

func opRemove(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	path, roots := m.path("path"), readRoots(m)
	recursive, missingOk := m.boolean("recursive"), m.boolean("missingOk")
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	return mutation(d, s, key, func() error {
		found, err := resolve(roots, path, false, true, nil)
		if err != nil {
			if f := asFailure(err, path, "none"); missingOk && f.Reason == "ENOENT" {
				return nil
			}
			return err
		}
		defer found.close()
		switch {
		case !found.exists() && missingOk:
			return nil
		case !found.exists():
			return absent(path)
		case found.name == "":
			return posixFailure(syscall.EBUSY, path, "none")
		case found.kind() != syscall.S_IFDIR:
			err = unlinkat(found.parent, found.name, 0)
		case recursive:
			err = removeTree(found.parent, found.name)
			if err != nil {
				return posixFailure(err, path, "unknown")
			}
		default:
			err = unlinkat(found.parent, found.name, atRemovedir)
		}
		if err != nil && !(missingOk && err == syscall.ENOENT) {
			return posixFailure(err, path, "none")
		}
		return nil
	})
}

// removeTree removes a directory and what is in it, however deep: what lies too deep is first moved up.
func removeTree(parent int, name string) error {
	for range maxEmptyings {
		top, err := openDirectory(parent, name)
		if err != nil {
			return err
		}
		err = emptyDirectory(top, top.descriptor, 1)
		top.close()
		if err != nil {
			return err
		}
		if err = unlinkat(parent, name, atRemovedir); err != syscall.ENOTEMPTY {
			return err
		}
	}
	return syscall.ENOTEMPTY
}

func emptyDirectory(reader *directoryReader, top, depth int) error {
	for {
		name, err := reader.next()
		if err != nil || name == "" {
			return err
		}
		if err := removeEntry(reader.descriptor, name, top, depth); err != nil && err != syscall.ENOENT {
			return err
		}
	}
}

func removeEntry(directory int, name string, top, depth int) error {
	err := unlinkat(directory, name, 0)
	if err != syscall.EISDIR && err != syscall.EPERM {
		return err
	}
	if err := unlinkat(directory, name, atRemovedir); err != syscall.ENOTEMPTY && err != syscall.EEXIST {
		return err
	}
	if depth >= maxTreeDepth/2 {
		var random [12]byte
		rand.Read(random[:])
		return renameat2(directory, name, top, ".glovebox-"+hex.EncodeToString(random[:]), 0)
	}
	inner, err := openDirectory(directory, name)
	if err != nil {
		return err
	}
	err = emptyDirectory(inner, top, depth+1)
	inner.close()
	if err != nil {
		return err
	}
	if err := unlinkat(directory, name, atRemovedir); err != syscall.ENOTEMPTY {
		return err
	}
	return nil // filled meanwhile; the caller looks again
}
